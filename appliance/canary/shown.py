"""How the canary is doing, as API, console and metrics show it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from vittne.appliance.canary.table import Run
from vittne.appliance.store.times import rfc3339


class CheckShown(BaseModel):
    """One thing that was looked at. result: holds, fails or unchecked."""

    model_config = ConfigDict(frozen=True)

    name: str
    result: str
    words: str


class CanaryShown(BaseModel):
    """One canary call. result: running, well, unwell, unsure. sealed_after_s: from its first packet."""

    model_config = ConfigDict(frozen=True)

    id: str
    started_at: str
    ended_at: str | None
    recording: str
    sealed_after_s: float | None
    result: str
    checks: list[CheckShown]


def canary_shown(run: Run) -> CanaryShown:
    """Return a run as it is shown."""
    return CanaryShown(
        id=run.id,
        started_at=rfc3339(run.started_us),
        ended_at=None if run.ended_us is None else rfc3339(run.ended_us),
        recording=run.recording,
        sealed_after_s=None if run.sealed_us is None else round((run.sealed_us - run.started_us) / 1e6, 3),
        result=run.result,
        checks=[CheckShown(name=one.name, result=one.result, words=one.words) for one in run.checks],
    )
