"""The pages about recordings: finding them, and everything about one."""

from __future__ import annotations

from typing import Any, Final, TypeGuard, get_args
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, ValidationError

from vittne.appliance.access.scopes import AUDIT, EDIT, ERASE, EXPORT, LISTEN, READ
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recording_cases import WhyQuery, evidence_shown, ladder_shown
from vittne.appliance.api.recording_notes import searches_of
from vittne.appliance.api.recordings import ListQuery, listed
from vittne.appliance.api.seen import Seen, recording_shown, seen
from vittne.appliance.casework.ladder import Ladder
from vittne.appliance.console.drawing import drawn
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import HERE, render, user_of
from vittne.appliance.history_command import history_of
from vittne.appliance.listing.query import searchable
from vittne.appliance.listing.shown import RecordingItem, RecordingShown
from vittne.appliance.looks import PURPOSES
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED

OUTCOMES: Final = (
    *("recorded", "partial", "excluded-by-rule", "discarded-by-policy", "paused-throughout", "no-media"),
    *("encrypted", "no-disk", "capture-loss"),
)
_PAGE: Final = 50
_WORDS: Final = {"party": "numbers and names", "agent": "agents", "signalling": "Call-IDs", "business": "tags"}


def whole(told: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return what shown() made with None for what was left out of it, so that a template can say so."""
    found: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        value = told.get(name)
        inner = next((one for one in (*get_args(info.annotation), info.annotation) if _is_model(one)), None)
        if inner is not None and isinstance(value, list):
            value = [whole(one, inner) for one in value]
        found[name] = value
    return found


def _is_model(one: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(one, type) and issubclass(one, BaseModel)


async def recordings(request: web.Request) -> web.StreamResponse:
    """Find recordings; for htmx the list alone."""
    given = {name: value for name, value in request.query.items() if value != ""}
    problem: Problem | None = None
    asked, page = ListQuery(limit=_PAGE), None
    try:
        asked = ListQuery.model_validate_strings({**given, "limit": str(_PAGE), "count": "true"})
        page = await listed(request, asked)
        page = {**page, "recordings": [whole(one, RecordingItem) for one in page["recordings"]]}
    except ValidationError as error:
        wrong = ", ".join(str(one["loc"][0]) for one in error.errors() if one["loc"])
        problem = Problem(422, "/problems/invalid-request", "This cannot be searched for", wrong)
    except Problem as error:
        problem = error
    query = asked.query().given()
    values: dict[str, Any] = {
        "asked": asked,
        "query": query,
        "page": page,
        "problem": problem,
        "address": lambda **more: _address(query, **more),
        "is_narrow": bool(query.keys() - {"sort", "order"}),
    }
    if "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers:
        return render(request, "recordings_found.html", **values)
    kept = [
        {"id": one.id, "name": one.name, "address": _address(one.body), "is_mine": one.owner == _user_id(request)}
        for one in await searches_of(request)
    ]
    user = user_of(request)
    where = searchable(principal_of(request))
    return render(
        request,
        "recordings.html",
        outcomes=OUTCOMES,
        sites=await request.app[READER](_sites),
        kept=kept,
        my_roles=list(user.roles) if user is not None else [],
        may_search={field: field in where for field in _WORDS},
        searched=[words for field, words in _WORDS.items() if field in where],
        **values,
    )


def _user_id(request: web.Request) -> str:
    user = user_of(request)
    return user.id if user is not None else ""


def _address(query: dict[str, Any], **more: Any) -> str:
    """Return the address of a search. more: what is otherwise; None takes it away."""
    values = {name: value for name, value in {**query, **more}.items() if value is not None}
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items()}
    return f"/recordings?{urlencode(texts)}" if texts else "/recordings"


def _sites(catalogue: Catalogue) -> list[str]:
    from sqlalchemy import select  # noqa: PLC0415

    from vittne.appliance.store.tables import calls  # noqa: PLC0415

    with catalogue.reading() as connection:
        query = select(calls.c.site).where(calls.c.site != "").distinct().order_by(calls.c.site).limit(100)
        return [str(row.site) for row in connection.execute(query)]


async def recording(request: web.Request) -> web.StreamResponse:
    """Show one."""
    one = await seen(request)
    told = whole(await recording_shown(request, one), RecordingShown)
    may_audit = one.may(AUDIT) and one.sees("audit")
    return render(
        request,
        "recording.html",
        r=told,
        trail=await _trail(request, one) if may_audit else None,
        may_edit=one.may(EDIT) and one.sees("business") and one.call.state == FINISHED and not told["is_erased"],
        may_correct=one.sees("party"),
        may_hear=told["has_recording"] and one.may(LISTEN) and (HERE / "templates/player.html").exists(),
        may_cut=told["has_recording"]
        and one.may(ERASE)
        and one.call.state == FINISHED
        and not one.call.details.get("source"),
        takes=_takes(one) if told["has_recording"] and one.call.state == FINISHED else [],
        may_see_signalling=told["has_recording"] and one.sees("signalling"),
        may_see_evidence=told["has_recording"] and one.sees("evidence") and one.call.state == FINISHED,
        why=_why(one, EXPORT),
        why_look=_why(one, READ),
        purposes=PURPOSES,
    )


def _why(one: Seen, scope: str) -> dict[str, bool]:
    """Return what must be said before it is opened."""
    asked = {
        "reason": one.needs_reason(scope),
        "purpose": one.call.restricted_us is not None,
        "review": one.call.quarantined_us is not None,
    }
    return {**asked, "any": any(asked.values())}


def _takes(one: Seen) -> list[str]:
    """Return in which forms it may be taken away."""
    if not one.may(EXPORT):
        return []
    forms = {
        "bundle": one.sees("party", "agent", "business", "signalling", "evidence", "audit"),
        "pcap": one.sees("party", "signalling", "audio-caller", "audio-callee"),
        "vcon": one.sees("party", "agent", "business", "signalling"),
    }
    return [name for name, may in forms.items() if may]


async def _trail(request: web.Request, one: Seen) -> list[dict[str, Any]]:
    data = request.app[READER].data_dir
    found = await request.app[READER].work(lambda: history_of(data, one.call.id))
    rows: list[dict[str, Any]] = found["trail"]
    return rows[::-1][:200]


async def ladder(request: web.Request) -> web.StreamResponse:
    """Show a recording's signalling: for htmx."""
    one = await seen(request)
    given = {name: value for name, value in request.query.items() if value != ""}
    try:
        found = whole(await ladder_shown(request, one, WhyQuery.model_validate(given)), Ladder)
    except Problem as problem:
        return render(request, "recording_refused.html", problem=problem)
    return render(request, "recording_ladder.html", ladder=found, drawing=drawn(found))


async def evidence(request: web.Request) -> web.StreamResponse:
    """Show what proves a recording: for htmx."""
    one = await seen(request)
    try:
        found = await evidence_shown(request, one)
    except Problem as problem:
        return render(request, "recording_refused.html", problem=problem)
    return render(request, "recording_evidence.html", e=found, id=one.call.id)


PAGES: Final = (
    Page("/recordings", recordings, READ, Item("Recordings", "headphones", "")),
    Page("/recordings/{id}", recording, READ),
    Page("/recordings/{id}/ladder", ladder, READ),
    Page("/recordings/{id}/evidence", evidence, READ),
)
