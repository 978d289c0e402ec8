"""Operations of the life of a recording, done by the one writer: hold, erase, restrict, correct, change its class.

Each has a function do_...(registrar, order, persons): persons are those who want it, the first one asked. Where it
needs one more, the answer is {"waits": REQUEST} and nothing is done (life/asking.py).
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.life import asking
from vittne.appliance.life.carry import refuse_when_lost
from vittne.appliance.life.erase import (
    EARLY,
    REQUESTED,
    CannotErase,
    Settle,
    Wanted,
    check_reason,
    erasing,
    settle_erasures,
)
from vittne.appliance.life.precedence import LOCK, decide
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import canonical
from vittne.appliance.store.corrections import Correction, corrected
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.holds import HoldRow
from vittne.appliance.store.times import now_us

Persons = tuple[Caller, ...]
CorrectedField = Literal["caller", "callee", "site"]
_NARROWING: Final = ("since_us", "until_us", "number", "outcome", "call_id", "codec")
_TEXT: Final = Field(min_length=1, max_length=500)


class CannotDo(StoreError):
    """An order that cannot be done, and why."""


class PlaceHold(Order):
    """recordings: ids or their first letters; search: fields of Search, then standing may be true."""

    label: str = _TEXT
    reason: str = _TEXT
    owner: str = Field(default="", max_length=200)
    recordings: list[str] = Field(default_factory=list)
    search: dict[str, Any] | None = None
    standing: bool = False


class ReleaseHold(Order):
    """Let go of a hold, by its id or first letters."""

    hold: str
    reason: str = _TEXT


class Erase(Order):
    """Erase one recording."""

    recording: str
    reason: str = _TEXT


class Restrict(Order):
    """Keep a recording and do not use it, or (is_on False) use it again."""

    recording: str
    reason: str = _TEXT
    is_on: bool = True


class Correct(Order):
    """Show a field of a call otherwise than it was recorded."""

    recording: str
    field: CorrectedField
    value: str = Field(max_length=500)
    reason: str = _TEXT


def _place_hold(registrar: Registrar, order: PlaceHold, caller: Caller) -> Steps:
    if bool(order.recordings) == (order.search is not None):
        raise CannotDo("a hold lies on ids, or on what a search finds", order.label, "give one of the two")
    if order.search is not None and not any(order.search.get(name) for name in _NARROWING):
        raise CannotDo("a hold on everything", order.label, "say on what: --id, --number, --since ...")
    if order.standing and order.search is None:
        raise CannotDo("a standing hold needs a search", order.label, "give --number, --since or the like")
    ids = sorted({registrar.catalogue.get(one).id for one in order.recordings})
    yield Progress(0, 1)
    hold = HoldRow(
        secrets.token_hex(8),
        order.label,
        order.reason,
        order.owner or caller.name,
        order.search,
        order.standing,
        now_us(),
        caller.name,
        salt=secrets.token_hex(16),
    )
    count = registrar.life.holds.place(hold, ids)
    registrar.audit.note(events.HOLD_PLACED, caller, hold=hold.id, recordings=count, terms=terms(hold))
    return {"hold": hold.id, "recordings": count}


def terms(hold: HoldRow) -> str:
    """Return a commitment to what a hold says: the trail has no text that may name people."""
    said = canonical({"label": hold.label, "reason": hold.reason, "owner": hold.owner, "search": hold.search})
    return hashlib.sha256(bytes.fromhex(hold.salt) + said).hexdigest()


def do_release(registrar: Registrar, order: ReleaseHold, persons: Persons) -> Steps:
    """Release a hold; a recording is free when none is left."""
    hold = registrar.life.holds.get(order.hold)
    if hold.released_us is not None:
        raise CannotDo("the hold was released before", hold.id, "nothing was done")
    yield Progress(0, 1)
    if len(persons) < asking.persons_needed(registrar, asking.RELEASE):
        return asking.ask(registrar, asking.RELEASE, "", {"hold": hold.id, "reason": order.reason}, persons[0])
    names, said = [one.name for one in persons], terms(replace(hold, reason=order.reason))
    registrar.audit.note(events.HOLD_RELEASED, persons[-1], hold=hold.id, approvers=names, terms=said)
    registrar.life.holds.release(hold.id, now_us(), persons[-1].name, order.reason)
    return {"hold": hold.id, "released": True}


def do_erase(registrar: Registrar, order: Erase, persons: Persons) -> Steps:
    """Erase a recording, or say why not. What a crash left of others is done first."""
    refuse_when_lost(registrar.data_dir)
    settle_erasures(registrar)
    yield Progress(0, 1)
    recording = registrar.catalogue.get(order.recording).id
    registrar.life.holds.take_standing([recording])
    row = registrar.life.get(recording)
    decision = decide("erase", row.facts, now_us())
    if decision.allowed:
        check_reason(registrar, recording, order.reason)
    if not decision.allowed:
        told = decision.as_json(row.facts)
        registrar.audit.note(events.ERASE_REFUSED, persons[0], recording, decision=told)
        raise CannotErase(f"not erased: {decision.words}", recording, "`vittne retention show` tells all of it")
    if len(persons) < asking.persons_needed(registrar, asking.ERASE, decision):
        wanted = {"recording": recording, "reason": order.reason}
        return asking.ask(registrar, asking.ERASE, recording, wanted, persons[0])
    word = EARLY if decision.rule == LOCK else REQUESTED
    names = tuple(one.name for one in persons)
    yield from erasing(registrar, [Wanted(row, word, order.reason, persons[0], names, decision)])
    return {"recording": recording, "erased": True}


def do_restrict(registrar: Registrar, order: Restrict, persons: Persons) -> Steps:
    """Restrict a recording (GDPR Art. 18), or lift that."""
    row = registrar.life.get(order.recording)
    facts = row.facts
    if facts.erased_us is not None or facts.is_live:
        raise CannotDo("it goes on" if facts.is_live else "it was erased", row.id, "nothing was done")
    if order.is_on == (facts.restricted_us is not None):
        what = "it is restricted already" if order.is_on else "it is not restricted"
        raise CannotDo(what, row.id, "nothing was done")
    yield Progress(0, 1)
    if not order.is_on and len(persons) < asking.persons_needed(registrar, asking.UNRESTRICT):
        wanted = {"recording": row.id, "reason": order.reason, "is_on": False}
        return asking.ask(registrar, asking.UNRESTRICT, row.id, wanted, persons[0])
    kind = events.RESTRICTED if order.is_on else events.UNRESTRICTED
    names = [one.name for one in persons]
    registrar.audit.note(kind, persons[-1], row.id, reason=order.reason, approvers=names)
    registrar.life.change(row.id, restricted_us=now_us() if order.is_on else None)
    return {"recording": row.id, "restricted": order.is_on}


def _correct(registrar: Registrar, order: Correct, caller: Caller) -> Steps:
    call = registrar.catalogue.get(order.recording)
    if call.erased_us is not None:
        raise CannotDo("it was erased: there is nothing to correct", call.id, "nothing was done")
    if not order.value.isprintable():
        raise CannotDo("the value has letters that cannot be seen", call.id, "write it without")
    yield Progress(0, 1)
    before = str(getattr(corrected(call, registrar.life.corrections(call.id)), order.field))
    if before == order.value:
        raise CannotDo(f"{order.field} is that already", call.id, "nothing was done")
    row = Correction(call.id, 0, order.field, before, order.value, order.reason, caller.name, now_us())
    # The trail has the field and a reason; values are in the correction, which goes with the recording.
    registrar.audit.note(events.CORRECTED, caller, call.id, field=order.field, reason=order.reason)
    made = registrar.life.correct(row)
    return {"recording": call.id, "n": made.n, "before": before}


def _settle(registrar: Registrar, _order: Settle, _: Caller) -> Steps:
    yield Progress(0, 1)
    return {"erased": settle_erasures(registrar, thorough=True)}


def _erase(registrar: Registrar, order: Erase, caller: Caller) -> Steps:
    return do_erase(registrar, order, (caller,))


def _release(registrar: Registrar, order: ReleaseHold, caller: Caller) -> Steps:
    return do_release(registrar, order, (caller,))


def _restrict(registrar: Registrar, order: Restrict, caller: Caller) -> Steps:
    return do_restrict(registrar, order, (caller,))


PLACE_HOLD: Final = Operation("hold.place", "placing a hold", PlaceHold, _place_hold)
RELEASE_HOLD: Final = Operation("hold.release", "releasing a hold", ReleaseHold, _release)
ERASE: Final = Operation("erase", "erasing a recording", Erase, _erase)
SETTLE_ERASURES: Final = Operation("erase.settle", "finishing erasures", Settle, _settle)
RESTRICT: Final = Operation("restrict", "restricting a recording", Restrict, _restrict)
CORRECT: Final = Operation("correct", "correcting a call", Correct, _correct)
