"""Reference announcements on their way to the analysis processes: read from disk, checked, sent through memory."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.hearing.reference import Reference
from vittne.capture.columns import SECOND, U8
from vittne.capture.heard import Prompt

FOLDER: Final = "announcements"
RATE: Final = 8000
MOST: Final = 1024  # references
MOST_BYTES: Final = 24 << 20  # of all samples: 26 minutes
_LONGEST_S: Final = 600
_HEAD: Final = struct.Struct("<Q")  # bytes of JSON


@dataclass(frozen=True, slots=True)
class Loaded:
    """A reference whose samples are here: what it means, what of it must be heard, and int16 little-endian."""

    prompt: Prompt
    required: tuple[tuple[float, float], ...]
    samples: bytes


def load_references(data_dir: Path, handles: Iterable[ReferenceHandle]) -> tuple[list[Loaded], list[str]]:
    """Return the references that can be read, and for each other one why it cannot; nothing else suffers from it."""
    found: list[Loaded] = []
    problems: list[str] = []
    total = 0
    for handle in handles:
        samples, problem = _samples(data_dir / FOLDER / f"{handle.hash}.s16", handle.hash)
        if not problem and (len(found) >= MOST or total + len(samples) > MOST_BYTES):
            problem = "there are too many, or they are too long together"
        if problem:
            problems.append(f"the announcement {handle.name} ({handle.hash[:12]}) is not listened for: {problem}")
            continue
        total += len(samples)
        found.append(Loaded(prompt_of(handle), handle.required, samples))
    return found, problems


def prompt_of(handle: ReferenceHandle) -> Prompt:
    """Return what hearing an announcement means."""
    return Prompt(
        handle.hash,
        handle.name,
        handle.purpose,
        handle.agree,
        handle.refuse,
        int(handle.within_s * SECOND),
        handle.sites,
        handle.language,
    )


def left_out(handles: Iterable[ReferenceHandle], loaded: Iterable[Loaded]) -> list[Prompt]:
    """Return the announcements of these that were not loaded."""
    there = {one.prompt.hash for one in loaded}
    return [prompt_of(one) for one in handles if one.hash not in there]


def _samples(path: Path, expected: str) -> tuple[bytes, str]:
    """Return a file's samples, or why they are of no use."""
    if len(expected) != 64 or not set(expected) <= set("0123456789abcdef"):
        return b"", "its hash is none"
    try:
        with path.open("rb") as file:
            samples = file.read(2 * RATE * _LONGEST_S + 2)
    except OSError as error:
        return b"", f"{path.name}: {error.strerror}"
    if not samples or len(samples) % 2 or len(samples) > 2 * RATE * _LONGEST_S:
        return b"", f"{path.name} holds {len(samples)} bytes: none, an odd number, or more than ten minutes"
    if hashlib.sha256(samples).hexdigest() != expected:
        return b"", f"{path.name} is not what its hash says"
    return samples, ""


def pack_references(references: Iterable[Loaded]) -> bytes:
    """Return references as they go through memory."""
    each = list(references)
    head = json.dumps([{"size": len(one.samples), "required": one.required} for one in each]).encode()
    return _HEAD.pack(len(head)) + head + b"".join(one.samples for one in each)


def read_references(data: U8) -> Iterator[Reference]:
    """Yield what pack_references() wrote, in its order."""
    text = data.tobytes()
    (size,) = _HEAD.unpack_from(text)
    at = _HEAD.size + size
    for one in json.loads(text[_HEAD.size : at]):
        samples = np.frombuffer(text, "<i2", one["size"] // 2, at).astype(np.int16)
        at += one["size"]
        yield Reference(samples, tuple((begin, end) for begin, end in one["required"]))
