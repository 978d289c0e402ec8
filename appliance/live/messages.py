"""What goes from the worker to who decodes, and from there to who listens: one packet of a socket is one message.

The parent hands on what the worker sends and looks at its head only. Who decodes reads what anybody sent, so of what
it says the parent believes numbers alone.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any, Final, get_args
from uuid import UUID

import numpy as np

from vittne.appliance.analysis.messages import Rows, Written, read
from vittne.capture.buffers import Buffers
from vittne.capture.columns import U8
from vittne.capture.levels import Level
from vittne.capture.pause import MUTED, PAUSED
from vittne.capture.tap import Span, State, Tapped

MOST_BYTES: Final = 128 << 10  # of one message: far more than a turn of one call has
HEARD: Final = 1
LEVELS: Final = 2
HEAD: Final = struct.Struct("<IIqII")  # kind, number of who listens, upto (monotonic ns), state, bytes of JSON
STATES: Final[tuple[State, ...]] = get_args(State)
SOUND: Final = struct.Struct("<QqII")  # first sample, its monotonic ns, flags, samples
READY: Final = b"ready"
CALLER_PAUSED: Final = 1  # flags
CALLEE_PAUSED: Final = 2
AUDIBLE: Final = 4  # the call may be heard: no gate is shut
_ALIGNMENT: Final = 8
_MOST_SPANS: Final = 4096
_LEVEL: Final = np.dtype([("recording", "V16"), ("caller", "i1"), ("callee", "i1")])
_NO_LEVEL: Final = 1  # dBov are never above 0
_LEVELS_AT_ONCE: Final = 4096
_WHY: Final = (PAUSED, MUTED)


@dataclass(frozen=True, slots=True)
class Told:
    """A turn's message as who decodes reads it."""

    state: State
    upto_mono: int
    seats: dict[int, int]
    quiet: dict[int, list[Span]]
    is_masked: bool
    rows: Rows | None


def pack(tapped: Tapped, buffers: Buffers) -> bytes | None:
    """Return a turn as a message; None when it is too long to be one. buffers: where its packets lie."""
    said = {
        "seats": tapped.seats,
        "quiet": {n: [[a, b, _WHY.index(why)] for a, b, why in spans] for n, spans in tapped.quiet.items() if spans},
        "masked": tapped.is_masked,
    }
    text = json.dumps(said, separators=(",", ":")).encode()
    text += b" " * (-(HEAD.size + len(text)) % _ALIGNMENT)
    written = Written(tapped.piece) if tapped.piece is not None else None
    size = HEAD.size + len(text)
    if size + (written.size if written is not None else 0) > MOST_BYTES:
        return None
    head = HEAD.pack(HEARD, tapped.number, tapped.upto_mono, STATES.index(tapped.state), len(text)) + text
    if written is None:
        return head
    rest = np.zeros(written.size, np.uint8)
    written.write(rest, buffers)
    return head + rest.tobytes()


def parse(message: bytes) -> Told:
    """Return what pack() wrote. Raises ValueError, KeyError, TypeError, struct.error when it is nothing of the kind."""
    _, _, upto, state, size = HEAD.unpack_from(message)
    said: dict[str, Any] = json.loads(message[HEAD.size : HEAD.size + size])
    quiet = {
        int(n): [(int(a), int(b), _WHY[why]) for a, b, why in spans[:_MOST_SPANS]] for n, spans in said["quiet"].items()
    }
    data: U8 = np.frombuffer(message, np.uint8)[HEAD.size + size :]
    return Told(
        STATES[state],
        upto,
        {int(n): int(seat) for n, seat in said["seats"].items()},
        quiet,
        bool(said["masked"]),
        read(data) if len(data) else None,
    )


@dataclass(frozen=True, slots=True)
class SoundBlock:
    """Stereo samples, the caller left. first: place of the first one since listening began; mono_ns: when it was."""

    first: int
    mono_ns: int
    flags: int
    pcm: bytes  # 16 bits, little endian, both sides in turn

    @property
    def samples(self) -> int:
        """How many there are of each side."""
        return len(self.pcm) // 4

    def pack(self) -> bytes:
        """Return it as a message."""
        return SOUND.pack(self.first, self.mono_ns, self.flags, self.samples) + self.pcm

    @classmethod
    def parse(cls, message: bytes) -> SoundBlock:
        """Return what pack() wrote. Raises ValueError."""
        if len(message) < SOUND.size:
            raise ValueError("a block of sound is cut")
        first, mono_ns, flags, samples = SOUND.unpack_from(message)
        if len(message) != SOUND.size + 4 * samples:
            raise ValueError("a block of sound of a wrong length")
        return cls(first, mono_ns, flags, message[SOUND.size :])


def pack_levels(levels: list[Level]) -> list[bytes]:
    """Return the levels of calls as messages."""
    parts = [levels[at : at + _LEVELS_AT_ONCE] for at in range(0, len(levels), _LEVELS_AT_ONCE)]
    return [HEAD.pack(LEVELS, 0, 0, 0, 0) + _table(part).tobytes() for part in parts or [[]]]


def _table(levels: list[Level]) -> np.ndarray[Any, Any]:
    table = np.zeros(len(levels), _LEVEL)
    for row, (recording, *sides) in enumerate(levels):
        table[row] = (UUID(recording).bytes, *(_NO_LEVEL if one is None else one for one in sides))
    return table


def parse_levels(message: bytes) -> list[Level]:
    """Return what pack_levels() wrote. Raises ValueError."""
    table = np.frombuffer(message, _LEVEL, offset=HEAD.size)
    return [
        (str(UUID(bytes=recording)), *((None if one > 0 else max(one, -127)) for one in sides))  # type: ignore[misc]
        for recording, *sides in table.tolist()
    ]
