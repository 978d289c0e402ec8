"""What waits for a second person: who wants what, approving it, refusing it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, query_of
from vittne.appliance.api.brief import as_json, seen_all
from vittne.appliance.api.cutting import cut_approved
from vittne.appliance.api.doing import perform, told
from vittne.appliance.api.paging import PageQuery, page_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.visible import Levels, levels_for
from vittne.appliance.life import asking
from vittne.appliance.life.approving import APPROVE, REFUSE, Approve, Refuse
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.table import APPROVED, EXPIRED, WAITS, LifeTable, Request
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us, rfc3339

SCOPES: Final = ("approve", "hold", "erase", "audit", "keys")
WORDS: Final = {
    asking.CUT: "cut a span out of a recording",
    asking.ERASE: "erase a recording",
    asking.RELEASE: "release a legal hold",
    asking.SHORTEN: "keep a recording less long",
    asking.UNRESTRICT: "let a restricted recording be used again",
    asking.QUARANTINE: "let an unannounced recording be heard",
    asking.UNLOCK: "unlock the archive",
    asking.BULK: "take several recordings away at once",
}


class RequestsQuery(PageQuery):
    """Which requests. decided: those that wait no more as well."""

    decided: bool = False


class RequestShown(ApiModel):
    """Something that two have to want. may_approve: whether the one who looks may be the second one.

    state: waits, approved (and not done yet), done, refused, withdrawn by who asked, expired. expires_at: of one that
    waits.
    """

    id: str
    operation: str
    words: str
    recording: str
    asked_at: str
    asked_by: str
    state: str
    expires_at: str | None
    decided_at: str | None
    decided_by: str
    is_mine: bool
    may_approve: bool
    order: Annotated[dict[str, Any], Of("business")]


class RequestsShown(ApiModel):
    """Requests, the newest first."""

    requests: list[RequestShown]
    next: str | None = None


class Decided(ApiModel):
    """What became of a request. further: what has to be done now, and by whom."""

    id: str
    state: str
    further: str = ""


def request_shown(row: Request, who: Principal, policy: LifePolicy) -> RequestShown:
    """Return a request as one may see it."""
    is_mine = asking.is_his_own(row, who.caller)
    is_open = row.state in (WAITS, APPROVED)
    over = asking.over_us(row, policy)
    state = EXPIRED if is_open and over <= now_us() else row.state
    tries = row.state == WAITS or (row.operation == asking.CUT and bool(row.order.get("reason")))  # what failed, again
    may = state in (WAITS, APPROVED) and tries and not is_mine and who.kind == "user" and who.may("approve")
    said = {**row.as_json(), "state": state, "expires_at": rfc3339(over) if state in (WAITS, APPROVED) else None}
    return RequestShown(**said, words=WORDS.get(row.operation, row.operation), is_mine=is_mine, may_approve=may)


async def requests_of(request: web.Request, decided: bool) -> list[tuple[Request, Levels]]:
    """Return the requests that exist for who asks: about a recording that does, or about none."""
    who = principal_of(request)
    policy = policy_of(request.app[CONFIG])
    rows = await request.app[READER](lambda catalogue: LifeTable(catalogue).requests(decided))
    if not decided:
        rows = [row for row in rows if asking.over_us(row, policy) > now_us()]
    found = await seen_all(request, [row.recording for row in rows if row.recording])
    general = levels_for(who, *SCOPES)
    return [
        (row, found[row.recording].levels if row.recording else general)
        for row in rows
        if not row.recording or row.recording in found
    ]


async def listed(request: web.Request) -> web.Response:
    """List requests."""
    query, who = query_of(request, RequestsQuery), principal_of(request)
    rows = await requests_of(request, query.decided)
    page, following = page_of(rows, lambda row: (row[0].asked_us, row[0].id), query, is_falling=True)
    policy = policy_of(request.app[CONFIG])
    found = [shown(request_shown(row, who, policy), levels) for row, levels in page]
    return as_json({"requests": found, "next": following})


async def one(request: web.Request) -> web.Response:
    """Show a request."""
    row, levels = await _one(request)
    shown_ = request_shown(row, principal_of(request), policy_of(request.app[CONFIG]))
    return as_json(shown(shown_, levels))


async def _one(request: web.Request) -> tuple[Request, Levels]:
    def read(catalogue: Catalogue) -> Request:
        return LifeTable(catalogue).request(request.match_info["id"])

    row = await told(request.app[READER](read))
    if not row.recording:
        return row, levels_for(principal_of(request), *SCOPES)
    found = (await seen_all(request, [row.recording])).get(row.recording)
    if found is None:
        raise Problem(404, "/problems/not-there", "No request has this id")
    return row, found.levels


async def approve(request: web.Request) -> web.Response:
    """Want what another user asked for: it is done at once."""
    row, _ = await _one(request)
    said = await perform(request, APPROVE, Approve(request=row.id))
    if row.operation == asking.CUT and await cut_approved(request, row):
        return answer(Decided(id=row.id, state="done"))
    return answer(Decided(id=row.id, state="approved", further=str(said.get("next", ""))))


async def refuse(request: web.Request) -> web.Response:
    """Say no to a request, or take one's own back."""
    row, _ = await _one(request)
    who = principal_of(request)
    if not who.may("approve") and not asking.is_his_own(row, who.caller):
        detail = "only who asked takes it back; others need a role that approves"
        raise Problem(403, "/problems/not-yours", "The request is another's", detail)
    said = await perform(request, REFUSE, Refuse(request=row.id))
    return answer(Decided(id=row.id, state=said["state"]))


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Approvals", answers, **more)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/requests",
        listed,
        needs(*SCOPES),
        _about("What waits for a second person", {200: Answer("Requests", RequestsShown)}, query=RequestsQuery),
    ),
    Route(
        "GET",
        f"{PREFIX}/requests/{{id}}",
        one,
        needs(*SCOPES),
        _about("A request", {200: Answer("The request", RequestShown)}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/requests/{{id}}/approve",
        approve,
        needs("approve", is_fresh=True),
        _about("Approve what another asked for", {200: Answer("It is done", Decided)}, problems=(404, 409)),
    ),
    Route(
        "POST",
        f"{PREFIX}/requests/{{id}}/refuse",
        refuse,
        needs("approve", "hold", "erase", "keys"),
        _about("Refuse, or take back", {200: Answer("It is not done", Decided)}, problems=(404, 409)),
    ),
)
