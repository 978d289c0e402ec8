"""What somebody should look at today: what is late, what waits, what is missing, what is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vittne.appliance.backup.standing import last_backup_us, last_drill_us
from vittne.appliance.compliance import outcomes
from vittne.appliance.compliance.incidents import IncidentTable
from vittne.appliance.config import Config
from vittne.appliance.life.asking import over_us
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.retention import unowned
from vittne.appliance.life.table import WAITS, LifeTable
from vittne.appliance.review.report import overdue
from vittne.appliance.review.table import ReviewTable
from vittne.appliance.saying import Said, counted, said
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
    told: Said
    scope: str
    where: str

    @property
    def words(self) -> str:
        """What it says, in English."""
        return str(self.told)


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
    if late:
        words = counted("%(num)s request of a person is overdue", "%(num)s requests of persons are overdue", late)
    elif soon:
        words = counted(
            "%(num)s request of a person is due within 7 days",
            "%(num)s requests of persons are due within 7 days",
            soon,
        )
    else:
        words = said("no request of a person is overdue; %(count)s open", count=len(cases))
    grade: Grade = "bad" if late else "warn" if soon else "good"
    yield Point("subjects", grade, words, "subjects", "/compliance/subjects")


def _incidents(at: _At) -> Iterator[Point]:
    runs = [one for one in IncidentTable(at.catalogue).all() if one.closed_us is None and one.told_us is None]
    late = [one for one in runs if one.is_late(at.now_us)]
    if late:
        words = counted(
            "%(num)s incident is past the 72 hours, and the authority was not told",
            "%(num)s incidents are past the 72 hours, and the authority was not told",
            len(late),
        )
        yield Point("incidents", "bad", words, "incidents", "/compliance/incidents")
    elif runs:
        left = (min(one.due_us for one in runs) - at.now_us) // _HOUR_US
        words = counted(
            "%(num)s incident is open: %(hours)s hours are left to tell the authority",
            "%(num)s incidents are open: %(hours)s hours are left to tell the authority",
            len(runs),
            hours=left,
        )
        yield Point("incidents", "warn", words, "incidents", "/compliance/incidents")


def _requests(at: _At) -> Iterator[Point]:
    rows = LifeTable(at.catalogue).requests()
    count = sum(one.state == WAITS and over_us(one, at.policy) > at.now_us for one in rows)
    if count:
        words = counted("%(num)s request waits for a second person", "%(num)s requests wait for a second person", count)
        yield Point("approvals", "warn", words, "approve", "/compliance/approvals")


def _announcements(at: _At) -> Iterator[Point]:
    total = sums(at.catalogue, at.now_us - 30 * _DAY_US, at.now_us).total
    if total.expected:
        share = f"{100 * total.proven / total.expected:.1f}"
        if total.missing:
            words = said(
                "%(share)s %% of the callers who had to be told were, in 30 days; %(missing)s were not",
                share=share,
                missing=total.missing,
            )
        else:
            words = said("%(share)s %% of the callers who had to be told were, in 30 days", share=share)
        grade: Grade = "warn" if total.missing else "good"
        yield Point("announcements", grade, words, "announcements", "/compliance/coverage")
    waiting = at.catalogue.count_calls(Search(quarantined=True))
    if waiting:
        words = counted(
            "%(num)s recording is in quarantine: it was not announced, and nobody may hear it",
            "%(num)s recordings are in quarantine: not announced, and nobody may hear them",
            waiting,
        )
        yield Point("quarantine", "warn", words, "erase", "/compliance/coverage?quarantined=true")


def _recorded(at: _At) -> Iterator[Point]:
    found = outcomes.counted(at.catalogue, at.now_us - _SOON_US, at.now_us)
    lost = {name: n for name, n in found.items() if name not in ("recorded", "partial", "imported") and n}
    unmeant = {name: n for name, n in lost.items() if not outcomes.meaning_of(name).is_meant}
    if unmeant:
        told = ", ".join(f"{n} {name}" for name, n in sorted(unmeant.items()))
        words = said("answered calls of 7 days that should be here and are not: %(which)s", which=told)
        yield Point("recorded", "bad", words, "audit", "/compliance/not-recorded")
    else:
        words = said(
            "every answered call of 7 days is recorded or was meant not to be (%(count)s calls)",
            count=sum(found.values()),
        )
        yield Point("recorded", "good", words, "audit", "/compliance/not-recorded")


def _reviews(at: _At) -> Iterator[Point]:
    late = len(overdue(ReviewTable(at.catalogue).reviews(), at.now_us))
    if late:
        words = counted("%(num)s review is overdue", "%(num)s reviews are overdue", late)
        yield Point("reviews", "warn", words, "review", "/compliance/reviews?overdue=true")


def _damage(at: _At) -> Iterator[Point]:
    state = read_state(at.data)
    damaged = len(state.now.damaged) or len(state.last.damaged if state.last else ())
    if damaged:
        words = counted(
            "%(num)s recording is not as it was sealed, or gone: `vittne scrub` names it",
            "%(num)s recordings are not as they were sealed, or gone: `vittne scrub` names them",
            damaged,
        )
        yield Point("damage", "bad", words, "audit", "/compliance/report")
    elif state.last is None:
        words = said("the archive was not read through yet")
        yield Point("damage", "warn", words, "audit", "/compliance/report")
    else:
        words = counted(
            "the archive was read through: %(num)s recording, nothing damaged",
            "the archive was read through: %(num)s recordings, nothing damaged",
            state.last.recordings,
        )
        yield Point("damage", "good", words, "audit", "/compliance/report")


def _backup(at: _At) -> Iterator[Point]:
    backed, drilled = last_backup_us(at.data), _drilled(at.data)
    if backed is None:
        words = said("no backup was ever made ([backup] says where to)")
        yield Point("backup", "bad", words, "audit", "/compliance/report")
    elif drilled is None:
        words = said("no backup was ever tried: `vittne restore --drill`")
        yield Point("backup", "bad", words, "audit", "/compliance/report")
    else:
        days = (at.now_us - backed) // _DAY_US
        tried = (at.now_us - drilled) // _DAY_US
        grade: Grade = "warn" if days > 2 or tried > at.config.backup.drill_days else "good"
        words = said("last backup %(made)s ago, last tried %(tried)s ago", made=_days(days), tried=_days(tried))
        yield Point("backup", grade, words, "audit", "/compliance/report")


def _days(number: int) -> Said:
    return counted("%(num)s day", "%(num)s days", number)


def _drilled(data: Path) -> int | None:
    try:
        return last_drill_us(data)
    except StoreError:  # no key ring of ours: nothing was tried
        return None


def _stamps(at: _At) -> Iterator[Point]:
    if not at.config.stamps.authorities:
        words = said("no time stamp authority is configured: when something existed, only this machine says")
        yield Point("stamps", "warn", words, "audit", "/compliance/report")
        return
    late = [one.authority for one in standings(at.data, at.config.stamps, at.now_us) if one.late]
    if late:
        words = said("time stamps are late: %(which)s", which=", ".join(late))
    else:
        words = said("time stamps are up to date")
    yield Point("stamps", "bad" if late else "good", words, "audit", "/compliance/report")


def _retention(at: _At) -> Iterator[Point]:
    life = LifeTable(at.catalogue, at.policy.early)
    for name, count in sorted(unowned(life, at.policy.classes).items()):
        words = counted(
            "class %(name)s has no end and nobody who answers for that: %(num)s recording",
            "class %(name)s has no end and nobody who answers for that: %(num)s recordings",
            count,
            name=name,
        )
        yield Point("retention", "warn", words, "retention", "/compliance/retention")


_LOOKS: Final[tuple[Callable[[_At], Iterator[Point]], ...]] = (
    *(_cases, _incidents, _requests, _recorded, _announcements),
    *(_damage, _backup, _stamps, _reviews, _retention),
)
