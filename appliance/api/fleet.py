"""GET /api/v1/fleet/...: the recorders that share a catalogue, and a search over the calls of all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import BaseModel, Field

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.scopes import FLEET
from vittne.appliance.access.showing import shown
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.bodies import ApiModel, answer, query_of
from vittne.appliance.api.doing import perform
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.recordings import json_answer
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import refused
from vittne.appliance.fleet.boxes import BoxSeen, FoundThere
from vittne.appliance.fleet.desk import FLEET_DESK, Away, FleetDesk, NotShared, TooMany
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import BadCursor
from vittne.appliance.listing.shown import RecordingItem, item_of
from vittne.appliance.searches import SEARCHED, Searched
from vittne.appliance.store.times import rfc3339

GROUP: Final = "All recorders"
_LATE_S: Final = 300


class FleetQuery(Query):
    """A search over all recorders, by time. recorder: only this one, by its name."""

    sort: Literal["time"] = "time"
    recorder: str = Field(default="", max_length=64)
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str = Field(default="", max_length=500)

    def query(self) -> Query:
        """Return the search alone."""
        return Query(**self.model_dump(exclude={"recorder", "limit", "cursor"}))


class RecorderShown(ApiModel):
    """A recorder. heard_at: when it said last that all is there; behind_s: how long ago, where that is long.

    problem: why its calls are not found.
    """

    name: str
    id: str
    is_this: bool
    console: str | None
    version: str
    heard_at: str | None
    behind_s: int | None
    problem: str


class RecordersShown(ApiModel):
    """All recorders that share the catalogue, by name."""

    recorders: list[RecorderShown]


class RecorderNamed(BaseModel):
    """Whose call it is."""

    name: str
    id: str


class FoundShown(BaseModel):
    """A call of some recorder. link: to it in that recorder's console, which says who may open it."""

    recorder: RecorderNamed
    link: str | None
    recording: RecordingItem


class FleetShown(BaseModel):
    """A page. next: the cursor of the page behind it. not_searched: recorders whose calls are missing here."""

    found: list[FoundShown]
    next: str | None
    not_searched: list[RecorderShown]


def everywhere(who: Principal) -> Principal:
    """Return who asks with nothing but roles that reach beyond this recorder."""
    return replace(who, profiles=tuple(one for one in who.profiles if FLEET in one.scopes))


async def recorders(request: web.Request) -> web.Response:
    """List recorders."""
    return answer(RecordersShown(recorders=await recorders_shown(request)))


async def recorders_shown(request: web.Request) -> list[RecorderShown]:
    """Return all recorders. Raises Problem."""
    desk, now = request.app[FLEET_DESK], request.app[GATE].now_us()
    try:
        return [_recorder(box, desk, now) for box in await desk.boxes()]
    except (NotShared, Away, TooMany) as error:
        raise _unanswered(error) from None


async def search(request: web.Request) -> web.Response:
    """Search all recorders."""
    return json_answer(await searched(request, query_of(request, FleetQuery)))


async def searched(request: web.Request, asked: FleetQuery) -> dict[str, Any]:
    """Return a page of what somebody may see, entered in this recorder's trail. Raises Problem."""
    desk, who, now = request.app[FLEET_DESK], everywhere(principal_of(request)), request.app[GATE].now_us()
    query = asked.query()
    try:
        page = await desk.search(who, query, now, asked.limit, asked.cursor, asked.recorder)
    except Hidden as error:
        raise refused(error) from None
    except BadCursor as error:
        told = f"{error.what}: {error.next_step}"
        raise Problem(400, "/problems/bad-cursor", "The cursor is not good", told) from None
    except (NotShared, Away, TooMany) as error:
        raise _unanswered(error) from None
    given = query.given() | ({"recorder": asked.recorder} if asked.recorder else {})
    await perform(request, SEARCHED, Searched(where="all recorders", query=given, found=len(page.calls)))
    return {
        "found": [_found(one, who, desk, now) for one in page.calls],
        "next": page.cursor or None,
        "not_searched": [_recorder(box, desk, now).model_dump() for box in page.boxes if box.problem],
    }


def _found(one: FoundThere, who: Principal, desk: FleetDesk, now_us: int) -> dict[str, Any]:
    item = shown(item_of(one.call), who.levels(one.call.facts, now_us))
    path, console = f"/recordings/{one.call.sealed.id}", _console(one.box)
    link = path if one.box.schema == desk.own else console and console + path
    return {"recorder": {"name": one.box.name, "id": one.box.schema}, "link": link, "recording": item}


def _recorder(box: BoxSeen, desk: FleetDesk, now_us: int) -> RecorderShown:
    behind_s = max(0, now_us - box.shipped_us) // 1_000_000
    return RecorderShown(
        name=box.name or box.schema,
        id=box.schema,
        is_this=box.schema == desk.own,
        console=_console(box),
        version=box.version,
        heard_at=rfc3339(box.shipped_us) if box.shipped_us else None,
        behind_s=behind_s if box.shipped_us and behind_s > _LATE_S else None,
        problem=box.problem,
    )


def _console(box: BoxSeen) -> str | None:
    """Return where its console is: others wrote it, and a page links there."""
    return box.console if box.console.startswith("https://") else None


def _unanswered(error: NotShared | Away | TooMany) -> Problem:
    if isinstance(error, NotShared):
        words = "catalogue.url, catalogue.reader and its password say which"
        return Problem(404, "/problems/nothing-shared", "This recorder searches no shared catalogue", words)
    if isinstance(error, TooMany):
        words, again = "try it again in a moment", {"Retry-After": "2"}
        return Problem(429, "/problems/too-many-requests", "Too many search all recorders just now", words, again)
    words = f"{error.what}; recording, and searching each recorder by itself, go on"
    return Problem(
        503, "/problems/shared-catalogue", "The shared catalogue does not answer", words, {"Retry-After": "10"}
    )


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/fleet/recorders",
        recorders,
        needs(FLEET),
        About(
            "Recorders that share a catalogue",
            GROUP,
            {200: Answer("They, and when each was heard of", RecordersShown)},
            problems=(404, 429, 503),
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/fleet/recordings",
        search,
        needs(FLEET),
        About(
            "Find recordings of all recorders",
            GROUP,
            {200: Answer("A page of them, by time", FleetShown)},
            query=FleetQuery,
            problems=(400, 404, 422, 429, 503),
            words="What a role leaves out or hides it leaves out and hides of every recorder; roles without `fleet` "
            "do not count. Each search is entered in this recorder's trail. Whether somebody may open what was found "
            "the recorder decides that has it.",
        ),
    ),
)
