"""Incidents (GDPR Art. 33): what happened, what was done, and the 72 hours in which the authority must be told."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Moment, answer, body_of, query_of
from vittne.appliance.api.doing import perform, told
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.paging import PageQuery, page_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.api.visible import refuse_hidden, refuse_partial
from vittne.appliance.compliance.incident_operations import (
    CLOSE_INCIDENT,
    NOTE_INCIDENT,
    OPEN_INCIDENT,
    CloseIncident,
    NoteIncident,
    OpenIncident,
)
from vittne.appliance.compliance.incidents import Incident, IncidentTable
from vittne.appliance.compliance.scope import find_scope
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us

SCOPES: Final = ("incidents", "audit")
_LONG: Final = Field(min_length=1, max_length=10_000)


class Account(ApiModel):
    """Whose doings are looked at: a name of the trail, and a time."""

    actor: str = Field(min_length=1, max_length=200)
    since: Moment
    until: Moment | None = None


class IncidentBody(ApiModel):
    """What happened. known: when it became known: the 72 hours run from then. account: asks the trail, and keeps it."""

    title: str = Field(min_length=1, max_length=200)
    text: str = Field(default="", max_length=10_000)
    known: Moment | None = None
    account: Account | None = None


class LineBody(ApiModel):
    """What was done. authority_told: that the authority was told with it."""

    text: str = _LONG
    authority_told: bool = False


class CloseBody(ApiModel):
    """What came of it; and why nobody was told, if nobody was."""

    text: str = _LONG


class IncidentsQuery(PageQuery):
    """Which incidents. closed: those that are over as well."""

    closed: bool = False


class LineShown(ApiModel):
    """Something that was written. commitment: what the trail says of it."""

    n: int
    word: str
    at: str
    by: str
    text: str
    salt: str
    commitment: str


class IncidentShown(ApiModel):
    """An incident. late: the 72 hours ran out before anybody was told. scope: what the account did, ids and counts."""

    id: str
    title: str
    opened_at: str
    known_at: str
    due_at: str
    told_at: str | None
    closed_at: str | None
    late: bool
    left_s: int | None
    scope: dict[str, Any] | None
    lines: list[LineShown]


class IncidentsShown(ApiModel):
    """Incidents, the newest first."""

    incidents: list[IncidentShown]
    next: str | None = None


class Written(ApiModel):
    """Which incident, and which line of it was written."""

    incident: str
    n: int


class ScopeShown(ApiModel):
    """What an account did in a time, and how many persons it concerns."""

    found: dict[str, Any]


def incident_shown(one: Incident, at_us: int) -> IncidentShown:
    """Return an incident as an answer shows it."""
    runs = one.told_us is None and one.closed_us is None
    left = (one.due_us - at_us) // 1_000_000 if runs else None
    return IncidentShown.model_validate({**one.as_json(at_us), "left_s": left})


def incidents_of(catalogue: Catalogue, closed: bool) -> list[Incident]:
    """Return incidents, open ones or all."""
    return [one for one in IncidentTable(catalogue).all() if closed or one.closed_us is None]


async def listed(request: web.Request) -> web.Response:
    """List incidents."""
    query = query_of(request, IncidentsQuery)
    rows = await request.app[READER](incidents_of, query.closed)
    page, following = page_of(rows, lambda one: (one.opened_us, one.id), query, is_falling=True)
    at = now_us()
    return answer(IncidentsShown(incidents=[incident_shown(one, at) for one in page], next=following))


async def one(request: web.Request) -> web.Response:
    """Show an incident."""
    return answer(incident_shown(await incident_of(request), now_us()))


async def incident_of(request: web.Request) -> Incident:
    """Return the incident that an address names. Raises Problem."""
    return await told(request.app[READER](lambda catalogue: IncidentTable(catalogue).get(request.match_info["id"])))


async def scope(request: web.Request) -> web.Response:
    """Ask the trail what an account did, and whom that concerns."""
    return answer(ScopeShown(found=await _scope(request, await body_of(request, Account))))


async def _scope(request: web.Request, account: Account) -> dict[str, Any]:
    who = principal_of(request)
    refuse_partial(who)
    refuse_hidden(who, "audit")
    since, until = us_of(account.since), now_us() if account.until is None else us_of(account.until)
    if since >= until:
        raise Problem(422, "/problems/no-time", "The time ends before it begins", "give since before until")
    reader, own = request.app[READER], request.app[CONFIG].site.own_numbers
    found = await reader.long(
        lambda: find_scope(reader.data_dir, reader.catalogue, own, account.actor, since, until).as_json()
    )
    return dict(found)


async def open_(request: web.Request) -> web.Response:
    """Write down that something happened."""
    body = await body_of(request, IncidentBody)
    known = now_us() if body.known is None else us_of(body.known)
    if known > now_us():
        raise Problem(422, "/problems/in-the-future", "It cannot have become known in the future")

    async def work() -> web.Response:
        found = None if body.account is None else await _scope(request, body.account)
        order = OpenIncident(title=body.title, text=body.text, known_us=known, scope=found)
        return answer(Written.model_validate(await perform(request, OPEN_INCIDENT, order)), 201)

    return await once(request, work)


async def note(request: web.Request) -> web.Response:
    """Write down what was done, or that the authority was told."""
    body = await body_of(request, LineBody)

    async def work() -> web.Response:
        order = NoteIncident(incident=(await incident_of(request)).id, text=body.text, is_told=body.authority_told)
        return answer(Written.model_validate(await perform(request, NOTE_INCIDENT, order)), 201)

    return await once(request, work)


async def close(request: web.Request) -> web.Response:
    """Write down that it is over."""
    body = await body_of(request, CloseBody)

    async def work() -> web.Response:
        order = CloseIncident(incident=(await incident_of(request)).id, text=body.text)
        return answer(Written.model_validate(await perform(request, CLOSE_INCIDENT, order)))

    return await once(request, work)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Incidents", answers, **more)


_SEE: Final = needs(*SCOPES)
_WRITE: Final = needs("incidents")
_LINE: Final = Answer("It is written down", Written)
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/incidents",
        listed,
        _SEE,
        _about("Incidents", {200: Answer("Incidents", IncidentsShown)}, query=IncidentsQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/incidents",
        open_,
        _WRITE,
        _about("Write down an incident", {201: _LINE}, body=IncidentBody, is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/incidents/scope",
        scope,
        _SEE,
        _about("What an account did", {200: Answer("As far as the trail goes", ScopeShown)}, body=Account),
    ),
    Route(
        "GET",
        f"{PREFIX}/incidents/{{id}}",
        one,
        _SEE,
        _about("An incident", {200: Answer("The incident", IncidentShown)}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/incidents/{{id}}/lines",
        note,
        _WRITE,
        _about("Write what was done", {201: _LINE}, body=LineBody, problems=(404, 409), is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/incidents/{{id}}/close",
        close,
        _WRITE,
        _about("Close it", {200: _LINE}, body=CloseBody, problems=(404, 409), is_idempotent=True),
    ),
)
