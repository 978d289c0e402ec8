"""Several rings as one line of time: a tap has an interface per direction, and calls need both.

Rows of one Block lie in one buffer, so blocks are not mixed but cut: what comes out are
slices, each of one source, in time order but for a bounded overlap. Media does not mind
an overlap of some 10 ms (it is handled seconds later); signalling does mind when the
answer comes before the request, so the width can be made small, at the price of
smaller slices. Pure: time comes in with rows and as an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Generic, TypeVar

import numpy as np

from vittne.capture.columns import Block

T = TypeVar("T")

WIDTH_NS: Final = 50_000_000
# A ring shows a packet when its block is full, or at the second tick of its timer: up to two timeouts of
# 100 ms after the packet, and some more on a busy machine.
PATIENCE_NS: Final = 300_000_000


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Rows of one source, next in time."""

    source: int
    block: Block
    token: T  # as it was fed
    first_row: int  # where the slice begins in the block that was fed
    is_last: bool  # no more of this token follows: when all its slices are done with, it can be released


@dataclass(slots=True)
class _Source(Generic[T]):
    waiting: deque[tuple[Block, T]] = field(default_factory=deque)
    row: int = 0  # the first row of waiting[0] that was not given out
    heard_ns: int = 0  # every row before this has been fed

    def head_ns(self) -> int | None:
        """Return the time of the next row, None when nothing waits; blocks without rows are passed over."""
        return int(self.waiting[0][0].mono_ns[self.row]) if self.waiting else None


class Merge(Generic[T]):
    """Merge blocks of several sources by mono_ns.

    A row is given out when every source has been heard up to its time; a source that is idle counts as
    heard up to `patience_ns` ago. Within what is given out, a row comes at most `width_ns` of time after a
    row that is younger. A row that is fed later than patience allows is given out at once, and counted in
    `late`. One source alone passes straight through.
    """

    def __init__(self, sources: int, width_ns: int = WIDTH_NS, patience_ns: int = PATIENCE_NS) -> None:
        self.late = 0
        self._sources: list[_Source[T]] = [_Source() for _ in range(sources)]
        self._width_ns = width_ns
        self._patience_ns = patience_ns
        self._given_ns = 0  # everything before this has been given out

    def feed(self, source: int, block: Block, token: T) -> Iterator[Slice[T]]:
        """Take the next block of a source; yields what must be given out at once.

        That is the whole block when there is one source, and an empty block's token.
        """
        if len(self._sources) == 1 or not len(block):
            yield Slice(source, block, token, 0, True)
            return
        entry = self._sources[source]
        self.late += int(np.searchsorted(block.mono_ns, self._given_ns))
        entry.waiting.append((block, token))
        entry.heard_ns = int(block.mono_ns[-1])

    def take(self, now_ns: int) -> Iterator[Slice[T]]:
        """Yield the slices that are old enough, in time order.

        now_ns: monotonic, from before the sources were last asked for blocks.
        """
        if len(self._sources) > 1:
            idle_ns = now_ns - self._patience_ns
            yield from self._until(min(max(source.heard_ns, idle_ns) for source in self._sources))

    def flush(self) -> Iterator[Slice[T]]:
        """Yield all that waits, in time order: the sources have ended."""
        yield from self._until(max(source.heard_ns for source in self._sources) + 1)

    def _until(self, horizon_ns: int) -> Iterator[Slice[T]]:
        """Yield rows from before the horizon: always from the source whose next row is oldest, as far as
        the next source's next row and the width beyond it."""
        while True:
            heads = sorted(
                (head, number) for number, source in enumerate(self._sources) if (head := source.head_ns()) is not None
            )
            if not heads or heads[0][0] >= horizon_ns:
                break
            other_ns = heads[1][0] + self._width_ns if len(heads) > 1 else horizon_ns
            # At least the oldest row goes, also with a width of 0 and equal times.
            yield self._cut(heads[0][1], max(min(other_ns, horizon_ns), heads[0][0] + 1))
        self._given_ns = max(self._given_ns, horizon_ns)

    def _cut(self, number: int, end_ns: int) -> Slice[T]:
        """Take the rows of a source's first waiting block that lie before end_ns."""
        source = self._sources[number]
        block, token = source.waiting[0]
        first = source.row
        last = int(np.searchsorted(block.mono_ns, end_ns))
        is_last = last == len(block)
        source.row = 0 if is_last else last
        if is_last:
            source.waiting.popleft()
        rows = block if is_last and not first else rows_of(block, first, last)
        return Slice(number, rows, token, first, is_last)


def rows_of(block: Block, first: int, last: int) -> Block:
    """Return rows first to last (not included) of a block, as views of its columns."""
    part = slice(first, last)
    return replace(
        block,
        offset=block.offset[part],
        captured=block.captured[part],
        wire=block.wire[part],
        at_ns=block.at_ns[part],
        mono_ns=block.mono_ns[part],
        link_type=block.link_type[part],
        interface=block.interface[part],
    )
