"""Operations of cases, done by the one writer. The trail has a case's id and kind, and never who it is about."""

from __future__ import annotations

import secrets
from typing import Any, Final, Literal, get_args

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.subjects.finding import Who
from vittne.appliance.subjects.table import Act, Case, CaseTable, new_id

Kind = Literal["access", "erasure", "restriction", "rectification", "portability", "objection"]
Outcome = Literal["granted", "partly", "refused", "withdrawn", "not-identified"]
Doing = Literal["note", "export", "restrict", "erase"]
Result = Literal["", "done", "refused", "waits"]
KINDS: Final = get_args(Kind)
OUTCOMES: Final = get_args(Outcome)
_DAY_US: Final = 86_400_000_000
_TEXT: Final = Field(min_length=1, max_length=10_000)
_WORDS: Final[Any] = Field(default_factory=list, max_length=64)


class CannotDo(StoreError):
    """An order about a case that cannot be done, and why."""


class OpenCase(Order):
    """Somebody asks. numbers, names, customers: what he is found by."""

    kind: Kind
    numbers: list[str] = _WORDS
    names: list[str] = _WORDS
    customers: list[str] = _WORDS
    due_us: int


class Done(Order):
    """What was done with one recording; recording "": with none."""

    act: Doing
    recording: str = ""
    result: Result = ""
    text: str = Field(default="", max_length=10_000)


class EnterActs(Order):
    """Enter what was done in a case."""

    case: str
    acts: list[Done] = Field(max_length=10_000)


class SetDue(Order):
    """Give a case another date (Art. 12(3): two further months, and the person is told why)."""

    case: str
    due_us: int
    reason: str = _TEXT


class CloseCase(Order):
    """Close a case. keep_days: how long it knows who it was about."""

    case: str
    outcome: Outcome
    note: str = Field(default="", max_length=10_000)
    keep_days: int = Field(ge=0, le=3650)


class ForgetCases(Order):
    """Delete what persons of closed cases are found by, where it is time."""


def _open(registrar: Registrar, order: OpenCase, caller: Caller) -> Steps:
    said = [[one.strip() for one in some] for some in (order.numbers, order.names, order.customers)]
    if not any(said) or not all(one and len(one) <= 256 and one.isprintable() for some in said for one in some):
        raise CannotDo("nobody can be found by this", order.kind, "give --number, --name or --customer, none empty")
    who = Who(*(tuple(some) for some in said))
    yield Progress(0, 1)
    case = Case(new_id(), order.kind, who.as_json(), now_us(), caller.name, order.due_us)
    registrar.audit.note(events.SUBJECT_OPENED, caller, case=case.id, request=case.kind, due=rfc3339(case.due_us))
    CaseTable(registrar.catalogue).put(case)
    return {"case": case.id, "due": rfc3339(case.due_us)}


def _enter(registrar: Registrar, order: EnterActs, caller: Caller) -> Steps:
    case = CaseTable(registrar.catalogue).get(order.case)
    _must_be_open(case)
    yield Progress(0, 1)
    _note(registrar, case, order.acts, caller)
    return {"case": case.id, "entered": len(order.acts)}


def _note(registrar: Registrar, case: Case, done: list[Done], caller: Caller) -> None:
    table, at = CaseTable(registrar.catalogue), now_us()
    acts = [
        Act(case.id, 0, at, caller.name, one.act, one.recording, one.result, one.text, secrets.token_hex(16))
        for one in done
    ]
    about: list[tuple[str, dict[str, Any]]] = [
        (one.recording, {"case": case.id, "act": one.act, "result": one.result, "said": one.commitment()})
        for one in acts
    ]
    if about:
        registrar.audit.note_all(events.SUBJECT_ACT, caller, about)
        table.put_acts(table.numbered(case.id, acts))


def _set_due(registrar: Registrar, order: SetDue, caller: Caller) -> Steps:
    table = CaseTable(registrar.catalogue)
    case = table.get(order.case)
    _must_be_open(case)
    if order.due_us <= case.due_us:
        raise CannotDo("this is no later date", case.id, f"it is due {rfc3339(case.due_us)}")
    yield Progress(0, 1)
    _note(registrar, case, [Done(act="note", text=f"due {rfc3339(order.due_us)[:10]}: {order.reason}")], caller)
    registrar.audit.note(events.SUBJECT_DUE, caller, case=case.id, due=rfc3339(order.due_us))
    table.change(case.id, due_us=order.due_us)
    return {"case": case.id, "due": rfc3339(order.due_us)}


def _close(registrar: Registrar, order: CloseCase, caller: Caller) -> Steps:
    table = CaseTable(registrar.catalogue)
    case = table.get(order.case)
    _must_be_open(case)
    yield Progress(0, 1)
    if order.note:
        _note(registrar, case, [Done(act="note", text=order.note)], caller)
    at = now_us()
    forget = at + order.keep_days * _DAY_US
    registrar.audit.note(events.SUBJECT_CLOSED, caller, case=case.id, outcome=order.outcome, forget=rfc3339(forget))
    table.change(case.id, closed_us=at, closed_by=caller.name, outcome=order.outcome, forget_us=forget)
    if order.keep_days == 0:
        yield from _forget_due(registrar, caller, now_us())
    return {"case": case.id, "forget_at": rfc3339(forget)}


def _forget(registrar: Registrar, _: ForgetCases, caller: Caller) -> Steps:
    forgotten = yield from _forget_due(registrar, caller, now_us())
    return forgotten


def _forget_due(registrar: Registrar, caller: Caller, at_us: int) -> Steps:
    table = CaseTable(registrar.catalogue)
    forgotten: list[str] = []
    for case in table.to_forget(at_us):
        yield Progress(len(forgotten), 0, "forgetting")
        registrar.audit.note(events.SUBJECT_FORGOTTEN, caller, case=case.id)
        table.forget(case.id, at_us)
        forgotten.append(case.id)
    if forgotten:
        registrar.catalogue.empty_log()  # else SQLite's log still has what was overwritten
    return {"forgotten": forgotten}


def _must_be_open(case: Case) -> None:
    if case.closed_us is not None:
        raise CannotDo(f"the case was closed {rfc3339(case.closed_us)}", case.id, "open another one")


OPEN_CASE: Final = Operation("subject.open", "opening a case", OpenCase, _open)
ENTER_ACTS: Final = Operation("subject.act", "entering what was done in a case", EnterActs, _enter)
SET_DUE: Final = Operation("subject.due", "giving a case another date", SetDue, _set_due)
CLOSE_CASE: Final = Operation("subject.close", "closing a case", CloseCase, _close)
FORGET_CASES: Final = Operation("subject.forget", "forgetting persons of closed cases", ForgetCases, _forget)
SUBJECT_OPERATIONS: Final[tuple[Operation[Any], ...]] = (OPEN_CASE, ENTER_ACTS, SET_DUE, CLOSE_CASE, FORGET_CASES)
