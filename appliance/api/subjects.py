"""Requests of persons (GDPR Art. 15 to 21): cases, what is found of a person, restricting and erasing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Moment, answer, body_of, query_of
from vittne.appliance.api.brief import Brief, as_json, brief, seen_all
from vittne.appliance.api.doing import perform, told
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.paging import PageQuery, page_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.visible import Seen, levels_for, refuse_hidden
from vittne.appliance.control.operation import Operation
from vittne.appliance.life.operations import ERASE, RESTRICT, Erase, Restrict
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.table import LifeRow, LifeTable
from vittne.appliance.searches import SEARCHED, Searched
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us
from vittne.appliance.subjects.choosing import Choice, chosen, found_of
from vittne.appliance.subjects.finding import Found, Who
from vittne.appliance.subjects.operations import (
    CLOSE_CASE,
    ENTER_ACTS,
    OPEN_CASE,
    SET_DUE,
    CloseCase,
    Doing,
    Done,
    EnterActs,
    Kind,
    OpenCase,
    Outcome,
    SetDue,
)
from vittne.appliance.subjects.reasons import for_the_letter
from vittne.appliance.subjects.showing import month_after
from vittne.appliance.subjects.table import Act, Case, CaseTable

_WORDS: Final[Any] = Field(default_factory=list, max_length=64)
_TEXT: Final = Field(min_length=1, max_length=10_000)
AT_ONCE: Final = 200  # recordings that something is done with in one request


class CaseBody(ApiModel):
    """Somebody asks. numbers, names, customers: what they are found by. due: default a month from now (Art. 12(3))."""

    kind: Kind
    numbers: list[str] = _WORDS
    names: list[str] = _WORDS
    customers: list[str] = _WORDS
    due: Moment | None = None


class ChoiceBody(ApiModel):
    """With which recordings: those that are surely of the person; likely ones too; also, never: by their ids."""

    likely: bool = False
    also: list[str] = Field(default_factory=list, max_length=10_000)
    never: list[str] = Field(default_factory=list, max_length=10_000)


class EraseBody(ChoiceBody):
    """dry_run: only say what would be erased, and what not."""

    dry_run: bool = False


class NoteBody(ApiModel):
    """Something to write down in a case."""

    text: str = _TEXT


class DueBody(ApiModel):
    """A later date, and why: the person is told (Art. 12(3))."""

    due: Moment
    reason: str = _TEXT


class CloseBody(ApiModel):
    """What came of it."""

    outcome: Outcome
    note: str = Field(default="", max_length=10_000)


class CasesQuery(PageQuery):
    """Which cases. closed: those that are over as well."""

    closed: bool = False


class WhoShown(ApiModel):
    """What a person is found by."""

    numbers: Annotated[list[str], Of("party")]
    names: Annotated[list[str], Of("party")]
    customers: Annotated[list[str], Of("business")]


class CaseShown(ApiModel):
    """A case. overdue: it is open, and its date is over."""

    id: str
    kind: str
    who: WhoShown
    opened_at: str
    opened_by: str
    due_at: str
    overdue: bool
    closed_at: str | None
    closed_by: str
    outcome: str
    forget_at: str | None
    forgotten_at: str | None


class CasesShown(ApiModel):
    """Cases, the first one due first."""

    cases: list[CaseShown]
    next: str | None = None


class FoundShown(Brief):
    """A recording of a person. how: sure, likely or linked; why: by what; not_erased: what stands against it."""

    how: str
    why: str
    party: str
    shared: bool
    is_kept: bool
    not_erased: str


class ActShown(ApiModel):
    """What was done in a case."""

    n: int
    at: str
    by: str
    act: str
    recording: str
    result: str
    text: Annotated[str, Of("party")]


class WholeCaseShown(CaseShown):
    """A case with the recordings of the person that exist for who looks, and what was done."""

    recordings: list[FoundShown]
    acts: list[ActShown]


class Opened(ApiModel):
    """A case that was opened."""

    case: str
    due: str


class DoneShown(ApiModel):
    """What became of one recording. text: why not, in words for the person's answer."""

    recording: str
    result: Literal["", "done", "refused", "waits"]
    text: str


class ActedShown(ApiModel):
    """What was done, and left: recordings that somebody should look at first. more: ask again for the rest."""

    done: list[DoneShown]
    left: list[str]
    more: bool
    dry_run: bool = False


class Changed(ApiModel):
    """Which case was changed."""

    case: str


def case_shown(case: Case, at_us: int) -> CaseShown:
    """Return a case as an answer shows it."""
    return CaseShown.model_validate({**case.as_json(), "overdue": case.closed_us is None and case.due_us <= at_us})


def cases_of(catalogue: Catalogue, closed: bool) -> list[Case]:
    """Return cases, open ones or all."""
    return CaseTable(catalogue).cases(closed)


async def listed(request: web.Request) -> web.Response:
    """List cases."""
    query = query_of(request, CasesQuery)
    rows = await request.app[READER](cases_of, query.closed)
    page, following = page_of(rows, lambda one: (one.due_us, one.id), query)
    levels, at = levels_for(principal_of(request), "subjects"), now_us()
    return as_json({"cases": [shown(case_shown(one, at), levels) for one in page], "next": following})


async def open_(request: web.Request) -> web.Response:
    """Open a case."""
    body = await body_of(request, CaseBody)
    refuse_hidden(principal_of(request), "party")

    async def work() -> web.Response:
        due = month_after(now_us()) if body.due is None else us_of(body.due)
        order = OpenCase(kind=body.kind, numbers=body.numbers, names=body.names, customers=body.customers, due_us=due)
        return answer(Opened.model_validate(await perform(request, OPEN_CASE, order)), 201)

    return await once(request, work)


async def one(request: web.Request) -> web.Response:
    """Show a case, the recordings of the person, and what was done. The search is entered in the trail."""
    return as_json(await whole_case(request))


async def whole_case(request: web.Request) -> dict[str, Any]:
    """Return a case as somebody may see it, with recordings and acts. Raises Problem."""
    case = await case_of(request)
    found = await persons_recordings(request, case)
    seen = await seen_all(request, [one.call.id for one in found])
    life = await life_of(request, list(seen))
    acts = await request.app[READER](lambda catalogue: CaseTable(catalogue).acts(case.id))
    levels, at = levels_for(principal_of(request), "subjects"), now_us()
    told_of = {**shown(case_shown(case, at), levels)}
    told_of["recordings"] = [
        shown(_found(one, seen[one.call.id], life[one.call.id]), seen[one.call.id].levels)
        for one in found
        if one.call.id in seen
    ]
    told_of["acts"] = [shown(_act(act), levels) for act in acts]
    return told_of


def _found(one: Found, seen: Seen, row: LifeRow) -> FoundShown:
    why_not = for_the_letter(decide("erase", row.facts, now_us()), row.facts)
    return FoundShown(
        **dict(brief(seen.call)),
        how=one.how,
        why=one.why,
        party=one.party,
        shared=one.shared,
        is_kept=bool(one.call.folder),
        not_erased=why_not,
    )


def _act(act: Act) -> ActShown:
    return ActShown.model_validate(act.as_json())


async def case_of(request: web.Request) -> Case:
    """Return the case that an address names. Raises Problem."""
    return await told(request.app[READER](lambda catalogue: CaseTable(catalogue).get(request.match_info["id"])))


async def persons_recordings(request: web.Request, case: Case) -> list[Found]:
    """Search for a person, and enter that in the trail."""
    who = Who.from_json(case.who)
    if not who:
        return []
    refuse_hidden(principal_of(request), "party")
    reader, country = request.app[READER], request.app[CONFIG].subjects.country
    found = await reader.work(lambda: found_of(reader.data_dir, who, country))
    await perform(request, SEARCHED, Searched(where="subject", query={"case": case.id}, found=len(found)))
    return found


async def life_of(request: web.Request, ids: Sequence[str]) -> Mapping[str, LifeRow]:
    """Return what decides about recordings."""
    early = policy_of(request.app[CONFIG]).early
    rows = await request.app[READER](lambda catalogue: LifeTable(catalogue, early).rows(ids))
    return {row.id: row for row in rows}


async def open_case(request: web.Request) -> Case:
    """Return the case that an address names. Raises Problem: it was closed."""
    case = await case_of(request)
    if case.closed_us is not None:
        raise Problem(409, "/problems/refused", "The case was closed", "open another one")
    return case


async def _choose(request: web.Request, case: Case, body: ChoiceBody) -> tuple[list[Found], list[str]]:
    """Return the recordings that something is to be done with, and those that somebody should look at first."""
    found = await persons_recordings(request, case)
    mine = await seen_all(request, [one.call.id for one in found])
    known = [one for one in found if one.call.id in mine]
    strange = {*body.also, *body.never} - mine.keys()
    if strange:
        raise Problem(404, "/problems/no-such-recording", "The case has no such recording", sorted(strange)[0][:60])
    who, at = principal_of(request), now_us()
    if not all(who.may_of("erase", one.facts, at) for one in mine.values()):
        raise Problem(403, "/problems/missing-scope", "You may not do this", "a role that erases is needed as well")
    taken, left = chosen(known, Choice(likely=body.likely, also=body.also, never=body.never))
    return taken, [one.call.id for one in left]


async def restrict(request: web.Request) -> web.Response:
    """Restrict the recordings of the person (Art. 18)."""
    body = await body_of(request, ChoiceBody)

    async def work() -> web.Response:
        case = await open_case(request)
        taken, left = await _choose(request, case, body)
        life = await life_of(request, [one.call.id for one in taken])
        open_ = [one for one in taken if life[one.call.id].facts.restricted_us is None]
        done = [
            await _try(request, RESTRICT, Restrict(recording=one.call.id, reason=_reason(case)), "restrict")
            for one in open_[:AT_ONCE]
        ]
        return await _acted(request, case, done, left, len(open_) > AT_ONCE)

    return await once(request, work)


async def erase(request: web.Request) -> web.Response:
    """Erase the recordings of the person as far as that may be (Art. 17); say of the others why not."""
    body = await body_of(request, EraseBody)

    async def work() -> web.Response:
        case = await open_case(request)
        taken, left = await _choose(request, case, body)
        life = await life_of(request, [one.call.id for one in taken])
        done = []
        for one in taken[:AT_ONCE]:
            words = _why_not(life[one.call.id])
            if body.dry_run:
                done.append(_would(request, life[one.call.id], words))
            else:
                order = Erase(recording=one.call.id, reason=_reason(case))
                done.append(await _try(request, ERASE, order, "erase", words))
        return await _acted(request, case, done, left, len(taken) > AT_ONCE, body.dry_run)

    return await once(request, work)


def _why_not(row: LifeRow) -> str:
    return for_the_letter(decide("erase", row.facts, now_us()), row.facts)


def _would(request: web.Request, row: LifeRow, words: str) -> Done:
    if words:
        return Done(act="erase", recording=row.id, result="refused", text=words)
    waits = decide("erase", row.facts, now_us()).persons > 1
    waits = waits or "erase" in policy_of(request.app[CONFIG]).operations
    return Done(act="erase", recording=row.id, result="waits" if waits else "done")


async def _try(
    request: web.Request, operation: Operation[Any], order: Erase | Restrict, act: Doing, words: str = ""
) -> Done:
    """Do something with a recording; return how it went. words: why not, for the letter."""
    try:
        said = await perform(request, operation, order)
    except Problem as problem:
        why = words or f"{problem.title}."
        return Done(act=act, recording=order.recording, result="refused", text=why)
    result: Literal["waits", "done"] = "waits" if "waits" in said else "done"
    return Done(
        act=act, recording=order.recording, result=result, text=f"request {said['waits']}" if "waits" in said else ""
    )


async def _acted(
    request: web.Request, case: Case, done: list[Done], left: list[str], more: bool, dry_run: bool = False
) -> web.Response:
    if done and not dry_run:
        await perform(request, ENTER_ACTS, EnterActs(case=case.id, acts=done))
    rows = [DoneShown(recording=one.recording, result=one.result, text=one.text) for one in done]
    return answer(ActedShown(done=rows, left=left, more=more, dry_run=dry_run))


def _reason(case: Case) -> str:
    return f"request of a person, case {case.id}"


async def note(request: web.Request) -> web.Response:
    """Write something down in a case."""
    body = await body_of(request, NoteBody)

    async def work() -> web.Response:
        case = await case_of(request)
        await perform(request, ENTER_ACTS, EnterActs(case=case.id, acts=[Done(act="note", text=body.text)]))
        return answer(Changed(case=case.id), 201)

    return await once(request, work)


async def due(request: web.Request) -> web.Response:
    """Give a case a later date."""
    body = await body_of(request, DueBody)
    case = await case_of(request)
    said = await perform(request, SET_DUE, SetDue(case=case.id, due_us=us_of(body.due), reason=body.reason))
    return answer(Opened(case=said["case"], due=said["due"]))


async def close(request: web.Request) -> web.Response:
    """Close a case."""
    body = await body_of(request, CloseBody)
    case = await case_of(request)
    keep = request.app[CONFIG].subjects.keep_days
    await perform(request, CLOSE_CASE, CloseCase(case=case.id, outcome=body.outcome, note=body.note, keep_days=keep))
    return answer(Changed(case=case.id))


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Requests of persons", answers, **more)


_MAY: Final = needs("subjects")
_ACTED: Final = Answer("What was done, and what not", ActedShown)
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/subjects",
        listed,
        _MAY,
        _about("Cases", {200: Answer("Cases", CasesShown)}, query=CasesQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/subjects",
        open_,
        _MAY,
        _about("Open a case", {201: Answer("It is open", Opened)}, body=CaseBody, is_idempotent=True),
    ),
    Route(
        "GET",
        f"{PREFIX}/subjects/{{id}}",
        one,
        _MAY,
        _about("A case, and what is found", {200: Answer("The case", WholeCaseShown)}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/subjects/{{id}}/restrict",
        restrict,
        _MAY,
        _about("Restrict what is found", {200: _ACTED}, body=ChoiceBody, problems=(404, 409), is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/subjects/{{id}}/erase",
        erase,
        _MAY,
        _about("Erase what is found", {200: _ACTED}, body=EraseBody, problems=(404, 409), is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/subjects/{{id}}/notes",
        note,
        _MAY,
        _about(
            "Write something down",
            {201: Answer("It is written", Changed)},
            body=NoteBody,
            problems=(404, 409),
            is_idempotent=True,
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/subjects/{{id}}/due",
        due,
        _MAY,
        _about("Give it a later date", {200: Answer("So", Opened)}, body=DueBody, problems=(404, 409)),
    ),
    Route(
        "POST",
        f"{PREFIX}/subjects/{{id}}/close",
        close,
        _MAY,
        _about("Close it", {200: Answer("It is closed", Changed)}, body=CloseBody, problems=(404, 409)),
    ),
)
