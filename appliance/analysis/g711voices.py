"""G.711 of many voices at once: no statement runs once a packet. RFC 3551 4.5.14; headers: RFC 3550 5.1.

Nearly everything that is listened to and not searched for tones elsewhere is G.711. What is sealed, padded or has an
odd header goes the way of the other codecs (voices.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.analysis.messages import Rows
from vittne.appliance.analysis.narrow import RATE
from vittne.capture.columns import I64, SECOND, U8
from vittne.codecs.base import I16
from vittne.codecs.g711 import A_LAW, MU_LAW

HEADER: Final = 12
PLAIN: Final = 0x80  # the first byte of a packet without padding, extension and CSRCs
LONGEST: Final = 2 * RATE  # samples of one packet
LEAP_S: Final = 10  # a timestamp that leaps farther says nothing
_SAMPLES: Final = np.concatenate([MU_LAW, A_LAW])

Order = npt.NDArray[np.intp]


@dataclass(slots=True)
class Clock:
    """A voice's own time: where its last packet lay, in samples at 8000 Hz."""

    timestamp: int
    mono_ns: int
    at: float = 0.0
    seq: int = -1  # of the last packet; -1: not known


def is_odd(rows: Rows, which: Order) -> npt.NDArray[np.bool_]:
    """Return (n,) bool: which of some rows need a closer look: an odd header, no payload, or far too much."""
    first = rows.data[np.minimum(rows.begin[which], len(rows.data) - 1)]
    size = rows.length[which]
    return np.asarray((first != PLAIN) | (size <= HEADER) | (size > HEADER + LONGEST))


def in_sequence(rows: Rows, which: Order, starts: Order, clocks: list[Clock | None]) -> tuple[Order, Order]:
    """Return the rows in the order of their sequence, without copies, and where each voice begins among them.

    which: rows of voices, all of a voice together. starts: where each begins. A packet that was there before, or is
    behind one of an earlier piece, is a mirror's copy or too late.
    """
    counts = np.diff(np.concatenate((starts, [len(which)])))
    voice = np.repeat(np.arange(len(starts)), counts)
    seq = rows.seq[which]
    since = (seq - np.repeat(seq[starts], counts)).astype(np.int16).astype(np.int64)
    key = voice * (1 << 17) + since
    if (key[1:] < key[:-1]).any():
        order = np.argsort(key, kind="stable")
        which, key, seq = which[order], key[order], seq[order]
    fresh = np.ones(len(which), np.bool_)
    fresh[1:] = key[1:] != key[:-1]
    last = np.array([-1 if one is None else one.seq for one in clocks], np.int64)
    known = np.repeat(last, counts)
    behind = (seq.astype(np.int64) - known).astype(np.uint16).astype(np.int16)
    fresh &= (known < 0) | (behind > 0) | (behind < -64)
    if fresh.all():
        return which, starts
    which, voice = which[fresh], voice[fresh]
    return which, np.searchsorted(voice, np.arange(len(starts)))


def places(rows: Rows, which: Order, starts: Order, clocks: list[Clock | None]) -> tuple[I64, list[Clock]]:
    """Return (n,) where packets lie on the clocks of their voices, and the clocks as they stand then.

    By timestamps of 8000 a second; where one leaps, by arrival. No voice is empty.
    """
    stamp, mono = rows.timestamp[which].astype(np.int64), rows.mono_ns[which]
    before_stamp, before_mono = np.roll(stamp, 1), np.roll(mono, 1)
    known = [one or Clock(int(stamp[at]), int(mono[at])) for one, at in zip(clocks, starts.tolist(), strict=True)]
    before_stamp[starts] = [one.timestamp for one in known]
    before_mono[starts] = [one.mono_ns for one in known]
    moved = (stamp - before_stamp).astype(np.uint32).astype(np.int32).astype(np.float64)
    arrived = (mono - before_mono) * RATE / SECOND
    steps = np.where(np.abs(moved - arrived) < LEAP_S * RATE, moved, arrived)
    sums = np.cumsum(steps)
    ends = np.concatenate((starts[1:], [len(which)])) - 1
    base = np.array([one.at for one in known]) - (sums[starts] - steps[starts])
    at = sums + np.repeat(base, np.diff(np.concatenate((starts, [len(which)]))))
    columns = stamp[ends].tolist(), mono[ends].tolist(), at[ends].tolist(), rows.seq[which[ends]].tolist()
    return np.rint(at).astype(np.int64), [Clock(*one) for one in zip(*columns, strict=True)]


def samples_of(rows: Rows, which: Order, law: U8) -> tuple[I16, I64]:
    """Return the samples of packets, one behind the other, and how many each has. law: (n,) 0 PCMU, 1 PCMA."""
    size = rows.length[which] - HEADER
    begin = rows.begin[which] + HEADER
    place = np.cumsum(size) - size
    out = np.empty(int(size.sum()), np.int16)
    kind = size * 2 + law
    for one in np.unique(kind).tolist():
        width, table = one >> 1, _SAMPLES[256 * (one & 1) : 256 * (one & 1) + 256]
        some = np.flatnonzero(kind == one)
        items = np.ndarray((len(rows.data) - width + 1,), f"V{width}", rows.data, strides=(1,))
        coded = items[begin[some]].view(np.uint8)
        if len(some) == len(which):
            return table[coded], size
        slots = np.ndarray((len(out) - width + 1,), f"V{2 * width}", out, strides=(2,))
        slots[place[some]] = table[coded].view(f"V{2 * width}")
    return out, size
