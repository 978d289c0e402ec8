"""From commits to files: opens parts, appends records, closes recordings (DESIGN 11.3).

Runs in the worker. It holds the data keys of parts that are open and no key that can read: a part's
writer forgets each group's key as soon as the group is written.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np

from vittne.appliance.policy.decide import NO_RULES, PolicyRules, decide
from vittne.appliance.registrar import CallClosed, PartClosed, PartOpened
from vittne.appliance.seal.capsule import KeyTaken
from vittne.appliance.seal.keys import ArchivePublic, make_capsule
from vittne.appliance.seal.manifest import digest, meta_body
from vittne.appliance.seal.part import PartDamaged, PartSummary, PartWriter, summarise
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store
from vittne.capture import record
from vittne.capture.assemble import Packets, encode, join
from vittne.capture.calls import Call
from vittne.capture.columns import SECOND
from vittne.capture.gates import Refusal
from vittne.capture.pause import Pause
from vittne.capture.pipeline import CallWork, Commit, Pipeline
from vittne.capture.report import DISK, NO_DISK, PARTIAL, RECORDED

PART_NS: Final = 15 * 60 * SECOND  # a new part this often, so that hashes of long calls are kept early
_LARGE_GROUP: Final = 768 << 10  # bytes; a group holds a megabyte
_TYPE_AT: Final = 14  # of a record's header
_DESCRIPTION: Final = record.encode(record.STREAM, 0, b"")  # marks the end of what waits
_LIVE_NOTE_NS: Final = 60 * SECOND
_UNSIGNALLED_KEPT: Final = 5000  # streams that no signalling explains, listed for a run
_NUMBERS_TRIED: Final = 32  # workers in a row that died after their keys were kept, before their snapshot was
_TOLD_AT_ONCE: Final = 200  # calls in one request
_TOLD_LIVE: Final = 20  # the registrar has pauses to answer in between
_NOTED_LIVE: Final = 200  # calls shown anew after one commit


class Register(Protocol):
    """What the worker needs of the registrar, here or at the other end of a socket."""

    def open_parts(self, parts: Sequence[PartOpened]) -> None: ...
    def note_live(self, reports: Sequence[dict[str, Any]]) -> None: ...
    def note_pauses(self, pauses: Sequence[Pause]) -> None: ...
    def note_refused(self, refused: Sequence[Refusal]) -> None: ...
    def close_calls(self, calls: Sequence[CallClosed]) -> None: ...


@dataclass(frozen=True, slots=True)
class UnhashedPart:
    """A part that a worker left open when it died, already cut to what was committed. Times are ns UTC."""

    n: int
    size_bytes: int
    from_at: int
    to_at: int


@dataclass(slots=True)
class OpenRecording:
    """A recording that is being written. Times are ns UTC."""

    folder: str  # below recordings/, hidden
    part_no: int = 0
    part_from_at: int = 0
    part_mono: int = 0
    last_at: int = 0
    parts: list[PartClosed] = field(default_factory=list)
    unhashed: list[UnhashedPart] = field(default_factory=list)  # cut by a crash; hashed when there is time
    synced: int = 0  # bytes of the open part that a commit made last
    failed: bool = False


@dataclass(slots=True)
class _Waiting:
    """What is to be appended to a recording."""

    pieces: list[bytes | Packets]
    size: int = 0  # bytes, once they are records


class Recorder:
    """Writes what the pipeline's commits say.

    gather_bytes: 0 writes and syncs every commit (live). More: records are gathered over commits up to so
    many bytes, because few large writes cost less than many small ones, and only what is finished is synced.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: Store,
        public: ArchivePublic,
        register: Register,
        gather_bytes: int = 0,
        part_ns: int = PART_NS,
        policy: PolicyRules = NO_RULES,
    ) -> None:
        self.pipeline = pipeline
        self.open: dict[str, OpenRecording] = {}  # by recording id
        self.closing: list[CallClosed] = []  # written and synced, the registrar was not told yet
        self.unsignalled: list[dict[str, Any]] = []  # the newest
        self.unsignalled_changed = False
        self.packets = 0
        self._store = store
        self._public = public
        self._register = register
        self._gather_bytes = gather_bytes
        self._part_ns = part_ns
        self._policy = policy
        self._waiting: dict[str, _Waiting] = {}
        self._waiting_bytes = 0
        self._writers: dict[str, PartWriter] = {}
        self._noted: dict[str, tuple[tuple[bool, int], int]] = {}  # what was known, and when it was told
        self._pauses: list[Pause] = []  # that changed, and nobody was told yet
        self._refused: list[Refusal] = []  # likewise
        self._is_full = False  # what is left of the disk is for the books
        self._waits: set[str] = set()  # recordings that go on when there is room; their files are whole

    def commit(self, horizon_mono: int, final: bool = False) -> None:
        """Write everything up to a time, and make it last. Call settle() once the position is noted."""
        self._look_at_room()  # before: a call that goes on again is described in what this commit gives
        commit = self.pipeline.commit(horizon_mono, final)
        self.packets += commit.packets
        self._pauses += commit.pauses
        self._refused += commit.refused
        self._tell_pauses()
        if commit.unsignalled:
            self.unsignalled += commit.unsignalled
            del self.unsignalled[:-_UNSIGNALLED_KEPT]
            self.unsignalled_changed = True
        self._open_parts(commit)
        for work in commit.works:
            self._take(work)
        if self._waiting_bytes >= self._gather_bytes:
            self.flush()
        if not self._gather_bytes:
            self._make_last()
        for recording_id, writer in self._writers.items():
            self.open[recording_id].synced = writer.size

    def _make_last(self) -> None:
        """Have everything written so far synced.

        Where the disk cannot, nobody knows what of it is there: parts end where they were synced before, and the
        calls go on as those whose file failed.
        """
        try:
            self._store.sync()
        except StoreError as error:
            for recording_id in list(self._writers):
                self._cut(recording_id, self.open[recording_id])
            self._fault(error)

    def _cut(self, recording_id: str, state: OpenRecording) -> None:
        writer = self._writers.pop(recording_id)
        writer.abandon()
        with contextlib.suppress(OSError):  # it is tried again when the part is hashed
            os.truncate(writer.path, state.synced)
            if not state.synced:
                writer.path.unlink()
        if state.synced:
            state.unhashed.append(UnhashedPart(state.part_no, state.synced, state.part_from_at, state.last_at))
        state.part_no += 1
        state.synced = 0
        self._note_failed(recording_id, state)

    def _note_failed(self, recording_id: str, state: OpenRecording) -> None:
        state.failed = True
        call = self.pipeline.book.calls.get(recording_id)
        if call is not None:
            call.reasons.add(DISK)

    def _tell_pauses(self) -> None:
        """Have pauses that changed, and refusals, kept before anything is written that they bear on."""
        try:
            if self._pauses:
                self._register.note_pauses(self._pauses)
                self._pauses = []
            if self._refused:
                self._register.note_refused(self._refused)
                self._refused = []
        except StoreError as error:  # they hold all the same; it is told again at the next commit
            self._fault(error)

    def flush(self) -> None:
        """Write everything that waits: no packet of a commit so far is needed any more."""
        for recording_id in list(self._waiting):
            self._write(recording_id)
        self.pipeline.all_written()

    @property
    def is_flushed(self) -> bool:
        """Whether the blocks that were committed can go back."""
        return not self._waiting

    def settle(self) -> None:
        """Tell the registrar what is finished. After a crash in here the next worker tells it again.

        Live, what it could not do now (a full disk) is asked again at the next commit, and nothing waits for it.
        """
        try:
            while self.closing:
                some = self.closing[: _TOLD_AT_ONCE if self._gather_bytes else _TOLD_LIVE]
                self._register.close_calls(some)
                del self.closing[: len(some)]
            self._note_live()
        except StoreError as error:
            if self._gather_bytes:
                raise
            self._fault(error)

    def _look_at_room(self) -> None:
        """Close what is open where the disk is full: what is left of it is for the ledger and the catalogue.

        Calls are followed and entered all the same. When there is room again, those that are up go on in a new part.
        """
        was_full, self._is_full = self._is_full, self._store.is_full(self._is_full)
        if self._is_full and not was_full:
            what = "audio is not written any more: no space left but what the books need"
            self._fault(StoreError(what, self._store.data_dir, "make room on the disk"))
            for recording_id in list(self._writers):
                self._write(recording_id)
            for recording_id in list(self._writers):
                self._close_early(recording_id, self.open[recording_id])
                self._waits.add(recording_id)
        elif was_full and not self._is_full:
            for recording_id in self._waits & self.open.keys():
                call = self.pipeline.book.calls.get(recording_id)
                if call is not None:
                    self.open[recording_id].failed = False
                    _describe_anew(call)
            self._waits.clear()

    def _open_parts(self, commit: Commit) -> None:
        """Begin the parts that this commit needs; their keys are kept before anything is written."""
        wanted = []
        for work in commit.works:
            call = work.call
            state = self.open.get(call.id)
            if state is None and (work.packets or work.begins):
                state = self._begin(call)
            if state is None or state.failed:
                continue
            writer = self._writers.get(call.id)
            if writer is not None and commit.horizon_mono - state.part_mono > self._part_ns and not work.closed:
                self._write(call.id)
                self._end_part(call.id, writer.finish(at_ns=state.last_at), state)
                writer = None
            if writer is None:
                key = os.urandom(32)
                wanted.append((call.id, state, key))
        if not wanted:
            return
        try:
            self._keep_keys(wanted)
        except StoreError as error:  # a key that is not kept must seal nothing
            for recording_id, state, _ in wanted:
                self._give_up(recording_id, state, error)
            return
        for recording_id, state, key in wanted:
            path = self._store.recordings_dir / state.folder / f"part-{state.part_no}.floe"
            try:
                self._writers[recording_id] = PartWriter(path, recording_id, state.part_no, key)
            except StoreError as error:
                self._give_up(recording_id, state, error)
            state.part_mono = commit.horizon_mono
            state.part_from_at = 0

    def _keep_keys(self, wanted: Sequence[tuple[str, OpenRecording, bytes]]) -> None:
        """Have the keys of parts kept.

        A worker that died may have had keys kept for parts that its last snapshot does not know. Such a key is
        never replaced: the part gets a later number.
        """
        for left in reversed(range(_NUMBERS_TRIED)):
            try:
                self._register.open_parts(
                    [
                        PartOpened(rec, s.part_no, make_capsule(self._public, key, rec, s.part_no))
                        for rec, s, key in wanted
                    ]
                )
                return
            except KeyTaken:
                if not left:
                    raise
                for _, state, _ in wanted:
                    state.part_no += 1

    def hash_one(self) -> bool:
        """Hash one part that a crash cut; whether there was one. For moments when nothing else is to be done."""
        for recording_id, state in self.open.items():
            if state.unhashed:
                self._hash(recording_id, state, state.unhashed.pop())
                return True
        return False

    def _hash(self, recording_id: str, state: OpenRecording, part: UnhashedPart) -> None:
        path = self._store.recordings_dir / state.folder / f"part-{part.n}.floe"
        try:
            with contextlib.suppress(OSError):  # where it could not be cut at once
                if path.stat().st_size > part.size_bytes:
                    os.truncate(path, part.size_bytes)
            summary = summarise(path, part.n, part.size_bytes)
        except (StoreError, PartDamaged) as error:
            self.pipeline.faults.append(str(error))
            call = self.pipeline.book.calls.get(recording_id)
            if call is not None:
                call.reasons.add(DISK)
            return
        state.parts.append(part_closed(summary, part.from_at, part.to_at))
        state.parts.sort(key=lambda closed: closed.n)

    def _begin(self, call: Call) -> OpenRecording | None:
        if self._is_full:
            call.reasons.add(DISK)
            _describe_anew(call)
            return None
        try:
            folder = self._store.open_recording(call.id, call.first.first_at // 1000)
        except StoreError as error:
            call.reasons.add(DISK)
            _describe_anew(call)
            self._fault(error)
            return None
        call.opened = True
        state = OpenRecording(str(folder.relative_to(self._store.recordings_dir)))
        self.open[call.id] = state
        return state

    def _take(self, work: CallWork) -> None:
        call = work.call
        if work.erase:
            self._erase(work)
        state = self.open.get(call.id)
        if state is None or state.failed:
            _not_stored(call, work.records)
        elif work.records:
            state.last_at = max(call.last_media_at, state.last_at)
            state.part_from_at = state.part_from_at or _earliest(work.records)
            waiting = self._waiting.setdefault(call.id, _Waiting([]))
            waiting.pieces += work.records
            size = sum(map(_size, work.records))
            waiting.size += size
            self._waiting_bytes += size
            if self._gather_bytes and waiting.size > _LARGE_GROUP:
                self._write(call.id)
        if work.closed:
            self._write(call.id)
            self._close(work, state)

    def _erase(self, work: CallWork) -> None:
        """Give up a recording while its call goes on: its keys are destroyed at once, and its files."""
        recording_id = work.call.id
        waiting = self._waiting.pop(recording_id, None)
        if waiting is not None:
            self._waiting_bytes -= waiting.size
        state = self.open.pop(recording_id, None)
        if state is None or work.report is None:
            return
        writer = self._writers.pop(recording_id, None)
        if writer is not None:
            writer.abandon()
        self._noted.pop(recording_id, None)
        self.closing.append(CallClosed(work.report, state.folder, keep=False))

    def _write(self, recording_id: str) -> None:
        """Append what waits for a recording."""
        waiting = self._waiting.pop(recording_id, None)
        writer = self._writers.get(recording_id)
        if waiting is None:
            return
        self._waiting_bytes -= waiting.size
        if writer is not None:
            try:
                writer.append(self._encode(waiting.pieces))
            except StoreError as error:
                self._give_up(recording_id, self.open[recording_id], error)

    def _encode(self, waiting: list[bytes | Packets]) -> list[bytes | memoryview]:
        """Return records as bytes: packets of several commits together, but not across a STREAM record.

        A stream's description holds for the packets behind it; all other records say themselves when they are.
        """
        out: list[bytes | memoryview] = []
        packets: list[Packets] = []
        for piece in [*waiting, _DESCRIPTION]:
            if isinstance(piece, Packets):
                packets.append(piece)
                continue
            if packets and piece[_TYPE_AT] == record.STREAM:
                out += encode(join(packets), self.pipeline.buffers)
                packets = []
            out.append(piece)
        return out[:-1]

    def _close(self, work: CallWork, state: OpenRecording | None) -> None:
        report = work.report
        assert report is not None
        if state is None:
            if DISK in work.call.reasons and report["outcome"] in (RECORDED, PARTIAL):
                report = {**report, "outcome": NO_DISK, "outcome_reasons": []}
            self.closing.append(CallClosed(report, ""))
            return
        meta = b""
        while state.unhashed:
            self._hash(work.call.id, state, state.unhashed.pop())
        writer = self._writers.get(work.call.id)
        if writer is None and not state.parts:  # begun, and nothing could be written
            report = {**report, "outcome": NO_DISK, "outcome_reasons": []}
            self.closing.append(CallClosed(report, state.folder, keep=False))
            del self.open[work.call.id]
            self._noted.pop(work.call.id, None)
            return
        if state.failed and report["outcome"] == RECORDED:
            report = {**report, "outcome": PARTIAL, "outcome_reasons": [DISK]}
        if writer is not None:
            report = {**report, **decide(report, self._policy).members()}
            meta = meta_body({**report, "state": "finished", "folder": "", "size_bytes": 0})
            at_ns = work.call.ended_at
            try:
                summary = writer.finish([record.encode(record.META, at_ns, meta)], at_ns)
                self._end_part(work.call.id, summary, state)
            except StoreError as error:
                meta = b""
                self._give_up(work.call.id, state, error)
        self.closing.append(
            CallClosed(report, state.folder, tuple(state.parts), digest(meta) if meta else "", work.keep)
        )
        del self.open[work.call.id]
        self._noted.pop(work.call.id, None)

    def _end_part(self, recording_id: str, summary: PartSummary, state: OpenRecording) -> None:
        state.parts.append(part_closed(summary, state.part_from_at, state.last_at))
        state.part_no += 1
        state.synced = 0
        del self._writers[recording_id]

    def _give_up(self, recording_id: str, state: OpenRecording, error: StoreError) -> None:
        """A file that fails is closed: its call goes on as partial, and holds nothing up."""
        self._close_early(recording_id, state)
        self._fault(error)

    def _close_early(self, recording_id: str, state: OpenRecording) -> None:
        self._note_failed(recording_id, state)
        writer = self._writers.get(recording_id)
        if writer is not None:
            self._end_part(recording_id, writer.abandon(), state)

    def _fault(self, error: StoreError) -> None:
        self.pipeline.counters["write failed"] += 1
        if str(error) not in self.pipeline.faults:  # one for all calls, where it is the disk
            self.pipeline.faults.append(str(error))

    def _note_live(self) -> None:
        """Show calls in the catalogue: what is new of them soon, all of them once a minute, some at a time."""
        if self._gather_bytes:
            return
        now = self.pipeline.now_mono
        reports: list[dict[str, Any]] = []
        for recording_id, state in self.open.items():
            call = self.pipeline.book.calls.get(recording_id)
            if call is None or len(reports) >= _NOTED_LIVE:
                continue
            known = call.answered, call.heard.count
            before, noted_mono = self._noted.get(recording_id, (None, 0))
            if before == known and now - noted_mono < _LIVE_NOTE_NS:
                continue
            self._noted[recording_id] = known, now
            report = self.pipeline.report_of(call)
            reports.append({**report, "outcome": "", "outcome_reasons": [], "folder": f"recordings/{state.folder}"})
        for begin in range(0, len(reports), _TOLD_LIVE):
            self._register.note_live(reports[begin : begin + _TOLD_LIVE])


def _describe_anew(call: Call) -> None:
    """Have what its streams are written once more: what said so before is lost, or in another part."""
    for stream in call.streams.values():
        stream.announced = False


def _not_stored(call: Call, records: Sequence[bytes | Packets]) -> None:
    """Count packets that no file took: a recording says how many of each stream it holds."""
    streams = {stream.number: stream for stream in call.streams.values()}
    for piece in records:
        if isinstance(piece, Packets):
            for number, packets in zip(*np.unique(piece.stream, return_counts=True), strict=True):
                streams[int(number)].stored -= int(packets)
                streams[int(number)].drop(DISK, int(packets))


def _size(piece: bytes | Packets) -> int:
    return piece.size_bytes if isinstance(piece, Packets) else len(piece)


def _earliest(records: Sequence[bytes | Packets]) -> int:
    """Return the time of the first record, ns UTC."""
    return min(
        int(piece.at_ns.min()) if isinstance(piece, Packets) else int(record.HEADER.unpack_from(piece)[0])
        for piece in records
    )


def part_closed(summary: PartSummary, from_at: int, to_at: int) -> PartClosed:
    """Return a part's summary for the registrar."""
    index = tuple((offset, at_ns // 1000) for offset, at_ns in summary.index if at_ns)
    return PartClosed(
        summary.n,
        summary.bytes,
        summary.groups,
        summary.sha256,
        from_at // 1000,
        to_at // 1000,
        not summary.ended,
        index,
        summary.contents,
    )
