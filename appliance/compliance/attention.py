"""What somebody should look at today: what is late, what waits, what is missing, what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vittne.appliance.backup.standing import last_backup_us, last_drill_us
from vittne.appliance.compliance.finding import many
from vittne.appliance.compliance.incidents import IncidentTable
from vittne.appliance.compliance.outcomes import counted, meaning_of
from vittne.appliance.config import Config
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.retention import unowned
from vittne.appliance.life.table import WAITS, LifeTable
from vittne.appliance.review.report import overdue
from vittne.appliance.review.table import ReviewTable
from vittne.appliance.scrub.cycle import read_state
from vittne.appliance.stamps.standing import standings
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.errors import StoreError
from vittne.appliance.subjects.table import CaseTable
from vittne.appliance.verdicts.sums import sums

Grade = Literal["bad", "warn", "good"]
_DAY_US: Final = 86_400_000_000
_SOON_US: Final = 7 * _DAY_US
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Point:
    """Something to look at, or (good) that all is well. scope: who it is for; where: a page of the console."""

    name: str
    grade: Grade
    words: str
    scope: str
    where: str


@dataclass(frozen=True, slots=True)
class _At:
    data: Path
    catalogue: Catalogue
    config: Config
    policy: LifePolicy
    now_us: int


def attention(data: Path, catalogue: Catalogue, config: Config, policy: LifePolicy, now_us: int) -> list[Point]:
    """Return what there is to look at, the worst first. Raises StoreError."""
    at = _At(data, catalogue, config, policy, now_us)
    found = [point for look in _LOOKS for point in look(at)]
    return sorted(found, key=lambda point: ("bad", "warn", "good").index(point.grade))


def _cases(at: _At) -> Iterator[Point]:
    cases = CaseTable(at.catalogue).cases()
    late = sum(one.due_us <= at.now_us for one in cases)
    soon = sum(at.now_us < one.due_us <= at.now_us + _SOON_US for one in cases)
    grade: Grade = "bad" if late else "warn" if soon else "good"
    words = (
        f"{many(late, 'request')} of persons overdue"
        if late
        else f"{many(soon, 'request')} of persons due within 7 days"
    )
    words = words if late or soon else f"no request of a person is overdue; {len(cases)} open"
    yield Point("subjects", grade, words, "subjects", "/compliance/subjects")


def _incidents(at: _At) -> Iterator[Point]:
    runs = [one for one in IncidentTable(at.catalogue).all() if one.closed_us is None and one.told_us is None]
    late = [one for one in runs if one.is_late(at.now_us)]
    if late:
        words = f"{many(len(late), 'incident')} past the 72 hours, and the authority was not told"
        yield Point("incidents", "bad", words, "incidents", "/compliance/incidents")
    elif runs:
        left = (min(one.due_us for one in runs) - at.now_us) // _HOUR_US
        words = f"{many(len(runs), 'incident')} open: {left} hours are left to tell the authority"
        yield Point("incidents", "warn", words, "incidents", "/compliance/incidents")


def _requests(at: _At) -> Iterator[Point]:
    count = sum(one.state == WAITS for one in LifeTable(at.catalogue).requests())
    if count:
        yield Point("approvals", "warn", f"{count} waiting for a second person", "approve", "/compliance/approvals")


def _announcements(at: _At) -> Iterator[Point]:
    total = sums(at.catalogue, at.now_us - 30 * _DAY_US, at.now_us).total
    if total.expected:
        told = f"{total.proven / total.expected:.1%} of the callers who had to be told were, in 30 days"
        words = f"{told}; {total.missing} were not" if total.missing else told
        yield Point(
            "announcements", "warn" if total.missing else "good", words, "announcements", "/compliance/coverage"
        )
    waiting = at.catalogue.count_calls(Search(quarantined=True))
    if waiting:
        words = f"{many(waiting, 'recording')} in quarantine: not announced, and nobody may hear them"
        yield Point("quarantine", "warn", words, "erase", "/compliance/coverage?quarantined=true")


def _recorded(at: _At) -> Iterator[Point]:
    found = counted(at.catalogue, at.now_us - _SOON_US, at.now_us)
    lost = {name: n for name, n in found.items() if name not in ("recorded", "partial", "imported") and n}
    unmeant = {name: n for name, n in lost.items() if not meaning_of(name).is_meant}
    if unmeant:
        told = ", ".join(f"{n} {name}" for name, n in sorted(unmeant.items()))
        words = f"answered calls of 7 days that should be here and are not: {told}"
        yield Point("recorded", "bad", words, "audit", "/compliance/not-recorded")
    else:
        words = f"every answered call of 7 days is recorded or was meant not to be ({sum(found.values())} calls)"
        yield Point("recorded", "good", words, "audit", "/compliance/not-recorded")


def _reviews(at: _At) -> Iterator[Point]:
    late = len(overdue(ReviewTable(at.catalogue).reviews(), at.now_us))
    if late:
        yield Point("reviews", "warn", f"{many(late, 'review')} overdue", "review", "/compliance/reviews?overdue=true")


def _damage(at: _At) -> Iterator[Point]:
    state = read_state(at.data)
    damaged = len(state.now.damaged) or len(state.last.damaged if state.last else ())
    if damaged:
        words = f"{many(damaged, 'recording')} not as it was sealed, or gone: `vittne scrub` names them"
        yield Point("damage", "bad", words, "audit", "/compliance/report")
    elif state.last is None:
        yield Point("damage", "warn", "the archive was not read through yet", "audit", "/compliance/report")
    else:
        words = f"the archive was read through: {many(state.last.recordings, 'recording')}, nothing damaged"
        yield Point("damage", "good", words, "audit", "/compliance/report")


def _backup(at: _At) -> Iterator[Point]:
    backed, drilled = last_backup_us(at.data), _drilled(at.data)
    if backed is None:
        yield Point("backup", "bad", "no backup was ever made ([backup] says where to)", "audit", "/compliance/report")
    elif drilled is None:
        yield Point(
            "backup", "bad", "no backup was ever tried: `vittne restore --drill`", "audit", "/compliance/report"
        )
    else:
        days = (at.now_us - backed) // _DAY_US
        tried = (at.now_us - drilled) // _DAY_US
        grade: Grade = "warn" if days > 2 or tried > at.config.backup.drill_days else "good"
        words = f"last backup {many(days, 'day')} ago, last tried {many(tried, 'day')} ago"
        yield Point("backup", grade, words, "audit", "/compliance/report")


def _drilled(data: Path) -> int | None:
    try:
        return last_drill_us(data)
    except StoreError:  # no key ring of ours: nothing was tried
        return None


def _stamps(at: _At) -> Iterator[Point]:
    if not at.config.stamps.authorities:
        words = "no time stamp authority is configured: when something existed, only this machine says"
        yield Point("stamps", "warn", words, "audit", "/compliance/report")
        return
    late = [one.authority for one in standings(at.data, at.config.stamps, at.now_us) if one.late]
    words = f"time stamps are late: {', '.join(late)}" if late else "time stamps are up to date"
    yield Point("stamps", "bad" if late else "good", words, "audit", "/compliance/report")


def _retention(at: _At) -> Iterator[Point]:
    life = LifeTable(at.catalogue, at.policy.early)
    for name, count in sorted(unowned(life, at.policy.classes).items()):
        words = f"class {name} has no end and nobody who answers for that: {many(count, 'recording')}"
        yield Point("retention", "warn", words, "retention", "/compliance/retention")


_LOOKS: Final[tuple[Callable[[_At], Iterator[Point]], ...]] = (
    *(_cases, _incidents, _requests, _recorded, _announcements),
    *(_damage, _backup, _stamps, _reviews, _retention),
)
