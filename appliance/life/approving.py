"""Approving and refusing what waits for a second person, and asking for a cut."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from vittne.appliance.access.users import UserTable, may_be_one_person
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.life import asking
from vittne.appliance.life.asking import AskCut
from vittne.appliance.life.operations import CannotDo, Erase, ReleaseHold, Restrict, do_erase, do_release, do_restrict
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.retention import ChangeRetention, do_change
from vittne.appliance.life.table import APPROVED, EXPIRED, REFUSED, WAITS, WITHDRAWN, Request
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.appliance.verdicts.operations import ReleaseQuarantine, do_release_quarantine


class CannotApprove(StoreError):
    """A request that is not approved, and why."""


class Approve(Order):
    """Want what somebody else asked for."""

    request: str


class Refuse(Order):
    """Say no to a request, or take one's own back."""

    request: str


def _approve(registrar: Registrar, order: Approve, caller: Caller) -> Steps:
    request = registrar.life.request(order.request)
    if request.state in (WAITS, APPROVED) and asking.is_over(registrar, request):
        registrar.life.set_request(request.id, state=EXPIRED)
        raise CannotApprove(
            "it waited too long, and is over", request.id, "ask again: what has changed is looked at anew"
        )
    if request.state == WAITS:
        asking.refuse_token(caller, request.operation)
        if asking.is_his_own(request, caller):
            raise CannotApprove(f"{caller.name!r} asked for it himself", request.id, "somebody else has to approve")
        _two_persons(registrar, request, caller)
        said = {"request": request.id, "operation": request.operation, "asked_by": request.asked_by}
        registrar.audit.note(events.APPROVED, caller, request.recording, **said)
        registrar.life.decide_request(request.id, APPROVED, caller, now_us())
        second = caller
    elif request.state == APPROVED:  # a crash, or a refusal, came between: it is tried again
        second = Caller(request.decided_by, caller.via, request.decided_user)
    else:
        raise CannotApprove(f"it was {request.state} before", request.id, "nothing was done")
    yield Progress(0, 1)
    if request.operation == asking.CUT:
        return {"request": request.id, "approved": True, "next": f"{request.asked_by} cuts now"}
    if request.operation == asking.UNLOCK:
        return {"request": request.id, "approved": True, "next": f"{request.asked_by} unlocks now, with the passphrase"}
    if request.operation == asking.BULK:
        return {
            "request": request.id,
            "approved": True,
            "next": f"{request.asked_by} asks for it again now, and gets it",
        }
    answer = yield from _done(registrar, request, (Caller(request.asked_by, second.via, request.asked_user), second))
    asking.mark_done(registrar, request)
    return {"request": request.id, "approved": True, **answer}


def _two_persons(registrar: Registrar, request: Request, caller: Caller) -> None:
    """Raise CannotApprove where who asked and who approves are two users, and may be one person known in two places."""
    table = UserTable(registrar.catalogue)
    one, other = (table.get(user) if user else None for user in (request.asked_user, caller.user))
    if one is not None and other is not None and may_be_one_person(one, other):
        what = f"{one.name} and {other.name} may be one person"
        raise CannotApprove(what, request.id, "somebody else has to approve")


def _done(registrar: Registrar, request: Request, persons: tuple[Caller, ...]) -> Steps:
    if request.operation == asking.ERASE:
        return (yield from do_erase(registrar, Erase.model_validate(request.order), persons))
    if request.operation == asking.RELEASE:
        return (yield from do_release(registrar, ReleaseHold.model_validate(request.order), persons))
    if request.operation == asking.UNRESTRICT:
        return (yield from do_restrict(registrar, Restrict.model_validate(request.order), persons))
    if request.operation == asking.QUARANTINE:
        wanted = ReleaseQuarantine.model_validate(request.order)
        return (yield from do_release_quarantine(registrar, wanted, persons))
    return (yield from do_change(registrar, ChangeRetention.model_validate(request.order), persons))


def _refuse(registrar: Registrar, order: Refuse, caller: Caller) -> Steps:
    request = registrar.life.request(order.request)
    if request.state not in (WAITS, APPROVED):
        raise CannotApprove(f"it was {request.state} before", request.id, "nothing was done")
    yield Progress(0, 1)
    state = WITHDRAWN if asking.is_his_own(request, caller) else REFUSED
    said = {"request": request.id, "operation": request.operation, "state": state}
    registrar.audit.note(events.REQUEST_REFUSED, caller, request.recording, **said)
    registrar.life.decide_request(request.id, state, caller, now_us())
    return {"request": request.id, "refused": True, "state": state}


def _ask_cut(registrar: Registrar, order: AskCut, caller: Caller) -> Steps:
    """Say whether a cut may begin now; where a second person must want it, ask for one."""
    row = registrar.life.get(order.recording)
    decision = decide("cut", row.facts, now_us())
    if not decision.allowed:
        raise CannotDo(f"not cut: {decision.words}", row.id, "nothing was done")
    yield Progress(0, 1)
    if asking.persons_needed(registrar, asking.CUT, decision) < 2:
        return {}
    wanted = order.model_dump(mode="json")
    for known in registrar.life.requests(recording=row.id, operation=asking.CUT):
        if known.state == APPROVED and order.is_same_span(known.order) and not asking.is_over(registrar, known):
            return {"request": known.id}
    return asking.ask(registrar, asking.CUT, row.id, wanted, caller)


class AskBulk(Order):
    """Want several recordings at once. what: how they are taken; the same again is the same request."""

    recordings: list[str] = Field(min_length=1, max_length=1000)
    what: str = Field(max_length=40)
    reason: str = Field(default="", max_length=500)


def _ask_bulk(registrar: Registrar, order: AskBulk, caller: Caller) -> Steps:
    """Say whether several recordings may be taken now; where a second person must want it, ask for one."""
    yield Progress(0, 1)
    if asking.persons_needed(registrar, asking.BULK) < 2:
        return {}
    asking.refuse_token(caller, asking.BULK)
    wanted = {**order.model_dump(mode="json"), "recordings": sorted(order.recordings)}
    for known in registrar.life.requests(operation=asking.BULK):
        is_mine = asking.is_his_own(known, caller) and not asking.is_over(registrar, known)
        if known.state == APPROVED and is_mine and known.order == wanted:
            asking.mark_done(registrar, known)
            return {"request": known.id, "approved_by": known.decided_by}
    return asking.ask(registrar, asking.BULK, "", wanted, caller)


ASK_BULK: Final = Operation("export.ask", "asking for several recordings", AskBulk, _ask_bulk)
APPROVE: Final = Operation("request.approve", "approving a request", Approve, _approve)
REFUSE: Final = Operation("request.refuse", "refusing a request", Refuse, _refuse)
ASK_CUT: Final = Operation("cut.ask", "asking for a cut", AskCut, _ask_cut)
