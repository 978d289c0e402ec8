"""A whole look: at capture files, at interfaces, or at a box with its recorder. What is found, as one report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from vittne.appliance.config import Config
from vittne.appliance.doctor.boxfacts import Box, look_at_box
from vittne.appliance.doctor.card_checks import CARD_CHECKS
from vittne.appliance.doctor.finding import WEIGHTS, Finding, ordered
from vittne.appliance.doctor.machine_checks import MACHINE_CHECKS
from vittne.appliance.doctor.recorderfacts import RecorderFacts
from vittne.appliance.doctor.tap import judge_tap
from vittne.appliance.doctor.tapfacts import CallSums, TapFacts, sum_unsignalled
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.times import now_us, rfc3339

BOX_CHECKS: Final = (*CARD_CHECKS, *MACHINE_CHECKS)
_DAY_US: Final = 86_400_000_000
_MOST_CALLS: Final = 500
Source = Literal["files", "interfaces", "box"]


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at, when, and what was found, the worst first."""

    source: Source
    of: tuple[str, ...]
    at_us: int
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The weight of the worst: good, note, warn or bad."""
        weights = {one.weight for one in self.findings}
        return next((weight for weight in WEIGHTS if weight in weights), "good")

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "at": rfc3339(self.at_us),
            "source": self.source,
            "of": list(self.of),
            "verdict": self.verdict,
            "findings": [one.as_json() for one in self.findings],
        }


def report_on_tap(source: Source, of: Sequence[str], tap: TapFacts) -> Report:
    """Return what is found of a capture or of interfaces."""
    return Report(source, tuple(of), now_us(), tuple(ordered(judge_tap(tap))))


def report_on_box(
    config: Config,
    recorder: RecorderFacts | None,
    catalogue: Catalogue | None,
    holder: str = "",
    file: Path | None = None,
    look: Callable[..., Box] = look_at_box,
) -> Report:
    """Return what is found of a box, and of the tap of the recorder that runs on it. Takes a second or two."""
    box = look(config, catalogue, recorder, holder, file)
    found = [one for check in BOX_CHECKS if (one := check(box)) is not None]
    if recorder is not None and recorder.interfaces and recorder.counters:
        found += judge_tap(tap_of_recorder(recorder, catalogue))
    of = recorder.interfaces if recorder is not None else config.interfaces
    return Report("box", tuple(of), now_us(), tuple(ordered(found)))


def tap_of_recorder(recorder: RecorderFacts, catalogue: Catalogue | None) -> TapFacts:
    """Return what a recorder saw since its start, and the calls of its last day, the newest of them."""
    calls, streams = CallSums(), sum_unsignalled(())
    if catalogue is not None:
        since = now_us() - _DAY_US
        for row in catalogue.list_calls(Search(since_us=since, limit=_MOST_CALLS)):
            if row.outcome and row.outcome != "imported":
                calls.add(row.as_json())
        runs = catalogue.runs()
        if runs and runs[-1].id is not None:
            streams = sum_unsignalled(row.as_json() for row in catalogue.unsignalled(runs[-1].id))
    return TapFacts(recorder.counters, calls, streams, seconds=recorder.running_s, is_live=True)
