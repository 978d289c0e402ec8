"""Recording from capture files: the same pipeline as live, with the files' own clock."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vittne.appliance.analysis.ears import Ears
from vittne.appliance.analysis.references import left_out, load_references
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.recorder import PART_NS, Recorder
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us
from vittne.capture.columns import Block
from vittne.capture.pcapfile import CaptureFile, CaptureFileError
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.slab import SlabRing

SLAB_BYTES: Final = 256 << 20
GATHER_BYTES: Final = 96 << 20
CAPTURE_FILE: Final = "capture-file"  # times are whoever's who made the file: nothing is known of that clock
_COMMIT_FRAMES: Final = 400_000
_NEVER: Final = 1 << 61


@dataclass(slots=True)
class Summary:
    """What a run over files gave."""

    files: int = 0
    frames: int = 0
    packets: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)  # of files, in words
    faults: list[str] = field(default_factory=list)
    unsignalled: int = 0


def capture_files(paths: Sequence[str]) -> Iterator[str]:
    """Yield files in order; of a directory everything in it that is a file, by name."""
    for path in paths:
        folder = Path(path)
        if path != "-" and folder.is_dir():
            yield from (str(entry) for entry in sorted(folder.iterdir()) if entry.is_file() and entry.name[0] != ".")
        else:
            yield path


class FileRun:
    """One run over capture files into a data directory."""

    def __init__(
        self,
        registrar: Registrar,
        settings: Settings,
        part_ns: int = PART_NS,
        slab_bytes: int = SLAB_BYTES,
        processes: int = 1,
        references: Sequence[ReferenceHandle] = (),
    ) -> None:
        self._slab = SlabRing(slab_bytes)
        self._registrar = registrar
        registrar.clock = lambda: {"source": CAPTURE_FILE}
        self._pipeline = Pipeline(settings)
        self._recorder = Recorder(
            self._pipeline,
            registrar.store,
            registrar.public,
            registrar,
            GATHER_BYTES,
            part_ns,
            registrar.policy,
        )
        self._ears = Ears(self._pipeline, processes, settings.hold_back_ns, waits=True)
        loaded, self._problems = load_references(registrar.data_dir, references)
        self._ears.note_references(loaded, left_out(references, loaded))
        self._held: deque[Block] = deque()
        self._since_commit = 0
        self._committed = 0

    def run(self, paths: Sequence[str], version: str, progress: Callable[[str, int], None] | None = None) -> Summary:
        """Read the files, write the recordings, return what there was. progress(path, bytes read of it)."""
        try:
            return self._run(paths, version, progress)
        finally:
            self._ears.close()

    def _run(self, paths: Sequence[str], version: str, progress: Callable[[str, int], None] | None) -> Summary:
        summary = Summary()
        self._registrar.begin_run(list(paths), now_us(), version)
        mono = 0
        several = len(paths) > 1 or (paths[0] != "-" and Path(paths[0]).is_dir())
        for path in capture_files(paths):
            capture = CaptureFile(path, self._slab, mono)
            try:
                self._read(capture, progress)
            except CaptureFileError as error:
                if not several:
                    raise
                summary.problems.append(str(error))
                continue
            mono = capture.mono_ns
            summary.files += 1
            if capture.cut:
                summary.problems.append(f"{path}: {capture.cut}")
            for reason, count in capture.counters.items():
                self._pipeline.counters[reason] += count
        self._commit(_NEVER, final=True)
        self._finish(summary)
        return summary

    def _read(self, capture: CaptureFile, progress: Callable[[str, int], None] | None) -> None:
        for block in capture.blocks():
            if block is None:
                self._make_room()
                continue
            self._pipeline.feed(block)
            self._ears.turn(self._pipeline.now_mono)
            self._held.append(block)
            self._since_commit += len(block)
            if self._since_commit >= _COMMIT_FRAMES:
                self._commit(self._pipeline.now_mono - self._pipeline.settings.hold_back_ns)
            if progress is not None:
                progress(capture.path, capture.bytes_read)

    def _make_room(self) -> None:
        """The slab is full: what is older than the hold-back goes, or, at a rate beyond it, the older half."""
        before = len(self._held)
        self._recorder.flush()
        self._commit(self._pipeline.now_mono - self._pipeline.settings.hold_back_ns)
        self._recorder.flush()
        self._release()
        if len(self._held) == before and self._held:
            self._pipeline.counters["hold-back shortened"] += 1
            middle = self._held[len(self._held) // 2]
            self._commit(int(middle.mono_ns[-1]))
            self._recorder.flush()
            self._release()

    def _commit(self, horizon: int, final: bool = False) -> None:
        self._ears.finish(self._pipeline.now_mono)
        self._recorder.commit(horizon, final)
        self._recorder.settle()
        self._committed = horizon
        self._since_commit = 0
        self._release()

    def _release(self) -> None:
        """Give blocks back whose packets are written."""
        horizon = self._committed if self._recorder.is_flushed else 0
        while self._held and int(self._held[0].mono_ns[-1]) <= horizon:
            self._slab.release(self._held.popleft())

    def _finish(self, summary: Summary) -> None:
        pipeline = self._pipeline
        summary.frames = pipeline.counters["frames"]
        summary.packets = self._recorder.packets
        summary.outcomes = pipeline.outcomes
        summary.drops = drops_of(pipeline)
        summary.faults = list(pipeline.faults)
        summary.problems += [*self._problems, *self._ears.messages]
        summary.unsignalled = len(self._recorder.unsignalled)
        self._registrar.note_unsignalled(self._recorder.unsignalled)
        self._registrar.update_run(summary.frames, summary.drops, dict(summary.outcomes), now_us())
        self._registrar.end_run()


# What counters say of frames, messages and connections that were read as they should be.
_READ: Final = re.compile(
    r"frames|voices listened to|(?:reassembled )?(?:udp|tcp|tcp without payload)|fragment|encap .*|sip [A-Z]+"
    r"|sip other method"
    r"|sip (?:tcp|ws): (?:messages|keep-alive bytes)|websocket: (?:control frames|keep-alives)"
    r"|tcp: (?:sip|websocket) connections|tcp: connections closed"
    r"|(?:tcp: )?unread .*|tcp: tls connections with sip|cut by snaplen|sip port .*|sip requests|sip responses"
    r"|clock steps|dtls records"
)


def drops_of(pipeline: Pipeline) -> dict[str, dict[str, int]]:
    """Return what was not recorded or not understood, by layer and reason."""
    return _counted(pipeline, is_read=False)


def seen_of(pipeline: Pipeline) -> dict[str, dict[str, int]]:
    """Return what was read as it should be, and what was passed over by name, by layer and reason."""
    return _counted(pipeline, is_read=True)


def _counted(pipeline: Pipeline, is_read: bool) -> dict[str, dict[str, int]]:
    sources = {
        "frames": pipeline.link.counters,
        "tcp": pipeline.tcp.counters,
        "sip": pipeline.book.tracker.counters,
        "media": pipeline.counters,
    }
    found = {
        layer: {
            reason: int(count)
            for reason, count in sorted(counters.items())
            if count and bool(_READ.fullmatch(reason)) == is_read
        }
        for layer, counters in sources.items()
    }
    return {layer: reasons for layer, reasons in found.items() if reasons}
