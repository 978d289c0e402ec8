"""Legal holds: which there are and on what, placing and releasing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.showing import Of
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Moment, answer, body_of, query_of
from vittne.appliance.api.brief import BriefsShown, answer_shown, as_json, briefs, seen_all
from vittne.appliance.api.doing import Waits, done_or_waits, perform, told
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.paging import PageQuery, page_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.visible import levels_for, no_such_recording, refuse_hidden, refuse_partial, seen_of
from vittne.appliance.life.operations import PLACE_HOLD, RELEASE_HOLD, PlaceHold, ReleaseHold
from vittne.appliance.searches import SEARCHED, Searched
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.holds import HoldRow, HoldTable
from vittne.appliance.store.times import now_us

SCOPES: Final = ("hold", "retention", "audit")
_TEXT: Final = Field(min_length=1, max_length=500)
_PREVIEWED: Final = 20
_AT_ONCE: Final = 500  # recordings looked at for who sees a hold


class HoldSearch(ApiModel):
    """Calls that meet all of these. number: part of a number; since, until: of the start, until not included."""

    number: str = Field(default="", max_length=200)
    since: Moment | None = None
    until: Moment | None = None
    outcome: str = Field(default="", max_length=40)
    call_id: str = Field(default="", max_length=256)
    codec: str = Field(default="", max_length=40)

    def fields(self) -> dict[str, Any]:
        """Return it as a hold keeps it."""
        found: dict[str, Any] = {
            name: value for name in ("number", "outcome", "call_id", "codec") if (value := getattr(self, name))
        }
        for name in ("since", "until"):
            moment = getattr(self, name)
            if moment is not None:
                found[f"{name}_us"] = us_of(moment)
        return found


class On(ApiModel):
    """What a hold lies on: recordings by id, or whatever a search finds."""

    recordings: list[str] = Field(default_factory=list, max_length=10_000)
    search: HoldSearch | None = None


class HoldBody(On):
    """A hold to place. standing: also on what comes later and meets the search."""

    label: str = _TEXT
    reason: str = _TEXT
    owner: str = Field(default="", max_length=200)
    standing: bool = False


class ReasonBody(ApiModel):
    """Why."""

    reason: str = _TEXT


class HoldsQuery(PageQuery):
    """Which holds. released: those that were let go as well."""

    released: bool = False


class HoldShown(ApiModel):
    """A hold. recordings: on how many it lies, or lay. search: what it was placed on, where numbers may be seen."""

    id: str
    label: str
    reason: str
    owner: str
    standing: bool
    placed_at: str
    placed_by: str
    released_at: str | None
    released_by: str
    release_reason: str
    recordings: int
    search: Annotated[dict[str, Any] | None, Of("party")]


class HoldsShown(ApiModel):
    """Holds, the newest first."""

    holds: list[HoldShown]
    next: str | None = None


class HoldPlaced(ApiModel):
    """A hold that was placed."""

    hold: str
    recordings: int


class HoldReleased(ApiModel):
    """A hold that was let go."""

    hold: str
    released: bool = True


class Preview(ApiModel):
    """What a hold would lie on: how many, and the newest of them."""

    count: int
    recordings: list[Any]


def hold_shown(hold: HoldRow, recordings: int) -> HoldShown:
    """Return a hold as an answer shows it."""
    return HoldShown(**hold.as_json(recordings))


def _may_see(catalogue: Catalogue, who: Principal, hold: HoldRow, at_us: int) -> bool:
    """Say whether a hold exists for somebody: it lies on a recording of which they may know that."""
    if any(who.may_all(scope) for scope in SCOPES):
        return True
    ids = list(HoldTable(catalogue).recordings(hold.id))
    return any(
        who.may_of(scope, found.facts, at_us)
        for begin in range(0, len(ids), _AT_ONCE)
        for found in seen_of(catalogue, who, ids[begin : begin + _AT_ONCE], at_us).values()
        for scope in SCOPES
    )


async def holds_of(request: web.Request, query: HoldsQuery) -> tuple[list[tuple[HoldRow, int]], str | None]:
    """Return a page of the holds that exist for who asks, and the cursor of the next: it may have fewer."""
    who, at = principal_of(request), now_us()

    def read(catalogue: Catalogue) -> tuple[list[tuple[HoldRow, int]], str | None]:
        rows = HoldTable(catalogue).rows(query.released)
        page, following = page_of(rows, lambda row: (row[0].placed_us, row[0].id), query, is_falling=True)
        return [row for row in page if _may_see(catalogue, who, row[0], at)], following

    return await request.app[READER](read)


async def listed(request: web.Request) -> web.Response:
    """List holds."""
    page, following = await holds_of(request, query_of(request, HoldsQuery))
    found = HoldsShown(holds=[hold_shown(*row) for row in page], next=following)
    return answer_shown(found, levels_for(principal_of(request), *SCOPES))


async def one(request: web.Request) -> web.Response:
    """Show a hold."""
    hold, ids = await hold_of(request)
    return answer_shown(hold_shown(hold, len(ids)), levels_for(principal_of(request), *SCOPES))


async def recordings(request: web.Request) -> web.Response:
    """List the recordings of a hold that exist for who asks: a page may have fewer than there are on it."""
    query = query_of(request, PageQuery)
    _, ids = await hold_of(request)
    page, following = page_of(ids, lambda one: (0, one), query)
    found = await seen_all(request, page)
    return as_json({"recordings": briefs(found.values()), "next": following})


async def hold_of(request: web.Request) -> tuple[HoldRow, list[str]]:
    """Return the hold that an address names, and the ids that it lies on. Raises Problem."""
    who, at = principal_of(request), now_us()

    def read(catalogue: Catalogue) -> tuple[HoldRow, list[str]]:
        table = HoldTable(catalogue)
        hold = table.get(request.match_info["id"])
        if not _may_see(catalogue, who, hold, at):
            raise Problem(404, "/problems/not-there", "No hold has this id")
        return hold, list(table.recordings(hold.id))

    return await told(request.app[READER](read))


async def preview(request: web.Request) -> web.Response:
    """Say on what a hold would lie; nothing is changed."""
    body = await body_of(request, On)
    fields = await _checked(request, body)

    def read(catalogue: Catalogue) -> tuple[int, list[str]]:
        if fields is None:
            return len(body.recordings), body.recordings[:_PREVIEWED]
        search = Search(**fields)
        newest = catalogue.list_calls(Search(**fields, limit=_PREVIEWED))
        return catalogue.count_calls(search), [call.id for call in newest]

    count, ids = await request.app[READER](read)
    if fields is not None:
        await perform(request, SEARCHED, Searched(where="calls", query=fields, found=count))
    found = await seen_all(request, ids)
    return as_json({"count": count, "recordings": briefs(found[one] for one in reversed(ids) if one in found)})


async def _checked(request: web.Request, on: On) -> dict[str, Any] | None:
    """Return the search of a hold; None for one on ids. Raises Problem for what who asks may not hold."""
    who = principal_of(request)
    if bool(on.recordings) == (on.search is not None):
        raise Problem(422, "/problems/two-ways", "A hold lies on ids, or on what a search finds", "give one of the two")
    if on.search is None:
        await _refuse_others(request, on.recordings)
        return None
    fields = on.search.fields()
    if not fields:
        raise Problem(422, "/problems/everything", "A hold on everything", "say on what: a number, a time")
    if on.search.number:
        refuse_hidden(who, "party")
    if on.search.call_id:
        refuse_hidden(who, "signalling")
    refuse_partial(who)
    if not who.may_all("hold"):
        raise _not_theirs()
    return fields


async def _refuse_others(request: web.Request, ids: Sequence[str]) -> None:
    """Raise Problem when one of some recordings does not exist for who asks, or is not theirs to hold."""
    who, at = principal_of(request), now_us()
    found = await seen_all(request, ids)
    if any(one not in found for one in ids):
        raise no_such_recording()
    if not all(who.may_of("hold", one.facts, at) for one in found.values()):
        raise _not_theirs()


def _not_theirs() -> Problem:
    detail = "your roles allow holds on some recordings only, and this one is about others too"
    return Problem(403, "/problems/missing-scope", "You may not do this", detail, scope="hold")


async def place(request: web.Request) -> web.Response:
    """Place a hold."""
    body = await body_of(request, HoldBody)

    async def work() -> web.Response:
        fields = await _checked(request, body)
        order = PlaceHold(
            label=body.label,
            reason=body.reason,
            owner=body.owner,
            recordings=body.recordings,
            search=fields,
            standing=body.standing,
        )
        return answer(HoldPlaced.model_validate(await perform(request, PLACE_HOLD, order)), 201)

    return await once(request, work)


async def release(request: web.Request) -> web.Response:
    """Let go of a hold, or ask for it where two have to want it."""
    body = await body_of(request, ReasonBody)

    async def work() -> web.Response:
        hold, ids = await hold_of(request)
        if not principal_of(request).may_all("hold"):
            if hold.standing:
                raise _not_theirs()  # it is on calls that are to come as well
            await _refuse_others(request, ids)
        said = await perform(request, RELEASE_HOLD, ReleaseHold(hold=hold.id, reason=body.reason))
        return done_or_waits(said, lambda: HoldReleased(hold=hold.id))

    return await once(request, work)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Holds", answers, **more)


_SEE: Final = needs(*SCOPES)
ROUTES: Final = (
    Route(
        "GET", f"{PREFIX}/holds", listed, _SEE, _about("Holds", {200: Answer("Holds", HoldsShown)}, query=HoldsQuery)
    ),
    Route(
        "POST",
        f"{PREFIX}/holds",
        place,
        needs("hold"),
        _about(
            "Place a hold",
            {201: Answer("It lies", HoldPlaced)},
            body=HoldBody,
            problems=(404, 409),
            is_idempotent=True,
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/holds/preview",
        preview,
        needs("hold"),
        _about("On what a hold would lie", {200: Answer("So many", Preview)}, body=On, problems=(404,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/holds/{{id}}",
        one,
        _SEE,
        _about("A hold", {200: Answer("The hold", HoldShown)}, problems=(404,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/holds/{{id}}/recordings",
        recordings,
        _SEE,
        _about(
            "On what a hold lies", {200: Answer("Those you may see", BriefsShown)}, query=PageQuery, problems=(404,)
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/holds/{{id}}/release",
        release,
        needs("hold"),
        _about(
            "Let go of a hold",
            {200: Answer("It is let go", HoldReleased), 202: Answer("Somebody else has to approve", Waits)},
            body=ReasonBody,
            problems=(404, 409),
            is_idempotent=True,
        ),
    ),
)
