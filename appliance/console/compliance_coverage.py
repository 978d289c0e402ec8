"""Pages about what was recorded and what was not, who was told, and pauses."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.showing import shown
from vittne.appliance.api import coverage
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import query_of
from vittne.appliance.api.moments import DAY_US, Span
from vittne.appliance.api.reader import READER
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.api.visible import levels_for, sees_every_recording
from vittne.appliance.compliance.outcomes import meaning_of
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.pausereport import Bounds
from vittne.appliance.store.times import now_us, rfc3339

GROUP: Final = "Compliance"
_HERE: Final = "/compliance/coverage"


def _span(query: Span) -> tuple[int, int, dict[str, Any]]:
    since, until = query.times(now_us())
    shown_until = until if query.until is not None else until + DAY_US  # so that today is in what is asked for next
    return since, until, {"since": rfc3339(since)[:10], "until": rfc3339(shown_until)[:10], "here": _HERE}


async def announced_page(request: web.Request) -> web.Response:
    """Show how many callers were told, and list those who were not."""
    query, who = query_of(request, coverage.UnannouncedQuery), principal_of(request)
    since, until, values = _span(query)
    told = None
    if sees_every_recording(who):
        timezone = request.app[CONFIG].site.timezone
        found = (await request.app[READER](coverage.announced_of, since, until, timezone)).as_json()
        names = ("total", "sites", "languages", "hours", "days", "trunks", "numbers")
        model = coverage.AnnouncedShown(
            since=rfc3339(since), until=rfc3339(until), **{name: found[name] for name in names}
        )
        told = shown(model, levels_for(who, *coverage.ANNOUNCED))
    calls, more = await coverage.unannounced_of(request, query)
    return render(request, "compliance/announced.html", told=told, calls=calls, more=more, query=query, **values)


async def pauses_page(request: web.Request) -> web.Response:
    """Show what pauses say of who asked for them."""
    query, who, config = query_of(request, Span), principal_of(request), request.app[CONFIG].pause
    since, until, values = _span(query)
    groups: list[dict[str, Any]] = []
    if sees_every_recording(who):
        bounds = Bounds(config.report_longest_s, config.report_most_per_day)
        found = await request.app[READER](coverage.pause_groups, since, until, bounds)
        names, levels = set(coverage.PauseGroup.model_fields), levels_for(who, "audit")
        models = [coverage.PauseGroup(**{k: v for k, v in one.as_json().items() if k in names}) for one in found]
        groups = [shown(one, levels) for one in models]
    return render(request, "compliance/pauses.html", groups=groups, longest_s=config.report_longest_s, **values)


async def unrecorded_page(request: web.Request) -> web.Response:
    """Show calls of which nothing is kept, and why."""
    query, who = query_of(request, coverage.NotRecordedQuery), principal_of(request)
    since, until, values = _span(query)
    counts: list[tuple[str, int, Any]] = []
    if sees_every_recording(who):
        found = await request.app[READER](coverage.outcomes_of, since, until)
        counts = [(name, n, meaning_of(name)) for name, n in sorted(found.items(), key=lambda one: -one[1])]
    calls, following = await coverage.unrecorded_of(request, query)
    values |= {"counts": counts, "calls": calls, "next": following, "outcome": query.outcome}
    return render(request, "compliance/unrecorded.html", **values)


COVERAGE_PAGES: Final = (
    Page(_HERE, announced_page, coverage.ANNOUNCED[0], Item("Coverage", "megaphone", GROUP), coverage.ANNOUNCED[1:]),
    Page("/compliance/not-recorded", unrecorded_page, "audit"),
    Page("/compliance/pauses", pauses_page, "audit"),
)
