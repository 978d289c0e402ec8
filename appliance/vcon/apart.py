"""Somebody's sound is decoded in a process apart, without network, files or rights: there FFmpeg may break.

The child is a fork that keeps one pipe. It says a line of JSON (what the file is, or why it is not taken), then pieces,
each behind its length, then an empty piece and a line that says how it ended. Nothing that it says is believed but
plain numbers in bounds.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import cache
from typing import Any, BinaryIO, Final, NoReturn

import numpy as np

from vittne.appliance.analysis.sandbox import close_all_but, enclose
from vittne.appliance.vcon import sound
from vittne.appliance.vcon.sound import BadSound, Facts
from vittne.codecs.base import I16

_LENGTH: Final = struct.Struct("<I")
_MOST_PIECE: Final = 64 << 20
_MOST_LINE: Final = 1 << 20
_MOST_MORE: Final = 1 << 30  # bytes of memory that decoding may take
_MOST_CPU_S: Final = 900
_BROKE: Final = "decoding it broke off: FFmpeg stumbled over it, or it takes too much"


@contextmanager
def open_sound(data: bytes | memoryview) -> Iterator[tuple[Facts, Iterator[I16]]]:
    """Yield what a file is, and its samples, (k, channels) int16 at its own rate. Raises BadSound, also from within."""
    _rehearse()
    said, saying = os.pipe2(os.O_CLOEXEC)
    with warnings.catch_warnings():  # a thread of a progress bar may run: the child is alone, and needs nothing of it
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _decode(data, saying)
    os.close(saying)
    try:
        with os.fdopen(said, "rb") as stream:
            facts = _facts(stream)
            yield facts, _pieces(stream, facts)
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@cache
def _rehearse() -> None:
    """Decode something of our own, so that every module is loaded while files can be opened."""
    samples = bytes(320)
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 356, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16_000, 2, 16, b"data", 320
    )
    with sound.read_sound(head + samples) as (_, pieces):
        list(pieces)


def _facts(stream: BinaryIO) -> Facts:
    told = _line(stream)
    try:
        tags = tuple(str(one) for one in told["tags"])
        facts = Facts(
            str(told["kind"]), str(told["codec"]), told["rate"], told["channels"], told["alone"] is True, tags
        )
        known = facts.rate in sound.RATES and facts.channels in range(1, sound.MOST_CHANNELS + 1)
    except (KeyError, TypeError) as error:
        raise BadSound(_BROKE) from error
    if not known:
        raise BadSound(_BROKE)
    return facts


def _pieces(stream: BinaryIO, facts: Facts) -> Iterator[I16]:
    room = sound.MOST_DECODED
    while True:
        head = stream.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise BadSound(_BROKE)
        length = _LENGTH.unpack(head)[0]
        if not length:
            _line(stream)
            return
        room -= length
        body = stream.read(length) if length <= _MOST_PIECE and room >= 0 else b""
        if len(body) < length or length % (2 * facts.channels):
            raise BadSound(_BROKE)
        yield np.frombuffer(body, np.int16).reshape(-1, facts.channels)


def _line(stream: BinaryIO) -> dict[str, Any]:
    """Return what a line says. Raises BadSound: that the sound is not taken."""
    try:
        told = json.loads(stream.readline(_MOST_LINE))
    except (ValueError, RecursionError) as error:
        raise BadSound(_BROKE) from error
    if not isinstance(told, dict) or "error" in told:
        reason = told.get("error") if isinstance(told, dict) else None
        raise BadSound(reason[:300] if isinstance(reason, str) else _BROKE)
    return told


def _decode(data: bytes | memoryview, saying: int) -> NoReturn:
    """Decode in the child; nothing of the parent's comes after it."""
    status = 1
    try:
        gc.freeze()
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nothing, standard)
        close_all_but({saying})
        with open("/proc/self/statm", "rb") as stream:
            has = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_CPU_S, _MOST_CPU_S))
        enclose(lock_memory=False, most_memory=has + _MOST_MORE)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _say_all(data, saying)
        status = 0
    except BaseException:  # whatever it is: the parent hears that nothing more comes
        status = 1
    finally:
        os._exit(status)


def _say_all(data: bytes | memoryview, saying: int) -> None:
    begun = False
    try:
        with sound.read_sound(data) as (facts, pieces):
            _write(saying, json.dumps(asdict(facts)).encode() + b"\n")
            begun = True
            for piece in pieces:
                if piece.size:
                    _write(saying, _LENGTH.pack(piece.nbytes) + piece.tobytes())
        _write(saying, _LENGTH.pack(0) + b"{}\n")
    except BadSound as error:
        said = json.dumps({"error": str(error)}).encode() + b"\n"
        _write(saying, (_LENGTH.pack(0) if begun else b"") + said)


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
