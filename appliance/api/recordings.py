"""Routes to find recordings, and to see all that the catalogue knows of one. Nothing here opens what is sealed."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.scopes import READ
from vittne.appliance.access.showing import shown
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.bodies import JSON, query_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import recording_shown, refused, seen
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import COUNTED, BadCursor, FoundPage, count, find
from vittne.appliance.listing.shown import EventShown, RecordingItem, RecordingShown, item_of
from vittne.appliance.store.catalogue import Catalogue

GROUP: Final = "Recordings"


class ListQuery(Query):
    """A search, and which page of it. count: how many there are as well."""

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str = Field(default="", max_length=500)
    count: bool = False

    def query(self) -> Query:
        """Return the search alone."""
        return Query(**self.model_dump(exclude={"limit", "cursor", "count"}))


class Counted(BaseModel):
    """How many there are. is_more: there are more than that; they were not counted."""

    number: int
    is_more: bool


class RecordingsShown(BaseModel):
    """A page. next: the cursor of the page behind it; null on the last one."""

    recordings: list[RecordingItem]
    next: str | None
    count: Counted | None


class EventsShown(BaseModel):
    """What happened in a call, in order of time."""

    events: list[EventShown]


async def recordings(request: web.Request) -> web.Response:
    """List recordings."""
    return json_answer(await listed(request, query_of(request, ListQuery)))


async def listed(request: web.Request, asked: ListQuery) -> dict[str, Any]:
    """Return a page of what somebody may see. Raises Problem."""
    who, now = principal_of(request), request.app[GATE].now_us()

    def work(catalogue: Catalogue) -> dict[str, Any]:
        page = find(catalogue, who, asked.query(), now, asked.limit, asked.cursor)
        number = count(catalogue, who, asked.query(), now) if asked.count else None
        return _page(page, who, now, number)

    try:
        return await request.app[READER](work)
    except Hidden as error:
        raise refused(error) from None
    except BadCursor as error:
        raise Problem(
            400, "/problems/bad-cursor", "The cursor is not good", f"{error.what}: {error.next_step}"
        ) from None


def _page(page: FoundPage, who: Principal, now_us: int, number: int | None) -> dict[str, Any]:
    counted = None if number is None else {"number": min(number, COUNTED), "is_more": number > COUNTED}
    items = [shown(item_of(one), who.levels(one.facts, now_us)) for one in page.calls]
    return {"recordings": items, "next": page.cursor or None, "count": counted}


async def recording(request: web.Request) -> web.Response:
    """Show one."""
    one = await seen(request)
    return tagged(request, await recording_shown(request, one))


async def events(request: web.Request) -> web.Response:
    """Show what happened in one."""
    one = await seen(request)
    found = await recording_shown(request, one)
    return tagged(request, {"events": found["events"]})


def json_answer(value: Any, status: int = 200) -> web.Response:
    """Return what shown() made as the answer."""
    return web.Response(body=json.dumps(value, separators=(",", ":")).encode(), status=status, content_type=JSON)


def tagged(request: web.Request, value: Any) -> web.Response:
    """Return an answer with its ETag; 304 without it for who has it (RFC 9110 13.1.2)."""
    response = json_answer(value)
    assert isinstance(response.body, bytes)
    tag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    given = [one.strip().removeprefix("W/") for one in request.headers.get("If-None-Match", "").split(",")]
    if tag in given or given == ["*"]:
        response = web.Response(status=304)
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    return response


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/recordings",
        recordings,
        needs(READ),
        About(
            "Find recordings",
            GROUP,
            {200: Answer("A page of them", RecordingsShown)},
            query=ListQuery,
            problems=(400, 422),
            words="A cursor goes with its search. What a role hides cannot be searched by; words in q are looked for "
            "wherever everything is seen. Lists by quality and by duration leave out what has none.",
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}",
        recording,
        needs(READ),
        About("One recording", GROUP, {200: Answer("It", RecordingShown), 304: Answer("As before")}, problems=(404,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/recordings/{{id}}/events",
        events,
        needs(READ),
        About(
            "What happened in it", GROUP, {200: Answer("It", EventsShown), 304: Answer("As before")}, problems=(404,)
        ),
    ),
)
