"""A tap is listened to as a recorder would, and nothing is kept: no key is needed, no file is written.

Files and interfaces go through the pipeline that records; its reports and counters are what the checks judge.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import numpy as np

from vittne.appliance.doctor.tapfacts import CallSums, TapFacts, merged, sum_unsignalled
from vittne.appliance.edge.machine import meminfo
from vittne.appliance.edge.rings import open_ring
from vittne.appliance.replay import capture_files, drops_of, seen_of
from vittne.capture.columns import SECOND, Block
from vittne.capture.interfaces import look_up
from vittne.capture.offloads import speed_mbit
from vittne.capture.pause import PauseSettings
from vittne.capture.pcapfile import CaptureFile, CaptureFileError
from vittne.capture.pipeline import Commit, Pipeline, Settings
from vittne.capture.ring import Ring, Token
from vittne.capture.ringsize import RingSize, auto_size, memory_available
from vittne.capture.slab import SlabRing

_SLAB_BYTES: Final = 64 << 20
_COMMIT_FRAMES: Final = 200_000
_HOLD_BACK_NS: Final = 2 * SECOND
_NEVER: Final = 1 << 61
_MOST_UNSIGNALLED: Final = 10_000  # reports that are kept
_SHARE: Final = 4  # of the memory that a recorder would take for its ring


class Listener:
    """Blocks in, facts out."""

    def __init__(self) -> None:
        # Nothing is stored, so no digit can be: looking for tones would only cost time.
        self.pipeline = Pipeline(Settings(hold_back_ns=_HOLD_BACK_NS, pause=PauseSettings(digit_policy="keep")))
        self.calls = CallSums()
        self.problems: list[str] = []
        self.behind_ns = 0
        self.longest_gap_ns = 0
        self._unsignalled: list[dict[str, Any]] = []
        self._first_mono: int | None = None
        self._last_mono = 0

    def feed(self, block: Block) -> None:
        """Take in a block; its memory must stay until commit() passed it."""
        if len(block):
            first = int(block.mono_ns[0])
            if self._first_mono is None:
                self._first_mono = self._last_mono = first
            gaps = np.diff(block.mono_ns, prepend=self._last_mono)
            self.longest_gap_ns = max(self.longest_gap_ns, int(gaps.max()))
            self._last_mono = max(self._last_mono, int(block.mono_ns[-1]))
        self.pipeline.feed(block)

    def commit(self, horizon_mono: int, final: bool = False) -> None:
        """Count what is older than a time, and forget it."""
        self._note(self.pipeline.commit(horizon_mono, final))
        self.pipeline.all_written()

    def _note(self, done: Commit) -> None:
        room = _MOST_UNSIGNALLED - len(self._unsignalled)
        self._unsignalled += done.unsignalled[:room]
        for work in done.works:
            if work.closed and work.report is not None:
                self.calls.add(work.report, any(stream.crypto for stream in work.call.streams.values()))

    def facts(self, extra: dict[str, dict[str, int]] | None = None, is_live: bool = False) -> TapFacts:
        """Return what was heard. extra: counters that the pipeline does not have."""
        self.problems += ["a fault of the program: " + fault.partition("\n")[0] for fault in self.pipeline.faults]
        return TapFacts(
            merged(seen_of(self.pipeline), drops_of(self.pipeline), extra or {}),
            self.calls,
            sum_unsignalled(self._unsignalled),
            seconds=(self._last_mono - (self._first_mono or self._last_mono)) / SECOND,
            is_live=is_live,
            behind_s=self.behind_ns / SECOND,
            longest_gap_s=self.longest_gap_ns / SECOND,
            problems=tuple(self.problems),
        )


def listen_to_files(paths: Sequence[str], progress: Callable[[str, int], None] | None = None) -> TapFacts:
    """Return what capture files hold, taken as one tap in this order. A file that cannot be read is a problem of it."""
    listener, slab, mono = Listener(), SlabRing(_SLAB_BYTES), 0
    held: deque[Block] = deque()  # over the ends of files: calls go on in the next one
    files: dict[str, int] = {}
    for path in capture_files(paths):
        capture = CaptureFile(path, slab, mono)
        try:
            _read(capture, held, listener, progress)
        except CaptureFileError as error:
            listener.problems.append(str(error))
            continue
        mono = capture.mono_ns
        listener.behind_ns = max(listener.behind_ns, capture.behind_ns)
        for reason, count in capture.counters.items():
            files[reason] = files.get(reason, 0) + count
        if capture.cut:
            listener.problems.append(f"{path}: {capture.cut}")
    listener.commit(_NEVER, final=True)
    return listener.facts({"files": files})


def _read(
    capture: CaptureFile, held: deque[Block], listener: Listener, progress: Callable[[str, int], None] | None
) -> None:
    fresh = 0

    def commit(horizon: int) -> None:
        listener.commit(horizon)
        while held and int(held[0].mono_ns[-1]) <= horizon:
            capture.slab.release(held.popleft())

    for block in capture.blocks():
        if block is None:  # no room: at a rate beyond the hold-back the older half goes
            commit(max(listener.pipeline.now_mono - _HOLD_BACK_NS, int(held[len(held) // 2].mono_ns[-1])))
            continue
        listener.feed(block)
        held.append(block)
        fresh += len(block)
        if fresh >= _COMMIT_FRAMES:
            commit(listener.pipeline.now_mono - _HOLD_BACK_NS)
            fresh = 0
        if progress is not None:
            progress(capture.path, capture.bytes_read)


def listen_to_interfaces(names: Iterable[str], seconds: float, size: RingSize | None = None) -> TapFacts:
    """Return what interfaces show for so long. Needs CAP_NET_RAW. Raises RingError."""
    names = list(names)
    handles = []
    try:
        for name in names:
            handles.append(open_ring(name, size or _size_of(name, len(names))))
        cards = _lost_by_cards(names)
        rings = [Ring(handle, number) for number, handle in enumerate(handles)]
        listener = Listener()
        _listen(rings, listener, seconds)
        kernel = {ring.handle.interface: number for ring in rings if (number := ring.statistics().drops)}
        lost = {name: number - cards.get(name, 0) for name, number in _lost_by_cards(names).items()}
        for ring in rings:
            for step in ring.clock_steps:
                listener.pipeline.note_clock_step(step.step_ns)
            ring.close()
        return listener.facts({"kernel": kernel, "network card": lost}, is_live=True)
    finally:
        for handle in handles:
            handle.close()


def _listen(rings: Sequence[Ring], listener: Listener, seconds: float) -> None:
    held: list[deque[tuple[Token, int]]] = [deque() for _ in rings]
    end = time.monotonic() + seconds
    committed = time.monotonic_ns()
    while (left := end - time.monotonic()) > 0:
        rings[0].wait(min(left, 0.05 if len(rings) > 1 else 0.5))
        for ring, waiting in zip(rings, held, strict=True):
            while (found := ring.read()) is not None:
                block, token = found
                listener.feed(block)
                waiting.append((token, int(block.mono_ns[-1]) if len(block) else 0))
        now = time.monotonic_ns()
        if now - committed > SECOND // 2:
            committed = now
            listener.commit(now - _HOLD_BACK_NS)
            _release(rings, held, now - _HOLD_BACK_NS)
    listener.commit(_NEVER, final=True)
    _release(rings, held, _NEVER)


def _release(rings: Sequence[Ring], held: Sequence[deque[tuple[Token, int]]], horizon: int) -> None:
    for ring, waiting in zip(rings, held, strict=True):
        while waiting and waiting[0][1] <= horizon:
            ring.release(waiting.popleft()[0])


def _size_of(name: str, rings: int) -> RingSize:
    memory = memory_available(meminfo()) // _SHARE
    hold_back_s = _HOLD_BACK_NS / SECOND
    return auto_size(memory, speed_mbit(name), rings=rings, hold_back_s=hold_back_s, commit_s=1, reserve_s=1)


def _lost_by_cards(names: Iterable[str]) -> dict[str, int]:
    found = {name: look_up(name) for name in names}
    return {name: one.drops.missed + one.drops.fifo for name, one in found.items() if one is not None}
