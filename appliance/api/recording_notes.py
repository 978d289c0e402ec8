"""Routes that write about a recording: tags, notes, corrections; and searches that somebody keeps."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, Field

from vittne.appliance.access.principal import Hidden
from vittne.appliance.access.profile import FieldClass
from vittne.appliance.access.scopes import EDIT, READ
from vittne.appliance.api.auth import GATE, SESSION, principal_of
from vittne.appliance.api.bodies import ApiModel, body_of
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.recordings import GROUP, json_answer
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.seen import Seen, refused, seen
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.life.operations import CORRECT, Correct, CorrectedField
from vittne.appliance.listing.operations import (
    DROP_SEARCH,
    KEEP_SEARCH,
    TAG,
    WRITE_NOTE,
    DropSearch,
    KeepSearch,
    Tag,
    WriteNote,
)
from vittne.appliance.listing.query import Query, places
from vittne.appliance.listing.table import ListingTable, SavedSearch
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError

_FIELD: Final[dict[str, FieldClass]] = {"caller": "party", "callee": "party"}


class NoteBody(ApiModel):
    """A note; it is never altered, only others are added."""

    text: str = Field(min_length=1, max_length=4000)


class CorrectionBody(ApiModel):
    """How a field is shown from now on. What is sealed stays."""

    field: CorrectedField
    value: str = Field(max_length=500)
    reason: str = Field(min_length=1, max_length=500)


class SearchBody(ApiModel):
    """A search to keep. roles: whose holders see it as well."""

    name: str = Field(min_length=1, max_length=100)
    query: Query
    roles: list[str] = Field(default_factory=list, max_length=32)


class TagsShown(BaseModel):
    """A recording's tags. changed: whether this request did that."""

    recording: str
    tags: list[str]
    changed: bool


class NoteMade(BaseModel):
    """A note's number."""

    recording: str
    n: int


class CorrectionMade(NoteMade):
    """A correction's number. before: what was shown until now."""

    before: str


class SavedShown(BaseModel):
    """A kept search."""

    id: str
    name: str
    query: dict[str, Any]
    roles: list[str]
    is_mine: bool
    made_at: str


class SearchesShown(BaseModel):
    """One's own searches, and those that others share."""

    searches: list[SavedShown]


async def tag(request: web.Request) -> web.Response:
    """Put a tag on, or take it off."""
    one = await _written(request, "business")
    order = Tag(recording=one.call.id, tag=request.match_info["tag"][:101], is_on=request.method == "PUT")
    return json_answer(await _perform(request, TAG, order))


async def note(request: web.Request) -> web.Response:
    """Write a note."""
    one = await _written(request, "business")
    body = await body_of(request, NoteBody)

    async def work() -> web.Response:
        return json_answer(await _perform(request, WRITE_NOTE, WriteNote(recording=one.call.id, text=body.text)), 201)

    return await once(request, work)


async def correction(request: web.Request) -> web.Response:
    """Have a field shown otherwise."""
    body = await body_of(request, CorrectionBody)
    one = await _written(request, "business", *([_FIELD[body.field]] if body.field in _FIELD else []))
    order = Correct(recording=one.call.id, field=body.field, value=body.value, reason=body.reason)

    async def work() -> web.Response:
        return json_answer(await _perform(request, CORRECT, order), 201)

    return await once(request, work)


async def _written(request: web.Request, *fields: FieldClass) -> Seen:
    one = await seen(request)
    one.need(EDIT)
    one.need_fields(*fields)
    return one


async def searches(request: web.Request) -> web.Response:
    """List kept searches."""
    user, _ = _owner(request)
    return json_answer({"searches": [one.as_json(user) for one in await searches_of(request)]})


async def searches_of(request: web.Request) -> list[SavedSearch]:
    """Return the searches of who asks."""
    user, roles = _owner(request)

    def work(catalogue: Catalogue) -> list[SavedSearch]:
        return ListingTable(catalogue).searches(user, roles)

    return await request.app[READER](work)


async def keep_search(request: web.Request) -> web.Response:
    """Keep a search."""
    user, roles = _owner(request)
    body = await body_of(request, SearchBody)
    if strange := sorted(set(body.roles) - set(roles)):
        detail = f"{strange[0][:40]!r} is no role of yours"
        raise Problem(422, "/problems/not-your-role", "It can be shared with roles of yours only", detail)
    try:
        places(body.query, principal_of(request))
    except Hidden as error:
        raise refused(error) from None
    order = KeepSearch(owner=user, name=body.name, query=body.query.given(), roles=body.roles)

    async def work() -> web.Response:
        return json_answer(await _perform(request, KEEP_SEARCH, order), 201)

    return await once(request, work, repeatable=True)


async def drop_search(request: web.Request) -> web.Response:
    """Forget a search."""
    user, _ = _owner(request)
    done = await _perform(request, DROP_SEARCH, DropSearch(owner=user, search=request.match_info["id"]))
    if not done["dropped"]:
        raise Problem(404, "/problems/no-such-search", "No such search", "none of yours has this id")
    return web.Response(status=204)


def _owner(request: web.Request) -> tuple[str, tuple[str, ...]]:
    """Return whose searches, and their roles: of a token its own id."""
    held = request.get(SESSION)
    user = request.app[GATE].users.get(held.user) if held is not None else None
    return (user.id, user.roles) if user is not None else (principal_of(request).id, ())


async def _perform(request: web.Request, operation: Operation[Any], order: Order) -> dict[str, Any]:
    """Have an operation done for who asks. Raises Problem."""
    try:
        return await request.app[OPERATOR].perform(operation, order, principal_of(request).caller)
    except StoreError as error:
        raise refused(error) from None


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, GROUP, answers, **{"problems": (404, 409), **more})


_TAGS: Final = {200: Answer("Its tags now", TagsShown)}
ROUTES: Final = (
    Route("PUT", f"{PREFIX}/recordings/{{id}}/tags/{{tag}}", tag, needs(EDIT), _about("Put a tag on it", _TAGS)),
    Route("DELETE", f"{PREFIX}/recordings/{{id}}/tags/{{tag}}", tag, needs(EDIT), _about("Take a tag off", _TAGS)),
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/notes",
        note,
        needs(EDIT),
        _about("Write a note", {201: Answer("It is kept", NoteMade)}, body=NoteBody, is_idempotent=True),
    ),
    Route(
        "POST",
        f"{PREFIX}/recordings/{{id}}/corrections",
        correction,
        needs(EDIT),
        _about(
            "Have a field shown otherwise",
            {201: Answer("It is entered", CorrectionMade)},
            body=CorrectionBody,
            is_idempotent=True,
            words="What was recorded stays sealed; both are shown.",
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/searches",
        searches,
        needs(READ),
        _about("Kept searches", {200: Answer("One's own, and shared ones", SearchesShown)}, problems=()),
    ),
    Route(
        "POST",
        f"{PREFIX}/searches",
        keep_search,
        needs(READ),
        _about(
            "Keep a search",
            {201: Answer("It", SavedShown)},
            body=SearchBody,
            is_idempotent=True,
            words="One of the same name is replaced.",
        ),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/searches/{{id}}",
        drop_search,
        needs(READ),
        _about("Forget a search", {204: Answer("It is forgotten")}),
    ),
)
