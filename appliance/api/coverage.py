"""What was recorded of a time and what was not, whether callers were told, and what pauses say."""

from __future__ import annotations

from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Day, answer, query_of
from vittne.appliance.api.brief import Brief, answer_shown, as_json, brief, seen_all
from vittne.appliance.api.doing import perform
from vittne.appliance.api.moments import Span
from vittne.appliance.api.paging import PageQuery, cursor_of
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.api.visible import levels_for, refuse_hidden, refuse_partial
from vittne.appliance.compliance.coverage import answered_calls, cover, lost_packets, standstill
from vittne.appliance.compliance.coverage_command import day_us
from vittne.appliance.compliance.ledgerfacts import read_ledger
from vittne.appliance.compliance.outcomes import counted, meaning_of, not_recorded
from vittne.appliance.pausequeries import pauses_between, talks_of
from vittne.appliance.pausereport import Bounds, Group, groups_of
from vittne.appliance.searches import SEARCHED, Searched
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.verdicts.sums import Missing, Sums, Which, missing, sums

ANNOUNCED: Final = ("announcements", "audit")


class DayQuery(ApiModel):
    """Which day, by the site's clock."""

    day: Day


class CoverageShown(ApiModel):
    """The answered calls of a day, and what became of them. numbers: where they may be seen."""

    day: str
    timezone: str
    total: dict[str, Any]
    hours: dict[str, Any]
    trunks: Annotated[dict[str, Any], Of("signalling")]
    numbers: Annotated[dict[str, Any], Of("party")]
    missing: list[dict[str, str]]
    not_running: list[dict[str, str]]
    packets_lost: dict[str, int]


class AnnouncedShown(ApiModel):
    """How many calls were announced, in all and by site, language, hour and day; by number where they may be seen."""

    since: str
    until: str
    total: dict[str, Any]
    sites: dict[str, Any]
    languages: dict[str, Any]
    hours: dict[str, Any]
    days: dict[str, Any]
    trunks: Annotated[dict[str, Any], Of("signalling")]
    numbers: Annotated[dict[str, Any], Of("party")]


class UnannouncedQuery(Span):
    """Which calls that should have been announced and were not. quarantined: only those that nobody may hear."""

    site: str = Field(default="", max_length=64)
    rule: str = Field(default="", max_length=64)
    announced: str = Field(default="", max_length=20)
    number: str = Field(default="", max_length=200)
    quarantined: bool = False
    limit: int = Field(default=100, ge=1, le=500)


class UnannouncedOne(Brief):
    """A call that was not announced. announced: what was heard; reason: why that is not enough; offset_s: where."""

    announced: str
    rule: str
    reason: str
    offset_s: float | None
    quarantined_at: str | None
    is_kept: bool


class UnannouncedShown(ApiModel):
    """Such calls, the newest first; more: there are older ones."""

    calls: list[UnannouncedOne]
    more: bool


class NotRecordedQuery(Span, PageQuery):
    """Which calls. outcome: one of them; default: all of which nothing is kept."""

    outcome: str = Field(default="", max_length=40)


class NotRecordedOne(Brief):
    """A call that was not recorded. words: what its outcome means; remedy: what helps."""

    reasons: list[str]
    words: str
    remedy: str
    is_meant: bool


class NotRecordedShown(ApiModel):
    """Calls, the newest first. outcomes: how many of the time came to what, where all calls may be seen."""

    calls: list[NotRecordedOne]
    next: str | None = None


class PauseGroup(ApiModel):
    """Pauses of one agent, actor or trigger. name: of an agent or actor where that may be seen."""

    by: str
    name: Annotated[str, Of("agent")]
    pauses: int
    total_s: float
    longest_s: float
    share: float | None
    lease: int
    incomplete: int
    ambiguous: int
    no_resume: int
    no_payment: int
    digits: int
    unconfirmed: int
    on_no_call: int
    most_per_day: int
    over: list[str]


class PauseReport(ApiModel):
    """What pauses of a time say of who asked for them. over: which bounds were broken."""

    since: str
    until: str
    groups: list[PauseGroup]


async def day(request: web.Request) -> web.Response:
    """Say what became of a day's answered calls."""
    query, who = query_of(request, DayQuery), principal_of(request)
    refuse_partial(who)
    reader, zone = request.app[READER], request.app[CONFIG].site.timezone

    def read(catalogue: Catalogue) -> CoverageShown:
        since, until = day_us(query.day, ZoneInfo(zone))
        ledger = read_ledger(reader.data_dir, since, until)
        if ledger.broken:
            raise StoreError("the ledger cannot be believed", reader.data_dir / "ledger", ledger.broken)
        found = cover(answered_calls(catalogue, reader.data_dir, ledger.sealed, since, until), ZoneInfo(zone)).as_json()
        runs = catalogue.runs()
        stood = standstill(runs, since, min(until, now_us()))
        return CoverageShown(
            day=query.day.isoformat(),
            timezone=zone,
            total=found["total"],
            hours=found["hours"],
            trunks=found["trunks"],
            numbers=found["numbers"],
            missing=[{name: one[name] for name in ("id", "at", "outcome", "reason")} for one in found["missing"]],
            not_running=[{"from": rfc3339(begin), "to": rfc3339(end)} for begin, end in stood],
            packets_lost=lost_packets(runs, since, until),
        )

    found = await reader.long(lambda: read(reader.catalogue))
    return answer_shown(found, levels_for(who, "audit"))


def announced_of(catalogue: Catalogue, since_us: int, until_us: int, timezone: str) -> Sums:
    """Return how many calls of a time were announced."""
    return sums(catalogue, since_us, until_us, ZoneInfo(timezone))


async def announced(request: web.Request) -> web.Response:
    """Say how many callers were told that they are recorded."""
    who = principal_of(request)
    refuse_partial(who)
    since, until = query_of(request, Span).times(now_us())
    found = await request.app[READER](announced_of, since, until, request.app[CONFIG].site.timezone)
    said = found.as_json()
    names = ("total", "sites", "languages", "hours", "days", "trunks", "numbers")
    told = AnnouncedShown(since=rfc3339(since), until=rfc3339(until), **{name: said[name] for name in names})
    return answer_shown(told, levels_for(who, *ANNOUNCED))


async def unannounced(request: web.Request) -> web.Response:
    """List calls that should have been announced and were not."""
    rows, more = await unannounced_of(request, query_of(request, UnannouncedQuery))
    return as_json({"calls": rows, "more": more})


async def unannounced_of(request: web.Request, query: UnannouncedQuery) -> tuple[list[dict[str, Any]], bool]:
    """Return such calls as who asks may see them, the newest first, and whether there are more."""
    if query.number:
        refuse_hidden(principal_of(request), "party")
    since, until = query.times(now_us())
    which = Which(
        since_us=since,
        until_us=until,
        announced=query.announced,
        rule=query.rule,
        site=query.site,
        number=query.number,
        quarantined=query.quarantined,
        limit=query.limit + 1,
    )
    found = await request.app[READER](missing, which)
    if query.number:
        order = Searched(where="calls", query={"number": query.number}, found=len(found))
        await perform(request, SEARCHED, order)
    found.reverse()
    mine = await seen_all(request, [one.id for one in found])
    return [
        shown(_unannounced(one, brief(mine[one.id].call)), mine[one.id].levels)
        for one in found[: query.limit]
        if one.id in mine
    ], len(found) > query.limit


def _unannounced(one: Missing, told: Brief) -> UnannouncedOne:
    return UnannouncedOne(
        **dict(told),
        announced=one.announced,
        rule=one.rule,
        reason=one.reason,
        offset_s=one.offset_s,
        quarantined_at=None if one.quarantined_us is None else rfc3339(one.quarantined_us),
        is_kept=one.is_kept,
    )


async def unrecorded(request: web.Request) -> web.Response:
    """List answered calls of which nothing is kept, and why."""
    rows, following = await unrecorded_of(request, query_of(request, NotRecordedQuery))
    return as_json({"calls": rows, "next": following})


async def unrecorded_of(request: web.Request, query: NotRecordedQuery) -> tuple[list[dict[str, Any]], str | None]:
    """Return such calls as who asks may see them, and the cursor of the next page."""
    since, until = query.times(now_us())

    def read(catalogue: Catalogue) -> list[tuple[int, str]]:
        return list(not_recorded(catalogue, since, until, query.outcome, query.place, query.limit + 1))

    found = await request.app[READER](read)
    page = found[: query.limit]
    mine = await seen_all(request, [one for _, one in page])
    rows = []
    for _, name in page:
        if (seen := mine.get(name)) is not None:
            means = meaning_of(seen.call.outcome)
            told = NotRecordedOne(
                **dict(brief(seen.call)),
                reasons=list(seen.call.outcome_reasons),
                words=means.words,
                remedy=means.remedy,
                is_meant=means.is_meant,
            )
            rows.append(shown(told, seen.levels))
    return rows, cursor_of(page[-1]) if len(found) > query.limit else None


def pause_groups(catalogue: Catalogue, since_us: int, until_us: int, bounds: Bounds) -> list[Group]:
    """Return what the pauses of a time say."""
    pauses, now_at = pauses_between(catalogue, since_us, until_us), now_us() * 1000
    return groups_of(pauses, talks_of(catalogue, since_us, until_us, pauses, now_at), bounds, now_at)


async def pauses(request: web.Request) -> web.Response:
    """Say what pauses say of who asked for them."""
    who, config = principal_of(request), request.app[CONFIG].pause
    refuse_partial(who)
    since, until = query_of(request, Span).times(now_us())
    bounds = Bounds(config.report_longest_s, config.report_most_per_day)
    found = await request.app[READER](pause_groups, since, until, bounds)
    names = set(PauseGroup.model_fields)
    groups = [PauseGroup(**{name: value for name, value in one.as_json().items() if name in names}) for one in found]
    report = PauseReport(since=rfc3339(since), until=rfc3339(until), groups=groups)
    return answer_shown(report, levels_for(who, "audit"))


def outcomes_of(catalogue: Catalogue, since_us: int, until_us: int) -> dict[str, int]:
    """Return how many answered calls of a time came to which outcome."""
    return counted(catalogue, since_us, until_us)


class OutcomesShown(ApiModel):
    """Answered calls of a time by outcome."""

    since: str
    until: str
    outcomes: dict[str, int]


async def outcomes(request: web.Request) -> web.Response:
    """Count answered calls by outcome."""
    refuse_partial(principal_of(request))
    since, until = query_of(request, Span).times(now_us())
    found = await request.app[READER](outcomes_of, since, until)
    return answer(OutcomesShown(since=rfc3339(since), until=rfc3339(until), outcomes=found))


def _get(path: str, handler: Any, scopes: tuple[str, ...], summary: str, model: Any, query: Any) -> Route:
    about = About(summary, "Coverage", {200: Answer(summary, model)}, query=query)
    return Route("GET", f"{PREFIX}/{path}", handler, needs(*scopes), about)


ROUTES: Final = (
    _get("coverage", day, ("audit",), "A day's answered calls, and what became of them", CoverageShown, DayQuery),
    _get("coverage/outcomes", outcomes, ("audit",), "Answered calls by outcome", OutcomesShown, Span),
    _get(
        "coverage/not-recorded",
        unrecorded,
        ("audit",),
        "Calls that were not recorded",
        NotRecordedShown,
        NotRecordedQuery,
    ),
    _get("coverage/announcements", announced, ANNOUNCED, "How many callers were told", AnnouncedShown, Span),
    _get(
        "coverage/unannounced",
        unannounced,
        ANNOUNCED,
        "Calls that were not announced",
        UnannouncedShown,
        UnannouncedQuery,
    ),
    _get("coverage/pauses", pauses, ("audit",), "What pauses say", PauseReport, Span),
)
