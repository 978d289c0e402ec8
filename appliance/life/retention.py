"""Retention: what goes when, why not, and doing it. Nothing goes that no class lets go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.life import asking
from vittne.appliance.life.carry import refuse_when_lost
from vittne.appliance.life.erase import EXPIRED, LOG_IS_READ, TOGETHER, TRIES, Wanted, erasing_some, settle_erasures
from vittne.appliance.life.immutable import protect, release
from vittne.appliance.life.precedence import Decision, decide
from vittne.appliance.life.table import LifeRow, LifeTable
from vittne.appliance.policy.classes import RetentionClass
from vittne.appliance.policy.decide import PolicyRules
from vittne.appliance.policy.decide import decide as decide_policy
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditSearch
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us, rfc3339

ROUND: Final = 1000  # recordings
_SWEPT_AT_ONCE: Final = 50  # folders whose flags are looked at before others get their turn


class CannotChange(StoreError):
    """A class or a time that a recording does not get."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do to one recording, and why."""

    row: LifeRow
    decision: Decision

    def as_json(self) -> dict[str, Any]:
        """Return it as `retention plan --json` shows it."""
        told = self.decision.as_json(self.row.facts)
        return {
            "id": self.row.id,
            "goes": self.decision.allowed,
            "rule": self.decision.rule,
            "why": self.decision.words,
            "size_bytes": self.row.size_bytes,
            **told["inputs"],
        }


@dataclass(slots=True)
class Total:
    """Recordings and bytes of one class under one rule."""

    recordings: int = 0
    size_bytes: int = 0


def planned(rows: Iterable[LifeRow], at_us: int) -> Iterator[Planned]:
    """Yield what a run at that time would do to each."""
    for row in rows:
        yield Planned(row, decide("expire", row.facts, at_us))


def add_up(items: Iterable[Planned]) -> dict[tuple[str, str], Total]:
    """Return totals by (rule, class)."""
    found: dict[tuple[str, str], Total] = {}
    for one in items:
        total = found.setdefault((one.decision.rule, one.row.facts.retention_class), Total())
        total.recordings += 1
        total.size_bytes += one.row.size_bytes
    return found


def unowned(table: LifeTable, classes: Mapping[str, RetentionClass]) -> dict[str, int]:
    """Return, by class, how many recordings have no end and nobody who answers for that."""
    return {name: n for name, n in table.without_end().items() if name not in classes or not classes[name].owner}


def under(row: LifeRow, call: CallRow, rules: PolicyRules) -> LifeRow:
    """Return a recording as other rules would have made it when it was sealed."""
    policy = decide_policy(call.as_json(), rules)
    facts = replace(
        row.facts,
        retention_class=policy.class_,
        locked_until_us=policy.lock_until,
        expires_us=policy.delete_after,
    )
    return replace(row, facts=facts)


class RunRetention(Order):
    """Erase what is due now: up to ROUND recordings, behind the one named by "next" of the answer before.

    In rounds, so that who wants to listen meanwhile need not wait for all of it.
    """

    after_us: int = -1
    after_id: str = ""


def _run(registrar: Registrar, order: RunRetention, caller: Caller) -> Steps:
    refuse_when_lost(registrar.data_dir)
    settle_erasures(registrar)
    yield Progress(0, 0)
    if not order.after_id:  # what is sealed from here on is asked at sealing
        registrar.life.holds.take_standing()
        yield Progress(0, 0)
        if registrar.life_policy.immutable:
            yield from _sweep(registrar)
    at = now_us()
    due = registrar.life.due_after(at, (order.after_us, order.after_id), ROUND)
    counts: dict[str, int] = {}
    waiting = 0  # erased but for what is in a log that somebody reads
    for begin in range(0, len(due), TOGETHER):
        rows = registrar.life.rows([recording for _, recording in due[begin : begin + TOGETHER]])
        items = list(planned(rows, at))
        for one in items:
            counts[one.decision.rule] = counts.get(one.decision.rule, 0) + 1
        _note_kept(registrar, caller, [one for one in items if not one.decision.allowed])
        going = [
            Wanted(one.row, EXPIRED, f"class {one.row.facts.retention_class}", caller, (), one.decision)
            for one in items
            if one.decision.allowed
        ]
        for words in erasing_some(registrar, going, 1 if waiting else TRIES) if going else ():
            waiting += len(going) if words == LOG_IS_READ else 0
            yield Progress(begin, len(due), words)
    registrar.audit.note(events.RETENTION_RUN, caller, due=len(due), rules=counts)
    last = list(due[-1]) if len(due) == ROUND else None
    return {"due": len(due), "rules": counts, "waiting": waiting, "next": last}


def following(answer: Mapping[str, Any]) -> RunRetention | None:
    """Return the round behind the one that was answered; None when it was the last."""
    last = answer["next"]
    return None if last is None else RunRetention(after_us=last[0], after_id=last[1])


def _note_kept(registrar: Registrar, caller: Caller, kept: Sequence[Planned]) -> None:
    """Write down why what is due stays; once, as long as the rule is the same."""
    told: list[tuple[str, dict[str, Any]]] = []
    for one in kept:
        search = AuditSearch(recording=one.row.id, kinds=(events.RETENTION_KEPT,), limit=1)
        last = next((row.details for row in registrar.audit.table.search(search)), {})
        if last.get("decision", {}).get("rule") != one.decision.rule:
            told.append((one.row.id, {"decision": one.decision.as_json(one.row.facts)}))
    if told:
        registrar.audit.note_all(events.RETENTION_KEPT, caller, told)


def _sweep(registrar: Registrar) -> Iterator[Progress]:
    """Set the immutable flag where a lock lives, clear it where it is over."""
    at = now_us()
    rows = [(row.folder, row.facts.locked_until_us or 0) for row in registrar.life.locked()]
    for place, (folder, until) in enumerate(rows, 1):
        if folder and (registrar.data_dir / folder).is_dir():
            for path in (registrar.data_dir / folder).iterdir():
                (protect if at < until else release)(path)
        if place % _SWEPT_AT_ONCE == 0:
            yield Progress(place, len(rows), "immutable flags")


class ChangeRetention(Order):
    """Keep a recording until another time, or as another class. until_us: UTC."""

    recording: str
    until_us: int | None = None
    retention_class: str = ""
    reason: str = Field(min_length=1, max_length=500)


def do_change(registrar: Registrar, order: ChangeRetention, persons: tuple[Caller, ...]) -> Steps:
    """Change how long a recording is kept: longer freely, shorter only where no lock lives."""
    row = registrar.life.get(order.recording)
    if row.facts.erased_us is not None or row.facts.is_live:
        raise CannotChange("it was erased, or goes on", row.id, "nothing was done")
    name, locked, expires = _changed(registrar, row, order)
    yield Progress(0, 1)
    if is_shorter(row, locked, expires):
        if row.facts.locked_until_us is not None and now_us() < row.facts.locked_until_us:
            until = rfc3339(row.facts.locked_until_us)
            raise CannotChange(f"class {row.facts.retention_class!r} is locked until {until}", row.id, "only lengthen")
        if len(persons) < asking.persons_needed(registrar, asking.SHORTEN):
            wanted = {**order.model_dump(mode="json"), "recording": row.id}
            return asking.ask(registrar, asking.SHORTEN, row.id, wanted, persons[0])
    before = {"class": row.facts.retention_class, **_times(row.facts.locked_until_us, row.facts.expires_us)}
    after = {"class": name, **_times(locked, expires)}
    names = [one.name for one in persons]
    told = {"before": before, "after": after, "reason": order.reason, "approvers": names}
    registrar.audit.note(events.RETENTION_CHANGED, persons[-1], row.id, **told)
    registrar.life.change(row.id, retention_class=name, locked_until_us=locked, expires_us=expires)
    return {"recording": row.id, **after}


def is_shorter(row: LifeRow, locked_us: int | None, expires_us: int | None) -> bool:
    """Say whether new times keep a recording less long than its class now does. One without a class has none."""
    facts = row.facts
    if not facts.retention_class:
        return False
    ends = expires_us is not None and (facts.expires_us is None or expires_us < facts.expires_us)
    return ends or (facts.locked_until_us is not None and (locked_us is None or locked_us < facts.locked_until_us))


def _changed(registrar: Registrar, row: LifeRow, order: ChangeRetention) -> tuple[str, int | None, int | None]:
    """Return class, lock and end as ordered."""
    if bool(order.retention_class) == (order.until_us is not None):
        raise CannotChange("nothing to change to", row.id, "give --until or --class, one of the two")
    if order.until_us is not None:
        if not row.facts.retention_class:
            raise CannotChange("it has no retention class", row.id, "give it one, with --class")
        # A lock that is lengthened (MiFID's seven years) stays one; a lock that is over does not come back.
        locked = row.facts.locked_until_us
        lives = locked is not None and now_us() < locked
        return row.facts.retention_class, max(locked or 0, order.until_us) if lives else locked, order.until_us
    found = registrar.life_policy.classes.get(order.retention_class)
    if found is None:
        known = ", ".join(sorted(registrar.life_policy.classes))
        raise CannotChange(f"there is no class {order.retention_class[:60]!r}", row.id, f"there are {known}")
    call = registrar.catalogue.get(row.id)
    made_us = call.ended_us or call.started_us  # ages count from there, as at sealing
    least, greatest = (None if age is None else age.after(made_us) for age in (found.least, found.greatest))
    return found.name, least, greatest


def _times(locked_us: int | None, expires_us: int | None) -> dict[str, str | None]:
    times = {"locked_until": locked_us, "expires_at": expires_us}
    return {name: None if at is None else rfc3339(at) for name, at in times.items()}


def _change(registrar: Registrar, order: ChangeRetention, caller: Caller) -> Steps:
    return do_change(registrar, order, (caller,))


RUN_RETENTION: Final = Operation("retention.run", "erasing what is due", RunRetention, _run)
CHANGE_RETENTION: Final = Operation("retention.change", "changing a retention", ChangeRetention, _change)
