"""Runs of the canary call in the catalogue: what was sent, which recording came of it, and what was found.

Which calls are canaries is told by this table alone: whoever counts calls leaves out those in it (store/canaries.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import delete, func, insert, select, update

from vittne.appliance.canary.mark import Sent
from vittne.appliance.seal.verdict import Check, unchecked
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import canaries
from vittne.appliance.store.times import rfc3339

Result = Literal["running", "well", "unsure", "unwell"]
RUNNING: Final = "running"
WELL: Final = "well"
UNSURE: Final = "unsure"  # nothing wrong was found, but not everything could be checked
UNWELL: Final = "unwell"
AWAITED_US: Final = 3600 * 1_000_000  # after so long a recording is of no run any more
_KEPT: Final = 2000  # runs that came to no recording: of the others the row says what the call is


@dataclass(frozen=True, slots=True)
class Run:
    """One run. Times are us UTC. sealed_us: when its recording was there; None: it never was."""

    id: str
    started_us: int
    ended_us: int | None
    recording: str
    sealed_us: int | None
    result: Result
    checks: tuple[Check, ...]

    @property
    def failed(self) -> list[str]:
        """Names of what does not hold."""
        return [check.name for check in self.checks if not check.ok]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "id": self.id,
            "started_at": rfc3339(self.started_us),
            "ended_at": None if self.ended_us is None else rfc3339(self.ended_us),
            "recording": self.recording,
            "sealed_at": None if self.sealed_us is None else rfc3339(self.sealed_us),
            "result": self.result,
            "checks": [_shown(check) for check in self.checks],
        }


def _shown(check: Check) -> dict[str, str]:
    return {"name": check.name, "result": check.result, "words": check.words}


class CanaryTable:
    """The table. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def begin(self, sent: Sent, at_us: int) -> None:
        """Note what is about to be sent: before it is, so that a restart knows its recording."""
        row = {"id": sent.run, "started_us": at_us, "recording": "", "result": RUNNING, "checks": []}
        with self._catalogue.writing() as connection:
            connection.execute(insert(canaries).values({**row, "sent": sent.as_json()}))

    def pending(self, at_us: int) -> list[tuple[Sent, str]]:
        """Return runs of the last hour whose recording is not sealed, each with its recording as far as it is known."""
        wanted = (canaries.c.sealed_us.is_(None), canaries.c.started_us > at_us - AWAITED_US)
        with self._catalogue.reading() as connection:
            rows = connection.execute(select(canaries).where(*wanted)).all()
        return [(Sent.from_json(row.sent), row.recording) for row in rows]

    def give_up(self, at_us: int) -> None:
        """End runs that an earlier start of the recorder began: nobody looks at them any more."""
        check = unchecked("recorded", "the recorder was started anew meanwhile, so nobody looked at it")
        with self._catalogue.reading() as connection:
            query = select(canaries.c.id).where(canaries.c.result == RUNNING)
            left = [row.id for row in connection.execute(query)]
        for run in left:
            self.end(run, UNSURE, [check], at_us)

    def recorded(self, recordings: Mapping[str, str]) -> None:
        """Note which recording a run makes. recordings: by run."""
        with self._catalogue.writing() as connection:
            for run, recording in recordings.items():
                connection.execute(update(canaries).where(canaries.c.id == run).values(recording=recording))

    def sealed(self, run: str, at_us: int) -> None:
        """Note that a run's recording is sealed."""
        with self._catalogue.writing() as connection:
            connection.execute(update(canaries).where(canaries.c.id == run).values(sealed_us=at_us))

    def end(self, run: str, result: Result, checks: Sequence[Check], at_us: int) -> None:
        """Note what came of a run; forget the oldest of those that made no recording."""
        values = {"result": result, "checks": [_shown(check) for check in checks], "ended_us": at_us}
        silent = select(canaries.c.id).where(canaries.c.recording == "").order_by(canaries.c.started_us.desc())
        with self._catalogue.writing() as connection:
            connection.execute(update(canaries).where(canaries.c.id == run).values(values))
            old = [row.id for row in connection.execute(silent.offset(_KEPT).limit(_KEPT))]
            connection.execute(delete(canaries).where(canaries.c.id.in_(old)))

    def get(self, run: str) -> Run | None:
        """Return a run."""
        with self._catalogue.reading() as connection:
            row = connection.execute(select(canaries).where(canaries.c.id == run)).one_or_none()
        return None if row is None else _run(row)

    def newest(self, limit: int = 1) -> list[Run]:
        """Return runs, the newest first."""
        query = select(canaries).order_by(canaries.c.started_us.desc()).limit(limit)
        with self._catalogue.reading() as connection:
            return [_run(row) for row in connection.execute(query)]

    def well_us(self) -> int | None:
        """Return when a run was last found well, or with nothing wrong."""
        query = select(func.max(canaries.c.started_us)).where(canaries.c.result.in_((WELL, UNSURE)))
        with self._catalogue.reading() as connection:
            found = connection.execute(query).scalar_one()
            return None if found is None else int(found)


def _run(row: Any) -> Run:
    checks = tuple(Check(one["name"], one["result"], one["words"]) for one in row.checks)
    return Run(row.id, row.started_us, row.ended_us, row.recording, row.sealed_us, row.result, checks)
