"""Scenarios through the pipeline, and what came out, ready to be held against their truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builders import Frame, Scenario

from vittne.capture import record
from vittne.capture.assemble import Packets, encode
from vittne.capture.columns import LINK_ETHERNET, SECOND, Block
from vittne.capture.flows import FlowTable
from vittne.capture.pipeline import Commit, Pipeline, Settings

NEVER = 1 << 61
COMMIT_NS = 2 * SECOND

Order = Callable[[Pipeline, int, int], object]


@dataclass(frozen=True)
class Record:
    kind: int
    at_ns: int
    stream: int
    body: bytes


@dataclass
class Result:
    """Reports of calls in order of closing, their records by the call's id, and all that belongs to none."""

    pipeline: Pipeline
    reports: list[dict[str, Any]] = field(default_factory=list)
    records: dict[str, list[Record]] = field(default_factory=dict)
    kept: dict[str, bool] = field(default_factory=dict)
    unsignalled: list[dict[str, Any]] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)  # calls whose recording went while they were up

    def report(self, call_id: str) -> dict[str, Any]:
        """The only report that names a Call-ID."""
        (found,) = [report for report in self.reports if call_id in report["call_ids"]]
        return found

    def of_kind(self, report: dict[str, Any], kind: int) -> list[Record]:
        return [r for r in self.records.get(report["id"], []) if r.kind == kind]

    def rtp(self, report: dict[str, Any]) -> dict[str, list[tuple[int, bytes]]]:
        """Stored packets by SSRC and destination, in order of arrival."""
        names = {s["number"]: f"{s['ssrc']} {s['destination']}" for s in report["streams"]}
        found: dict[str, list[tuple[int, bytes]]] = {}
        for one in self.of_kind(report, record.RTP):
            found.setdefault(names[one.stream], []).append((one.at_ns, one.body))
        return {name: sorted(packets) for name, packets in found.items()}


def parse_records(data: bytes) -> list[Record]:
    """The records in the bytes of a recording, read without the code that wrote them."""
    found, at = [], 0
    while at < len(data):
        at_ns, length, stream, kind, _ = record.HEADER.unpack_from(data, at)
        body = data[at + 16 : at + 16 + length]
        padding = data[at + 16 + length : at + 16 + length + -length % 16]
        assert len(body) == length
        assert not any(padding)
        found.append(Record(kind, at_ns, stream, body))
        at += 16 + length + -length % 16
    return found


def blocks_of(frames: Sequence[Frame], block_ns: int) -> list[Block]:
    """Blocks over one buffer, each with the frames of block_ns; the monotonic clock begins at one hour."""
    if not frames:
        return []
    lead = 64
    data = np.frombuffer(bytes(lead) + b"".join(frame for _, frame in frames) + bytes(64), np.uint8)
    length = np.array([len(frame) for _, frame in frames], np.int64)
    offset = lead + np.cumsum(length) - length
    at_ns = np.array([at for at, _ in frames], np.int64)
    mono = np.maximum.accumulate(at_ns) - at_ns[0] + 3600 * SECOND
    cuts = np.flatnonzero(np.diff((mono - mono[0]) // block_ns)) + 1
    blocks = []
    for begin, end in zip([0, *cuts.tolist()], [*cuts.tolist(), len(frames)], strict=True):
        rows = slice(begin, end)
        kind, interface = np.full(end - begin, LINK_ETHERNET, np.uint16), np.zeros(end - begin, np.uint16)
        blocks.append(Block(data, offset[rows], length[rows], length[rows], at_ns[rows], mono[rows], kind, interface))
    return blocks


def play_frames(
    frames: Sequence[Frame],
    settings: Settings | None = None,
    *,
    block_ns: int = SECOND // 10,
    at_once: bool = False,
    loss_after: int | None = None,
    flows: FlowTable | None = None,
    pending_limit: int | None = None,
    orders: Mapping[int, Order] | None = None,
) -> Result:
    """Feed frames block by block with a commit every two seconds of their time; at_once: one commit at the end.

    loss_after: the kernel dropped a packet behind the block of that number. flows, pending_limit: smaller bounds.
    orders: what is asked while the frames come, at times of the frames: told the pipeline, UTC and monotonic time.
    """
    pipeline = Pipeline(settings)
    if flows is not None:
        pipeline.flows = pipeline.matcher._table = flows
    if pending_limit is not None:
        pipeline.book.tracker._pending_limit = pending_limit
    result = Result(pipeline)
    last = 0
    left = sorted((orders or {}).items())
    for number, block in enumerate(blocks_of(frames, block_ns)):
        while left and left[0][0] <= int(block.at_ns[0]):
            at_ns, order = left.pop(0)
            order(pipeline, at_ns, at_ns - int(block.at_ns[0]) + int(block.mono_ns[0]))
        pipeline.feed(block)
        if number == loss_after:
            pipeline.note_loss(1)
        if pipeline.now_mono - last > COMMIT_NS and not at_once:
            last = pipeline.now_mono
            take(result, pipeline.commit(last - pipeline.settings.hold_back_ns))
            pipeline.all_written()
    take(result, pipeline.commit(NEVER, final=True))
    assert not pipeline.faults, pipeline.faults[0]
    return result


def play(
    scenario: Scenario,
    settings: Settings | None = None,
    *,
    at_once: bool = False,
    loss_after: int | None = None,
    orders: Mapping[int, Order] | None = None,
) -> Result:
    """A scenario as the live worker would hear it."""
    return play_frames(scenario.frames(), settings, at_once=at_once, loss_after=loss_after, orders=orders)


def take(result: Result, commit: Commit) -> None:
    """Do with a commit what the recorder does: open a recording at its first packets, write, close."""
    for work in commit.works:
        call = work.call
        if work.erase:
            result.erased.append(call.id)
            result.records.pop(call.id, None)
        if work.packets or work.begins:
            call.opened = True
        if call.opened:
            pieces = (encode(p, result.pipeline.buffers) if isinstance(p, Packets) else [p] for p in work.records)
            data = b"".join(view for piece in pieces for view in piece)
            result.records.setdefault(call.id, []).extend(parse_records(data))
        if work.closed:
            assert work.report is not None
            assert call.id not in result.kept, "a call is closed once"
            result.reports.append(work.report)
            result.kept[call.id] = work.keep
    result.unsignalled += commit.unsignalled
    assert set(result.records) <= set(result.kept) | set(result.pipeline.book.calls), "records of no call"
