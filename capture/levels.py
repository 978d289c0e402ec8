"""How loud each party of each call is, about once a second, from some of the packets that just came.

Of every eighth packet of plain G.711 some samples are looked at, by table; of any other codec nothing is said. Of a
call that is paused, in which digits are being keyed, or that is not recorded nothing is said either: a level tells who
speaks. Nothing runs once a packet, and nothing at all while nobody asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.calls import Call, Stream
from vittne.capture.columns import I64, SECOND
from vittne.capture.inbandmath import PCMA, PCMU, SAMPLES
from vittne.capture.pipeline import Pipeline
from vittne.capture.rtp import RTP_HEADER_BYTES, FlowRows, RtpRows, join_rows

FLOOR: Final = -127  # dBov: silence
_EVERY: Final = 8
_STEP: Final = 5  # of a packet's samples every fifth: no tone that telephones know hides from that
_PLAIN: Final = 0x80  # first byte of a header without padding, extension and CSRCs
_TYPES: Final = {0: PCMU, 8: PCMA}  # RFC 3551
_MOST_BYTES: Final = 960  # of payload
_MOST_WIDTHS: Final = 4  # kinds of packets that are looked at: nearly all are of one
_FULL: Final = 32767.0
_DECAY_DB: Final = 10  # in one turn at most
_AROUND_DIGITS_NS: Final = 2 * SECOND

Level = tuple[str, int | None, int | None]  # recording; caller and callee in dBov, None: nothing can be said


def _powers(law: int) -> npt.NDArray[np.float32]:
    return np.asarray(np.square(SAMPLES[law].astype(np.float32) / _FULL), np.float32)


_POWER: Final = {kind: _powers(law) for kind, law in _TYPES.items()}


class Levels:
    """See the module. feed() what came, take() once a second."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._rows: list[tuple[RtpRows, FlowRows]] = []
        self._before: dict[tuple[str, int], int] = {}  # recording, side

    def feed(self, batches: Sequence[tuple[RtpRows, FlowRows]]) -> None:
        """Take in what came. Its bytes must still be there when it is taken."""
        for rows, whose in batches:
            some = (rows.seq % _EVERY == 0) & ((rows.payload_type == 0) | (rows.payload_type == 8))
            if some.any():
                self._rows.append((rows.take(some), whose.take(some)))

    def clear(self) -> None:
        """Nobody asks any more."""
        self._rows, self._before = [], {}

    def take(self, since_mono: int) -> list[Level]:
        """Return the levels of calls of which something was heard. since_mono: packets before it are gone."""
        batches, self._rows = self._rows, []
        found: dict[tuple[str, int], int] = {}
        if batches:
            rows, whose = join_rows([rows for rows, _ in batches]), join_rows([whose for _, whose in batches])
            fresh = rows.mono_ns > since_mono
            found = self._by_side(rows.take(fresh), whose.take(fresh))
        for side, before in self._before.items():
            if side in found:
                found[side] = max(found[side], before - _DECAY_DB)
        self._before = found
        recordings = dict.fromkeys(recording for recording, _ in found)
        return [(one, found.get((one, 0)), found.get((one, 1))) for one in recordings]

    def _by_side(self, rows: RtpRows, whose: FlowRows) -> dict[tuple[str, int], int]:
        pipeline = self._pipeline
        power = self._power(rows)
        flow = pipeline.flows.find(whose.key)
        good = (flow >= 0) & np.isfinite(power)
        if not good.any():
            return {}
        counts = np.bincount(flow[good])
        sums = np.bincount(flow[good], power[good])
        present = np.flatnonzero(counts)
        mean = sums[present] / counts[present]
        dbov = np.rint(10 * np.log10(np.maximum(mean, 1e-13))).astype(np.int64)
        found: dict[tuple[str, int], int] = {}
        for number, level in zip(present.tolist(), np.maximum(dbov, FLOOR).tolist(), strict=True):
            stream = pipeline.matcher.stream_of(number)
            if stream is not None and self._is_told(stream):
                side = stream.call.id, stream.seat & 1
                found[side] = max(found.get(side, FLOOR), level)
        return found

    def _power(self, rows: RtpRows) -> npt.NDArray[np.float64]:
        """Return (n,) the mean power of each packet, 1 the most there can be; NaN of one that is not plain."""
        power = np.full(len(rows), np.nan)
        for kind, table in _POWER.items():
            mine = np.flatnonzero(rows.payload_type == kind)
            for width in _common(rows.length[mine]):
                same = mine[rows.length[mine] == width]
                packets = self._pipeline.buffers.take(rows.address[same], width)
                mean = table[packets[:, RTP_HEADER_BYTES::_STEP]].mean(axis=1)
                power[same] = np.where(packets[:, 0] == _PLAIN, mean, np.nan)
        return power

    def _is_told(self, stream: Stream) -> bool:
        is_plain = not stream.crypto and not stream.encrypted and stream.kind == "audio"
        return is_plain and not stream.copy and not stream.foreign and self._may_be_told(stream.call)

    def _may_be_told(self, call: Call) -> bool:
        pipeline = self._pipeline
        if call.closed or (len(pipeline.pauses) and pipeline.pauses.is_paused(call)):
            return False
        if call.mutes and call.mutes[-1][1] > pipeline.now_mono - _AROUND_DIGITS_NS:
            return False
        last = call.keeping.last
        return pipeline.recording.is_idle if last is None else call.keeping.state_of(last) == "open"


def _common(lengths: I64) -> list[int]:
    """Return the lengths that most packets have."""
    size, count = np.unique(lengths, return_counts=True)
    order = size[np.argsort(-count)]
    return [n for n in order.tolist() if RTP_HEADER_BYTES < n <= RTP_HEADER_BYTES + _MOST_BYTES][:_MOST_WIDTHS]
