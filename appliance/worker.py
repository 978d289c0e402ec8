"""The capture worker: reads its rings, commits every two seconds, can be killed at any time (DESIGN 2, 11).

    read rings ▸ pipeline ▸ at each commit: append, sync, snapshot, give blocks back, tell the parent

A worker that dies leaves its rings full with what was not committed, and the snapshot of the last
commit. The next one reads the same blocks again: signalling from where the snapshot had heard it,
media from where it was written. So nothing is lost and nothing is written twice.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance import commands
from vittne.appliance.analysis.ears import PATIENCE_NS, RESTARTED, Ears
from vittne.appliance.analysis.findings import NOT_LISTENED
from vittne.appliance.analysis.references import left_out, load_references
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.edge.machine import look_through_edge
from vittne.appliance.live.tapping import Tapping
from vittne.appliance.memory import Memory, Position
from vittne.appliance.policy.decide import policy_rules
from vittne.appliance.protocol import Channel, Command, ParentGone, RequestFailed, Start, Status
from vittne.appliance.recordconfig import recording_rules
from vittne.appliance.recorder import OpenRecording, Recorder, UnhashedPart
from vittne.appliance.replay import drops_of, seen_of
from vittne.appliance.ruleconfig import rules
from vittne.appliance.seal.keys import ArchiveKey
from vittne.appliance.snapshot import Freezer, Snapshots
from vittne.appliance.store.files import Store
from vittne.appliance.workerfigures import CommitTimes, RingFigures, WorkerFigures, own_use, use_of
from vittne.capture import forcing
from vittne.capture.columns import SECOND, Block
from vittne.capture.interfaces import look_up
from vittne.capture.listening import LISTENED
from vittne.capture.merge import Merge, rows_of
from vittne.capture.pausing import Answer
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.ring import Ring, RingStatistics, Token
from vittne.capture.ringopen import RingHandle
from vittne.capture.ringsize import COMFORTABLE

_POLL_S: Final = 0.1
_SHORT_POLL_MS: Final = 20
_NEVER: Final = 1 << 61
_MERGE_WIDTH_NS: Final = 1_000_000  # signalling may come on one interface and its answer on another
_STATUS_NS: Final = SECOND
_SWEEP_NS: Final = 30 * SECOND
_LAST_TRIES: Final = 5
_SWITCH_S: Final = 0.001  # a command must not wait for a commit's Python, which gives way this often
_COMMIT_ROWS: Final = 500_000  # packets in one commit
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


@dataclass(slots=True)
class _Held:
    """A token of a ring whose packets are not all committed."""

    block: Block
    token: Token


class Worker:
    """One worker's life. start: what the parent said; channel: the way back to it."""

    def __init__(self, start: Start, channel: Channel) -> None:
        self._start = start
        self._channel = channel
        self._store = Store(Path(start.data_dir), create=False)
        self._freezer = Freezer()
        self._snapshots = Snapshots((start.snapshot_fds[0], start.snapshot_fds[1]))
        self._rings = [Ring(RingHandle(**ring), number) for number, ring in enumerate(start.rings)]
        self._held: list[deque[_Held]] = [deque() for _ in self._rings]
        self._merge: Merge[_Held] = Merge(len(self._rings), _MERGE_WIDTH_NS)
        self._heard: list[Position] = [(0, 0)] * len(self._rings)
        self._committed: list[Position] = [(0, 0)] * len(self._rings)
        self._before: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._cards: dict[str, int] = {}  # the network cards' counters when the run began
        self._messages: list[str] = []
        self._told_ns = 0
        self._swept_ns = 0
        self._commits = CommitTimes()
        settings = Settings(
            start.hold_back_ns,
            start.media_silence_ns,
            record_unsignalled=start.record_unsignalled,
            pause=start.pause,
            agent_headers=start.agent_headers,
            rules=rules(tuple(start.rules)),
            recording=recording_rules(start.keeping, bytes.fromhex(start.sampling_key)),
            listen_ns=start.listen_ns,
            detector=start.detector,
        )
        memory = self._remember()
        pipeline = memory.pipeline if memory is not None else Pipeline(settings)
        public = ArchiveKey.load_public(self._store.data_dir)
        policy = policy_rules(start.keeping)
        self._recorder = Recorder(pipeline, self._store, public, channel, part_ns=start.part_ns, policy=policy)
        self._pipeline = pipeline
        pipeline.pauses.lock = threading.RLock()
        if memory is None:  # what was before us may have been written by an earlier run
            pipeline.pauses.horizon_mono = time.monotonic_ns()
        forcing.take_up(pipeline, start.pauses)  # shut before a packet is looked at
        if memory is not None:
            self._go_on(memory)
        self._ears = Ears(pipeline, start.analysis, start.hold_back_ns)
        self._tapping = Tapping(pipeline, start.live_fd)
        self._learn(start.references)
        if start.skip:
            self._skip()
        if start.keeping.record:
            self._warn_of_memory(start.keeping.gate.total_mib << 20)

    def _do(self, command: Command) -> list[Answer]:
        """Do what the parent asks. Runs in the second thread."""
        if command.what == "references":
            self._learn(command.references)
            return []
        if command.what == "live":
            self._tapping.order(command)
            return []
        return commands.do(self._pipeline, command)

    def _learn(self, handles: list[ReferenceHandle]) -> None:
        """Listen for these announcements from now on. Also called from the second thread."""
        references, problems = load_references(self._store.data_dir, handles)
        self._ears.note_references(references, left_out(handles, references))
        self._messages += problems

    def _warn_of_memory(self, wanted_bytes: int) -> None:
        """Say when less memory can be locked than gates may take. The superuser has no such limit."""
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        if os.geteuid() and limit != resource.RLIM_INFINITY and limit < wanted_bytes:
            self._messages.append(
                f"gates can hold {limit >> 20} MiB only, not {wanted_bytes >> 20}: raise LimitMEMLOCK, or `ulimit -l`"
            )

    # Going on after a crash

    def _remember(self) -> Memory | None:
        data = self._snapshots.read()
        if data is None:
            return None
        memory: Memory = pickle.loads(data)  # noqa: S301 - written by a worker like this one, in memory of ours
        return memory

    def _go_on(self, memory: Memory) -> None:
        self._heard, self._committed = memory.heard, memory.committed
        self._before = memory.lost
        self._cards = memory.cards
        recorder = self._recorder
        recorder.packets = memory.packets
        recorder.open = memory.open
        recorder.closing = memory.closing
        closing = {call.folder for call in memory.closing}
        known = {state.folder: (recording_id, state) for recording_id, state in memory.open.items()}
        for folder in list(self._store.unfinished()):
            name = str(folder.relative_to(self._store.recordings_dir))
            if name in known:
                self._settle_part(folder, *known[name])
            elif name not in closing and name not in self._start.leave:
                with suppress(OSError):  # on a disk that takes nothing it stays; the next start clears it
                    for path in folder.iterdir():  # begun after the snapshot: its packets are still in the ring
                        path.unlink()
                    folder.rmdir()
        self._messages.append(f"goes on after a crash with {len(memory.open)} recordings")

    def _settle_part(self, folder: Path, recording_id: str, state: OpenRecording) -> None:
        """Cut the part that was open to what its last commit made last; the recording goes on in a new part."""
        whole = {part.n for part in state.parts} | {part.n for part in state.unhashed}
        for path in folder.glob("part-*.floe"):
            number = int(path.stem.removeprefix("part-"))
            if number not in whole and (number != state.part_no or not state.synced):
                with suppress(OSError):
                    path.unlink()
        if state.synced:
            # Only cut here, thousands in a moment: the rings are filling. The next commit's sync makes it last,
            # and hashing the part again has time.
            with suppress(OSError):  # it is tried again when it is hashed
                os.truncate(folder / f"part-{state.part_no}.floe", state.synced)
            state.unhashed.append(UnhashedPart(state.part_no, state.synced, state.part_from_at, state.last_at))
            state.part_no += 1
            state.synced = 0

    def _skip(self) -> None:
        """Leave out everything that the rings hold now: it has ended several workers."""
        for ring in self._rings:
            while (found := ring.read()) is not None:
                self._pipeline.counters["skipped after repeated crashes"] += len(found[0])
                ring.release(found[1])
        for call in self._pipeline.book.calls.values():
            call.reasons.add("lost-at-restart")

    # Work

    def run(self) -> None:
        """Work until the parent says stop, or is gone."""
        self._channel.listen(self._do)
        self._channel.say_reading()
        poll = select.poll()
        for ring in self._rings:
            poll.register(ring.fileno(), select.POLLIN)
        poll.register(self._channel.fileno(), select.POLLIN)
        # What the rings hold of a worker that died is old already: its voices are to be heard before it is written.
        patient_ns = time.monotonic_ns() + PATIENCE_NS
        next_ns = time.monotonic_ns()  # as soon as it has caught up: who dies before its first commit did nothing
        while not self._channel.stopping:
            asked = time.monotonic_ns()
            read = self._read(asked)
            now = time.monotonic_ns()
            self._ears.turn(now)
            self._tapping.turn(asked, read)
            if self._ears.is_level and not read:
                patient_ns = 0
            if now < patient_ns:
                if not read and self._channel.fileno() in dict(poll.poll(_SHORT_POLL_MS)):
                    break
                continue
            # Caught up first: a commit must not run ahead of what was read. But two periods late at most.
            if now >= next_ns and (not read or now >= next_ns + 2 * self._start.commit_ns):
                due = asked - self._start.hold_back_ns
                horizon = self._bounded(due)
                self._commit(horizon)
                ended = time.monotonic_ns()
                self._commits.note((ended - now) / SECOND)
                self._sweep(ended)
                rest = max(next_ns + self._start.commit_ns, ended + self._start.commit_ns // 2)
                next_ns = ended if horizon < due else rest
                if select.select([self._channel.fileno()], [], [], 0)[0]:
                    break
                continue
            if not read and not self._recorder.hash_one():
                wait = min(_POLL_S, max(0.0, (next_ns - now) / SECOND))
                ready = dict(poll.poll(wait * 1000))
                if self._channel.fileno() in ready:
                    break
        if self._channel.is_gone and not self._channel.stopping:
            raise ParentGone
        try:
            self._finish()
        finally:
            self._ears.close()

    def _sweep(self, now_ns: int) -> None:
        """Give back calls that are over: they and their voices name each other, and the collector looks once in hours.

        It takes 0.14 to 0.36 s with a thousand calls up (benchmarks/bench_soak.py); the ring waits.
        """
        if now_ns - self._swept_ns > _SWEEP_NS:
            self._swept_ns = now_ns
            gc.collect()

    def _bounded(self, horizon: int) -> int:
        """Return a time up to which no more packets wait than one commit may take: its columns cost memory."""
        for held in self._held:
            count = 0
            for one in held:
                count += len(one.block)
                if count > _COMMIT_ROWS:
                    horizon = min(horizon, int(one.block.mono_ns[-1]))
                    break
        return horizon

    def _read(self, now_ns: int) -> bool:
        """Feed what the rings have; whether there was anything."""
        some = False
        for number, ring in enumerate(self._rings):
            found = ring.read()
            if found is None:
                continue
            some = True
            held = _Held(*found)
            self._held[number].append(held)
            for piece in self._merge.feed(number, held.block, held):
                self._feed(piece.source, piece.block, piece.token, piece.first_row)
        for piece in self._merge.take(now_ns):
            self._feed(piece.source, piece.block, piece.token, piece.first_row)
        return some

    def _feed(self, number: int, block: Block, held: _Held, first_row: int) -> None:
        if not len(block):
            return
        token = held.token
        heard = token.row(*self._heard[number])
        if heard > first_row:  # an earlier worker heard these; its media may still have to be written
            cut = min(heard - first_row, len(block))
            written = max(0, token.row(*self._committed[number]) - first_row)
            self._pipeline.refill(rows_of(block, min(written, cut), cut))
            if cut == len(block):
                return
            block, first_row = rows_of(block, cut, len(block)), first_row + cut
        self._pipeline.feed(block)
        self._heard[number] = token.position(first_row + len(block) - 1)
        self._heard[number] = (self._heard[number][0], self._heard[number][1] + 1)

    def _commit(self, horizon: int, final: bool = False) -> None:
        statistics = [ring.statistics() for ring in self._rings]
        self._count_losses(statistics)
        now = min(horizon + self._start.hold_back_ns, time.monotonic_ns())  # the last horizon is no time
        self._pipeline.now_mono = max(self._pipeline.now_mono, now)
        self._pipeline.now_at = time.time_ns()
        self._recorder.commit(horizon, final)
        done = [self._done(number, horizon) for number in range(len(self._rings))]
        self._snapshot()
        for number, tokens in enumerate(done):
            for token in tokens:
                self._rings[number].release(token)
        self._recorder.settle()
        now = time.monotonic_ns()
        if final or now - self._told_ns > _STATUS_NS:
            self._told_ns = now
            self._tell(statistics, horizon)

    def _done(self, number: int, horizon: int) -> list[Token]:
        """Return tokens of a ring that can go back, and note how far its media is written."""
        held = self._held[number]
        tokens = []
        while held and (not len(held[0].block) or int(held[0].block.mono_ns[-1]) <= horizon):
            tokens.append(held.popleft().token)
        if tokens:
            self._committed[number] = (tokens[-1].seq_last + 1, 0)
        if held:
            row = int(held[0].block.mono_ns.searchsorted(horizon, "right"))
            self._committed[number] = max(self._committed[number], held[0].token.position(row))
        return tokens

    def _snapshot(self) -> None:
        recorder = self._recorder
        memory = Memory(
            self._pipeline,
            recorder.open,
            recorder.closing,
            recorder.packets,
            list(self._heard),
            list(self._committed),
            {**self._before, **self._lost_in_all()},
            self._cards,
        )
        self._snapshots.write(self._freezer.freeze(memory))

    def _lost_by_cards(self) -> dict[str, int]:
        """Return what was lost before it reached a ring since the run began, by interface and cause."""
        found: dict[str, int] = {}
        for ring in self._rings:
            try:
                interface = look_up(ring.handle.interface)
            except OSError:  # the sandbox is closed, and the edge away
                continue
            if interface is not None:
                for cause in ("missed", "fifo"):
                    found[f"{interface.name} {cause}"] = getattr(interface.drops, cause)
        self._cards = self._cards or found
        return {name: number - self._cards.get(name, 0) for name, number in found.items()}

    def _lost_in_all(self) -> dict[str, int]:
        names = {*self._before, *self._lost}
        return {name: self._before.get(name, 0) + self._lost.get(name, 0) for name in names}

    def _count_losses(self, statistics: list[RingStatistics]) -> None:
        for ring, found in zip(self._rings, statistics, strict=True):
            name = ring.handle.interface
            fresh = found.drops - self._lost.get(name, 0)
            self._lost[name] = found.drops
            if fresh:
                self._pipeline.note_loss(fresh)
                self._messages.append(f"{name}: the kernel dropped {fresh} packets, the ring was full")
            if found.occupancy > COMFORTABLE:
                self._messages.append(f"{name}: the ring is {found.occupancy:.0%} full")
            trouble = ring.trouble()
            if trouble:
                self._messages.append(trouble)
            for step in ring.clock_steps:
                self._messages.append(f"the clock was set by {step.step_ns / 1e9:+.3f} s")
                self._pipeline.note_clock_step(step.step_ns)
            ring.clock_steps.clear()

    def _figures(self, statistics: list[RingStatistics], horizon: int) -> WorkerFigures:
        handles = [ring.handle for ring in self._rings]
        rings = [
            RingFigures(handle.interface, one.packets, one.drops, one.held, one.blocks, handle.block_size)
            for handle, one in zip(handles, statistics, strict=True)
        ]
        analysis = use_of("analysis", self._ears.pids)
        return WorkerFigures(
            rings,
            self._commits,
            [own_use("worker"), *([analysis] if analysis is not None else [])],
            recordings_open=len(self._recorder.open),
            closing=len(self._recorder.closing),
            behind_s=round(max(0, time.monotonic_ns() - horizon) / SECOND, 3) if horizon < _NEVER else 0.0,
            unsignalled=len(self._recorder.unsignalled),
        )

    def _tell(self, statistics: list[RingStatistics], horizon: int) -> None:
        pipeline = self._pipeline
        drops = drops_of(pipeline)
        lost = {name: number for name, number in self._lost_in_all().items() if number}
        if lost:
            drops["kernel"] = lost
        card = {name: number for name, number in self._lost_by_cards().items() if number}
        if card:
            drops["network card"] = card
        self._ears.alarm(time.monotonic_ns())
        self._messages += self._ears.messages
        self._ears.messages.clear()
        self._messages += [f"fault: {fault}" for fault in pipeline.faults]
        pipeline.faults.clear()
        status = Status(
            frames=pipeline.counters["frames"],
            packets=self._recorder.packets,
            drops=drops,
            outcomes=dict(pipeline.outcomes),
            live_calls=len(pipeline.book.calls),
            occupancy=max((s.occupancy for s in statistics), default=0.0),
            position=[list(position) for position in self._committed],
            messages=self._messages[:64],
            unsignalled=self._recorder.unsignalled if self._recorder.unsignalled_changed else [],
            gate_calls=len(pipeline.recording.buffer),
            gate_bytes=pipeline.recording.buffer.used_bytes,
            gate_most_bytes=pipeline.recording.buffer.most_bytes,
            listening=pipeline.handover.listening.voices_on,
            listened=pipeline.counters[LISTENED],
            not_listened=pipeline.counters[NOT_LISTENED],
            analysis_restarts=pipeline.counters[RESTARTED],
            unheard=[one.hash for one in pipeline.handover.listening.missing],
            live_dropped=self._tapping.dropped,
            seen=seen_of(pipeline),
            figures=self._figures(statistics, horizon),
        )
        try:
            self._channel.ask(status)
        except RequestFailed as error:  # a full disk: what was not told is told with the next one
            self._messages = [*self._messages[:62], f"status was not entered: {error}"]
            return
        self._recorder.unsignalled_changed = False
        self._messages.clear()

    def _finish(self) -> None:
        """Write everything that was heard, close every call."""
        deadline = time.monotonic_ns() + SECOND // 4  # what the kernel holds in a block that is not full yet
        while time.monotonic_ns() < deadline:
            if not self._read(time.monotonic_ns()):
                time.sleep(0.02)
        for piece in self._merge.flush():
            self._feed(piece.source, piece.block, piece.token, piece.first_row)
        self._pipeline.note_stop()
        self._ears.finish(time.monotonic_ns())
        self._commit(_NEVER, final=True)
        for _ in range(_LAST_TRIES):
            if not self._recorder.closing:
                break
            time.sleep(1)  # what the parent cannot enter now would be finished as partial at the next start
            self._recorder.settle()
        self._snapshots.clear()


def keep_memory() -> None:
    """Tell malloc to keep what is freed: columns come and go at every block, and fresh pages cost most."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(-3, 64 << 20)  # M_MMAP_THRESHOLD
        mallopt(-1, 64 << 20)  # M_TRIM_THRESHOLD


def keep_to_ourselves() -> None:
    """Voices and keys go into no core dump, and no other process of this user may read our memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def follow_parent() -> None:
    """Die with the parent, which holds the lock; leave signals to it, which says stop."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def allow_many_files() -> None:
    """Raise the limit of open files as far as it goes: every call that is up has one."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def lock_much_memory() -> None:
    """Raise the limit of locked memory as far as it goes: what waits for a gate is in no other."""
    most = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (most, most))


def main(fd: int) -> int:
    """Run a worker whose parent is at the other end of a socket."""
    follow_parent()
    allow_many_files()
    with suppress(OSError):  # without it everything works but the card's own counters
        look_through_edge()
    keep_memory()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    keep_to_ourselves()
    lock_much_memory()
    sys.setswitchinterval(_SWITCH_S)
    channel = Channel(socket.socket(fileno=fd))
    try:
        Worker(channel.receive_start(), channel).run()
    except ParentGone:
        return 3
    except RequestFailed as error:
        print(f"vittne worker: {error}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
