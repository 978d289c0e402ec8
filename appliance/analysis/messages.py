"""What worker and analysis say to each other: packets through shared memory, a few bytes of say over a socket.

A request names a piece in memory: columns of its rows, what is new of voices, then whole RTP packets. A reply names
the request and what was found. What is heard besides tones comes later, in replies that answer nothing (HEARD). The
analysis reads what anybody sent, so the worker believes nothing but plain numbers.
"""

from __future__ import annotations

import json
import struct
from dataclasses import astuple, dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.capture.buffers import Buffers
from vittne.capture.columns import I64, U8, U16, U32
from vittne.capture.handed import Piece, Voice
from vittne.codecs.formats import Format

# number, offset, bytes, monotonic ns after which no answer is wanted (0: none), kind, flags
REQUEST: Final = struct.Struct("<QQQqII")
TONES: Final = 0  # a piece in which tones are searched, at once
LISTEN: Final = 1  # a piece that is only listened to
REFERENCES: Final = 2  # announcements that count from now on
ENDED: Final = 3  # int32 numbers of voices that are listened to no more
FLUSH: Final = 4  # to be answered when all that was asked before is done
MUST: Final = 1  # flag: nothing of it may be left out

_HEAD: Final = struct.Struct("<QQQ")  # rows, bytes of JSON, bytes of packets
_REPLY: Final = struct.Struct("<QBxxxI")  # number, whether it is the last one to this request, findings
FINDING: Final = np.dtype(
    [
        ("kind", "<u4"),
        ("number", "<u4"),
        ("begin_mono", "<i8"),
        ("end_mono", "<i8"),
        ("what", "<u4"),
        ("values", "<f4", 4),
    ]
)

READY: Final = (1 << 64) - 1  # the number of the first reply, which nobody asked for
HEARD: Final = (1 << 64) - 2  # of what was heard meanwhile
LATE: Final = 0  # nothing of the request was looked at
DIGIT: Final = 1
NOT_DECODED: Final = 2
NOT_OPENED: Final = 3  # SRTP
ANNOUNCED: Final = 4  # what: the reference's place in the list that was sent; values: see announcements.py
SPEECH: Final = 5  # somebody spoke
STATE: Final = 6  # what: which, see states.py
_KINDS: Final = (LATE, DIGIT, NOT_DECODED, NOT_OPENED, ANNOUNCED, SPEECH, STATE)

NO_VALUES: Final = (0.0, 0.0, 0.0, 0.0)
MOST_FINDINGS: Final = 1024  # in one reply
_COLUMNS: Final = (
    ("mono_ns", np.int64),
    ("length", np.int64),
    ("timestamp", np.uint32),
    ("number", np.int32),
    ("seq", np.uint16),
    ("payload_type", np.uint8),
    ("listen", np.uint8),
)
_ALIGNMENT: Final = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a voice, from one time to another: monotonic ns of packets. what, values: as the kind has it."""

    kind: int
    number: int
    begin_mono: int
    end_mono: int
    what: int = 0
    values: tuple[float, ...] = NO_VALUES


@dataclass(frozen=True, slots=True)
class Reply:
    """What was found in a piece. is_last: all of it was looked at."""

    number: int
    is_last: bool
    findings: list[Finding] = field(default_factory=list)


@dataclass(slots=True)
class Rows:
    """A piece as the analysis reads it: n rows, in order of arrival. begin: of each RTP packet in data."""

    mono_ns: I64
    length: I64
    timestamp: U32
    number: npt.NDArray[np.int32]
    seq: U16
    payload_type: U8
    begin: I64
    data: U8
    voices: list[Voice]
    listen: U8 | None = None  # 1 where more than tones is to be heard; None: nowhere


class Written:
    """A piece on its way into memory. size: bytes that it takes."""

    def __init__(self, piece: Piece) -> None:
        self._piece = piece
        self._voices = json.dumps([_voice_json(voice) for voice in piece.voices]).encode()
        self._packets = int(piece.rows.length.sum())
        rows = len(piece)
        columns = sum(_padded(rows * np.dtype(kind).itemsize) for _, kind in _COLUMNS)
        self.size = _HEAD.size + columns + _padded(len(self._voices)) + self._packets

    def write(self, to: U8, buffers: Buffers) -> None:
        """Write it. to: (size,) bytes. buffers: where its packets lie."""
        rows = self._piece.rows
        _HEAD.pack_into(to.data, 0, len(self._piece), len(self._voices), self._packets)
        at = _HEAD.size
        for name, kind in _COLUMNS:
            size = len(self._piece) * np.dtype(kind).itemsize
            to[at : at + size].view(kind)[:] = self._column(name)
            at += _padded(size)
        to[at : at + len(self._voices)] = np.frombuffer(self._voices, np.uint8)
        _gather(to[at + _padded(len(self._voices)) :], rows.address, rows.length, buffers)

    def _column(self, name: str) -> npt.NDArray[np.generic] | int:
        if name == "listen":
            return 0 if self._piece.listen is None else self._piece.listen
        return np.asarray(self._piece.number if name == "number" else getattr(self._piece.rows, name))


def _gather(to: U8, address: I64, length: I64, buffers: Buffers) -> None:
    """Copy packets one behind the other, all of a length at once."""
    place = np.cumsum(length) - length
    order = np.argsort(length.astype(np.uint16), kind="stable")
    sizes = length[order]
    starts = np.flatnonzero(np.concatenate(([True], sizes[1:] != sizes[:-1]))).tolist()
    for begin, end in zip(starts, [*starts[1:], len(order)], strict=True):
        same = order[begin:end]
        width = int(sizes[begin])
        if width:
            items = np.ndarray((len(to) - width + 1,), f"V{width}", to, strides=(1,))
            items[place[same]] = buffers.take(address[same], width).view(f"V{width}").ravel()


def read(data: U8) -> Rows:
    """Return what Written.write() wrote: views of data, which must stay as it is meanwhile."""
    count, json_bytes, packets = _HEAD.unpack_from(data.data, 0)
    at = _HEAD.size
    columns: dict[str, Any] = {}
    for name, kind in _COLUMNS:
        size = count * np.dtype(kind).itemsize
        columns[name] = data[at : at + size].view(kind)
        at += _padded(size)
    voices = [_voice(one) for one in json.loads(data[at : at + json_bytes].tobytes())]
    at += _padded(json_bytes)
    begin = np.cumsum(columns["length"]) - columns["length"]
    return Rows(**columns, begin=begin, data=data[at : at + packets], voices=voices)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _voice_json(voice: Voice) -> dict[str, Any]:
    formats = {str(n): [f.encoding, f.clock_rate, f.channels, f.fmtp] for n, f in voice.formats.items()}
    return {"number": voice.number, "formats": formats, "cryptos": voice.cryptos, "new": voice.is_new}


def _voice(value: dict[str, Any]) -> Voice:
    formats = {int(n): Format(*described) for n, described in value["formats"].items()}
    return Voice(value["number"], formats, tuple(value["cryptos"]), value["new"])


def pack_replies(number: int, findings: list[Finding]) -> list[bytes]:
    """Return the answer to a request as messages of bounded size; the last one says so."""
    parts = [findings[at : at + MOST_FINDINGS] for at in range(0, len(findings), MOST_FINDINGS)] or [[]]
    messages = []
    for place, part in enumerate(parts):
        table = np.array([astuple(f) for f in part], FINDING)
        messages.append(_REPLY.pack(number, place == len(parts) - 1, len(part)) + table.tobytes())
    return messages


def parse_reply(message: bytes) -> Reply:
    """Return what the analysis says; ValueError when it is nothing that it may say."""
    if len(message) < _REPLY.size:
        raise ValueError("a reply is cut")
    number, is_last, count = _REPLY.unpack_from(message)
    if count > MOST_FINDINGS or len(message) != _REPLY.size + count * FINDING.itemsize:
        raise ValueError("a reply of a wrong length")
    table = np.frombuffer(message, FINDING, count, _REPLY.size)
    findings = [
        Finding(kind, voice, begin, end, what, tuple(values))
        for (kind, voice, begin, end, what, _), values in zip(table.tolist(), table["values"].tolist(), strict=True)
    ]
    if any(f.kind not in _KINDS or f.end_mono < f.begin_mono for f in findings):
        raise ValueError("a finding that cannot be")
    if not np.isfinite(table["values"]).all():
        raise ValueError("a finding that is no number")
    return Reply(number, bool(is_last), findings)
