"""Scenarios through the pipeline with a real analysis process beside it, as a file is read."""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import START_NS, Scenario
from building.playing import COMMIT_NS, NEVER, Result, blocks_of, take

from vittne.appliance.analysis.ears import Ears
from vittne.appliance.analysis.references import left_out, load_references
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.capture.columns import SECOND
from vittne.capture.pause import PauseSettings
from vittne.capture.pipeline import Pipeline, Settings
from vittne.capture.recordrules import RecordRule, RecordRules

WINDOW_NS = 30 * SECOND


def listening(*rules: RecordRule, window_ns: int = WINDOW_NS, site: str = "", own: tuple[str, ...] = ()) -> Settings:
    recording = RecordRules(rules, own, key=b"k" * 32, version="v", site=site)
    return Settings(recording=recording, pause=PauseSettings(auto_digits=0), listen_ns=window_ns, detector="1")


@dataclass
class Followed:
    """A run; what is done while it lasts gets it."""

    pipeline: Pipeline
    ears: Ears
    data: Path
    handles: Sequence[ReferenceHandle] = ()
    processes: int = 1
    result: Result = field(init=False)

    def __post_init__(self) -> None:
        self.result = Result(self.pipeline)
        self.learn(self.handles)

    def learn(self, handles: Sequence[ReferenceHandle]) -> list[str]:
        """Have announcements listened for; return what is wrong with some."""
        self.handles = handles
        loaded, problems = load_references(self.data, handles)
        self.ears.note_references(loaded, left_out(handles, loaded))
        return problems

    def kill_analysis(self) -> None:
        """Kill -9 of the process, as the kernel does when memory is short."""
        os.kill(self.ears._ears[0]._process.pid, signal.SIGKILL)

    def restart_worker(self) -> None:
        """Everything committed, then another worker goes on from the snapshot."""
        self.ears.finish(self.pipeline.now_mono)
        take(self.result, self.pipeline.commit(self.pipeline.now_mono))
        self.pipeline.all_written()
        self.ears.close()
        self.pipeline = pickle.loads(pickle.dumps(self.pipeline))
        self.result.pipeline = self.pipeline
        self.ears = Ears(self.pipeline, self.processes, self.pipeline.settings.hold_back_ns, waits=True)
        self.learn(self.handles)


def follow(
    scenario: Scenario,
    data: Path,
    settings: Settings | None = None,
    handles: Sequence[ReferenceHandle] = (),
    orders: Mapping[float, Callable[[Followed], object]] | None = None,
    block_ns: int = SECOND // 5,
    processes: int = 1,
) -> Followed:
    """Feed a scenario in blocks with a commit every two seconds of its time. orders: done at seconds from its start."""
    pipeline = Pipeline(settings or listening())
    ears = Ears(pipeline, processes, pipeline.settings.hold_back_ns, waits=True)
    run = Followed(pipeline, ears, data, handles, processes)
    last = 0
    left = sorted((orders or {}).items())
    try:
        for block in blocks_of(scenario.frames(), block_ns):
            while left and START_NS + left[0][0] * SECOND <= int(block.at_ns[0]):
                left.pop(0)[1](run)
            run.pipeline.feed(block)
            run.ears.turn(run.pipeline.now_mono)
            if run.pipeline.now_mono - last > COMMIT_NS:
                last = run.pipeline.now_mono
                run.ears.finish(last)
                take(run.result, run.pipeline.commit(last - run.pipeline.settings.hold_back_ns))
                run.pipeline.all_written()
        run.ears.finish(run.pipeline.now_mono)
        take(run.result, run.pipeline.commit(NEVER, final=True))
    finally:
        run.ears.close()
    assert not run.pipeline.faults, run.pipeline.faults[0]
    return run


def only(run: Followed) -> dict[str, Any]:
    """Return the report of the only call."""
    (report,) = run.result.reports
    return report
