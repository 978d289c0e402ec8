"""DTMF that is sounds, not events: which packets of G.711 hold a piece of a digit.

A flow's payloads are read as one line of samples, in order of their timestamps, and cut into blocks of 20 ms
that do not care where packets begin. A digit of 40 ms holds at least one whole block, wherever it lies. What is
left of a block when the rows end waits for the next rows, so the blocks, and with them what is found,
are the same however the rows are handed over. What a block is asked: inbandmath.py.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.buffers import Buffers
from vittne.capture.columns import I64, U8, U32
from vittne.capture.inbandmath import BLOCK, PCMA, PCMU, Mask, Rows, Sieve, prove

_BATCH_BYTES: Final = 4096 * BLOCK  # what is laid out at once: little enough to stay in the cache
_NO_LAW: Final = 255
_BURST_NS: Final = 35_000_000  # marked packets nearer than this, or next to each other, are one digit

Flows = npt.NDArray[np.int32] | npt.NDArray[np.intp]


class InbandTones:
    """Finds digits in flows of G.711, by flow number; keeps the last samples, less than 20 ms, of each flow."""

    def __init__(self) -> None:
        self._rest = np.zeros((1024, BLOCK), np.uint8)  # samples of a block that is not whole yet, left-aligned
        self._rest_bytes = np.zeros(1024, np.uint8)
        self._rest_law = np.full(1024, _NO_LAW, np.uint8)
        self._line = np.zeros(0, np.uint8)  # scratch: payloads of a batch, flow after flow
        self._sieve = Sieve()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_line": np.zeros(0, np.uint8)}  # scratch is not worth keeping

    def _room(self, flows: int) -> None:
        size = len(self._rest_law)
        if flows <= size:
            return
        grow = max(size, flows - size)
        self._rest = np.concatenate([self._rest, np.zeros((grow, BLOCK), np.uint8)])
        self._rest_bytes = np.concatenate([self._rest_bytes, np.zeros(grow, np.uint8)])
        self._rest_law = np.concatenate([self._rest_law, np.full(grow, _NO_LAW, np.uint8)])

    def clear(self, flows: Flows) -> None:
        """Forget what is kept of flows, because their numbers are given anew."""
        self._rest_law[flows[flows < len(self._rest_law)]] = _NO_LAW

    def find(self, flow: Flows, law: U8, address: I64, length: I64, timestamp: U32, buffers: Buffers) -> Mask:
        """Return (n,) bool: which rows hold a piece of a digit.

        flow: (n,) numbers >= 0; all rows of a flow stand together, in order of arrival.
        law: (n,) uint8, 0 is PCMU, 1 is PCMA. address, length: (n,) int64 of the payload, without header and
        padding, in buffers; lengths below 1 are rows without sound. timestamp: (n,) uint32 of RTP.
        Marked are rows that touch a block of 20 ms in which there is nothing but a digit's two tones; the
        digit's ends reach up to 20 ms beyond. Where rows are cut, between calls and between the batches of
        one, those before the cut that hold the beginning of such a block are not marked, the first behind it is.
        """
        if not len(flow):
            return np.zeros(0, np.bool_)
        self._room(int(flow.max()) + 1)
        length = np.maximum(length, 0)
        order = _by_timestamp(flow, timestamp)
        if order is not None:
            flow, law, address, length = flow[order], law[order], address[order], length[order]
        found = np.zeros(len(flow), np.bool_)
        batch = np.cumsum(length) // _BATCH_BYTES
        cuts = (np.flatnonzero(batch[1:] != batch[:-1]) + 1).tolist()
        for begin, end in zip([0, *cuts], [*cuts, len(flow)], strict=True):
            piece = slice(begin, end)
            found[piece] = self._find(flow[piece], law[piece], address[piece], length[piece], buffers)
        if order is None:
            return found
        marked = np.empty_like(found)
        marked[order] = found
        return marked

    def _find(self, flow: Flows, law: U8, address: I64, length: I64, buffers: Buffers) -> Mask:
        """See find; rows in order, of which all bytes fit into memory at once."""
        start = np.flatnonzero(np.concatenate(([True], (flow[1:] != flow[:-1]) | (law[1:] != law[:-1]))))
        heads, laws = flow[start], law[start]
        fresh = np.concatenate(([True], heads[1:] != heads[:-1]))
        kept = np.where(fresh & (self._rest_law[heads] == laws), self._rest_bytes[heads], 0).astype(np.int64)
        size = kept + np.add.reduceat(length, start)
        first, border, blocks = _lay_out(size, laws)
        begin = np.cumsum(length) - length
        moved = first * BLOCK + kept - begin[start]
        place = begin + np.repeat(moved, np.diff(start, append=len(flow)))
        self._fill(heads, kept, first, place, address, length, blocks, buffers)
        hits = self._hits(border, blocks)
        hits = hits[_is_whole(hits, first, size)]
        self._keep(heads, laws, first, size)
        return _rows_of(hits, blocks, place, length)

    def _fill(
        self,
        heads: Flows,
        kept: I64,
        first: I64,
        place: I64,
        address: I64,
        length: I64,
        blocks: int,
        buffers: Buffers,
    ) -> None:
        """Lay what was kept of each flow, and its payloads behind that, into the line."""
        if len(self._line) < (blocks + 1) * BLOCK:
            self._line = np.zeros((blocks + 1) * BLOCK, np.uint8)
        some = np.flatnonzero(kept)
        _windows(self._line, BLOCK)[first[some] * BLOCK] = _whole_rows(self._rest[heads[some]])
        shortest, longest = int(length.min()), int(length.max())
        if shortest == longest:
            if longest:
                _windows(self._line, longest)[place] = _whole_rows(buffers.take(address, longest))
            return
        for width in np.unique(length[length > 0]).tolist():
            same = np.flatnonzero(length == width)
            _windows(self._line, width)[place[same]] = _whole_rows(buffers.take(address[same], width))

    def _hits(self, border: int, blocks: int) -> Rows:
        """Return the numbers of the blocks that are a digit's; those below the border are PCMU, the others PCMA."""
        lined = self._line[: blocks * BLOCK].reshape(-1, BLOCK)
        chosen = np.concatenate(
            [self._sieve.pick(lined[:border], PCMU), border + self._sieve.pick(lined[border:], PCMA)]
        )
        if not len(chosen):
            return chosen
        return chosen[prove(lined[chosen], (chosen >= border).astype(np.uint8))]

    def _keep(self, heads: Flows, laws: U8, first: I64, size: I64) -> None:
        """Keep the block of each flow that is not whole."""
        last = np.flatnonzero(np.concatenate((heads[1:] != heads[:-1], [True])))
        flows, left = heads[last], size[last] % BLOCK
        begin = first[last] * BLOCK + size[last] - left
        self._rest[flows] = _windows(self._line, BLOCK)[begin].view(np.uint8).reshape(-1, BLOCK)
        self._rest_bytes[flows] = left
        self._rest_law[flows] = laws[last]


def bursts(marked: npt.NDArray[np.intp], mono: I64) -> list[tuple[int, int]]:
    """Return the time of the first and the last packet of each digit.

    marked: numbers, ascending and one at least, of one voice's rows that hold a piece of a digit; mono: of all rows,
    which need not be in order of arrival.
    """
    monos = mono[marked]
    apart = (np.abs(np.diff(monos)) > _BURST_NS) & (np.diff(marked) > 1)
    starts = np.flatnonzero(np.concatenate(([True], apart)))
    firsts, lasts = np.minimum.reduceat(monos, starts), np.maximum.reduceat(monos, starts)
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _by_timestamp(flow: Flows, timestamp: U32) -> Rows | None:
    """Return the order in which every flow's timestamps go up; None when they do so already."""
    behind = (timestamp[1:] - timestamp[:-1]).astype(np.int32) < 0
    behind &= flow[1:] == flow[:-1]
    late = np.flatnonzero(behind)
    if not len(late):
        return None
    rows = np.flatnonzero(np.isin(flow, flow[late]))
    start = np.concatenate(([True], flow[rows][1:] != flow[rows][:-1]))
    number = np.cumsum(start) - 1
    since = (timestamp[rows] - timestamp[rows[start]][number]).astype(np.int32)
    order = np.arange(len(flow))
    order[rows] = rows[np.lexsort((since, number))]
    return order


def _lay_out(size: I64, laws: U8) -> tuple[I64, int, int]:
    """Return each run's first block, the first block of PCMA, and the number of blocks.

    size: (n,) int64, bytes of each run; laws: (n,) uint8. Each begins at a whole block, PCMU before PCMA.
    """
    takes = -(-size // BLOCK)
    mu, a = np.where(laws == PCMU, takes, 0), np.where(laws == PCMU, 0, takes)
    border = int(mu.sum())
    first = np.where(laws == PCMU, np.cumsum(mu) - mu, border + np.cumsum(a) - a)
    return first, border, border + int(a.sum())


def _is_whole(blocks: Rows, first: I64, size: I64) -> Mask:
    """Return which blocks are not the last, unfinished one of their run."""
    order = np.argsort(first, kind="stable")
    order = order[size[order] > 0]
    run = order[np.searchsorted(first[order], blocks, side="right") - 1]
    whole: Mask = blocks < first[run] + size[run] // BLOCK
    return whole


def _rows_of(hits: Rows, blocks: int, place: I64, length: I64) -> Mask:
    """Return (n,) bool: which rows, bytes [place, place + length) of the line, touch one of the blocks."""
    if not len(hits):
        return np.zeros(len(place), np.bool_)
    before = np.zeros(blocks + 1, np.int64)
    before[hits + 1] = 1
    before = np.cumsum(before)
    touched = before[(place + length - 1) // BLOCK + 1] > before[place // BLOCK]
    return np.asarray(touched & (length > 0), np.bool_)


def _windows(data: U8, width: int) -> npt.NDArray[np.void]:
    """Return data as items of width bytes, one beginning at every byte, without a copy."""
    return np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))


def _whole_rows(rows: U8) -> npt.NDArray[np.void]:
    """Return (n, width) bytes as n items of width bytes."""
    return rows.view(f"V{rows.shape[1]}").ravel()
