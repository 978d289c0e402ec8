"""The console's pages of the compliance side: they read what the API reads, and change nothing themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.showing import shown
from vittne.appliance.api import approvals, audit, holds, incidents, retention, reviews, rules, subjects
from vittne.appliance.api.attention import SCOPES as ATTENTION
from vittne.appliance.api.attention import points_of
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import query_of
from vittne.appliance.api.brief import briefs, seen_all
from vittne.appliance.api.moments import DAY_US
from vittne.appliance.api.paging import page_of
from vittne.appliance.api.reader import READER
from vittne.appliance.api.reports import ReportQuery, made
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.visible import levels_for, sees_every_recording
from vittne.appliance.compliance.report import CAUTION, TITLES
from vittne.appliance.console.announcement_pages import PAGES as ANNOUNCEMENT_PAGES
from vittne.appliance.console.compliance_coverage import COVERAGE_PAGES
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.console.review_pages import PAGES as REVIEW_PAGES
from vittne.appliance.seal.events import MEMBERS
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.subjects.operations import KINDS, OUTCOMES

GROUP: Final = "Compliance"
_FIRST: Final = 100  # of what stands on one page without a pager


async def overview(request: web.Request) -> web.Response:
    """Say what to look at today."""
    return render(request, "compliance/overview.html", points=await points_of(request))


async def retention_page(request: web.Request) -> web.Response:
    """Show what is due, what comes, and let other rules be tried."""
    query, config = query_of(request, retention.PlanQuery), request.app[CONFIG]
    sees_all = sees_every_recording(principal_of(request))
    plan = ahead = None
    if sees_all:
        policy = policy_of(config)
        plan = await request.app[READER](retention.plan_of, policy, now_us(), query)
        ahead = await request.app[READER](retention.forecast_of, policy, 24)
    most = max((one.recordings for one in ahead.months), default=0) if ahead is not None else 0
    values: dict[str, Any] = {"plan": plan, "ahead": ahead, "most": most, "rules_text": rules.rules_of(config).text}
    return render(request, "compliance/retention.html", **values)


async def holds_page(request: web.Request) -> web.Response:
    """List holds, and let one be placed."""
    query = query_of(request, holds.HoldsQuery)
    page, following = await holds.holds_of(request, query)
    levels = levels_for(principal_of(request), *holds.SCOPES)
    found = [shown(holds.hold_shown(*row), levels) for row in page]
    return render(request, "compliance/holds.html", holds=found, next=following, released=query.released)


async def hold_page(request: web.Request) -> web.Response:
    """Show a hold and its recordings."""
    hold, ids = await holds.hold_of(request)
    found = await seen_all(request, ids[:_FIRST])
    one = shown(holds.hold_shown(hold, len(ids)), levels_for(principal_of(request), *holds.SCOPES))
    return render(
        request, "compliance/hold.html", hold=one, recordings=briefs(found.values()), here="/compliance/holds"
    )


async def subjects_page(request: web.Request) -> web.Response:
    """List cases, and let one be opened."""
    query = query_of(request, subjects.CasesQuery)
    rows = await request.app[READER](subjects.cases_of, query.closed)
    page, following = page_of(rows, lambda one: (one.due_us, one.id), query)
    levels, at = levels_for(principal_of(request), "subjects"), now_us()
    found = [shown(subjects.case_shown(one, at), levels) for one in page]
    values: dict[str, Any] = {"cases": found, "next": following, "closed": query.closed, "kinds": KINDS}
    return render(request, "compliance/subjects.html", **values)


async def subject_page(request: web.Request) -> web.Response:
    """Show a case, what is found, and what was done."""
    case = await subjects.whole_case(request)
    needs = any(one.reason_required for one in principal_of(request).profiles)
    values: dict[str, Any] = {"case": case, "outcomes": OUTCOMES, "needs_reason": needs}
    return render(request, "compliance/subject.html", here="/compliance/subjects", **values)


async def approvals_page(request: web.Request) -> web.Response:
    """List what waits for a second person."""
    query, who = query_of(request, approvals.RequestsQuery), principal_of(request)
    rows = await approvals.requests_of(request, query.decided)
    page, following = page_of(rows, lambda row: (row[0].asked_us, row[0].id), query, is_falling=True)
    policy = policy_of(request.app[CONFIG])
    found = [shown(approvals.request_shown(row, who, policy), levels) for row, levels in page]
    return render(
        request,
        "compliance/approvals.html",
        requests=found,
        policy=policy,
        words=approvals.WORDS,
        next=following,
        decided=query.decided,
    )


async def reviews_page(request: web.Request) -> web.Response:
    """List reviews: what is open, or was done."""
    query = query_of(request, reviews.ReviewsQuery)
    rows, following = await reviews.reviews_of(request, query)
    return render(request, "compliance/reviews.html", reviews=rows, next=following, query=query)


async def review_page(request: web.Request) -> web.Response:
    """Show a review, with the card's questions."""
    row, seen = await reviews.review_of(request)
    one = shown(reviews.review_shown(row, seen, principal_of(request).name, now_us()), seen.levels)
    cards = (await request.app[READER](reviews.cards_of)).cards
    card = next((card for card in cards if card.name == (row.card or "")), cards[0] if len(cards) == 1 else None)
    return render(request, "compliance/review.html", review=one, card=card, here="/compliance/reviews")


async def audit_page(request: web.Request) -> web.Response:
    """Show the trail, or who looked."""
    query = query_of(request, audit.AuditQuery)
    rows, following = await audit.rows_of(request, query)
    found = [shown(audit.row_shown(row), levels) for row, levels in rows]
    kinds = sorted(kind for kind, members in MEMBERS.items() if "row" in members)
    values: dict[str, Any] = {"rows": found, "next": following, "query": query, "kinds": kinds}
    return render(request, "compliance/audit.html", **values)


async def proof_page(request: web.Request) -> web.Response:
    """Show what proves a row."""
    found = await audit.proof_of(request)
    row = shown(audit.row_shown(found.row), levels_for(principal_of(request), "audit"))
    proof = audit.proof_shown(found)
    return render(request, "compliance/proof.html", row=row, proof=proof, here="/compliance/audit")


async def incidents_page(request: web.Request) -> web.Response:
    """List incidents, and let one be written down."""
    query, at = query_of(request, incidents.IncidentsQuery), now_us()
    rows = await request.app[READER](incidents.incidents_of, query.closed)
    page, following = page_of(rows, lambda one: (one.opened_us, one.id), query, is_falling=True)
    found = [incidents.incident_shown(one, at) for one in page]
    return render(request, "compliance/incidents.html", incidents=found, next=following, closed=query.closed)


async def incident_page(request: web.Request) -> web.Response:
    """Show an incident with its clock."""
    found = incidents.incident_shown(await incidents.incident_of(request), now_us())
    return render(request, "compliance/incident.html", incident=found, here="/compliance/incidents")


async def report_page(request: web.Request) -> web.Response:
    """Choose a report; with a time in the address it is made and shown."""
    query = query_of(request, ReportQuery)
    sees_all = sees_every_recording(principal_of(request))
    wanted = request.query_string != "" and sees_all
    found = await made(request, query) if wanted else None
    at = now_us()
    until = rfc3339(at + DAY_US)[:10] if query.until is None else _day(query.until)
    since = rfc3339(at - 365 * DAY_US)[:10] if query.since is None else _day(query.since)
    values: dict[str, Any] = {"report": found, "caution": CAUTION, "titles": TITLES, "regime": query.regime}
    return render(request, "compliance/report.html", since=since, until=until, sees_all=sees_all, **values)


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


PAGES: Final = (
    Page("/compliance", overview, ATTENTION[0], Item("What to look at", "eye", GROUP), ATTENTION[1:]),
    *COVERAGE_PAGES,
    *ANNOUNCEMENT_PAGES,
    Page("/compliance/retention", retention_page, "retention", Item("Retention", "hourglass", GROUP)),
    Page("/compliance/holds", holds_page, "hold", Item("Legal holds", "gavel", GROUP), ("retention", "audit")),
    Page("/compliance/holds/{id}", hold_page, "hold", None, ("retention", "audit")),
    Page("/compliance/subjects", subjects_page, "subjects", Item("Requests of persons", "user-check", GROUP)),
    Page("/compliance/subjects/{id}", subject_page, "subjects"),
    Page(
        "/compliance/approvals",
        approvals_page,
        approvals.SCOPES[0],
        Item("Waiting for approval", "users", GROUP),
        approvals.SCOPES[1:],
    ),
    Page("/compliance/reviews", reviews_page, "review", Item("Reviews", "clipboard-check", GROUP)),
    Page("/compliance/reviews/{id}", review_page, "review"),
    *REVIEW_PAGES,
    Page("/compliance/audit", audit_page, "audit", Item("Audit trail", "scroll-text", GROUP)),
    Page("/compliance/audit/{id}", proof_page, "audit"),
    Page("/compliance/incidents", incidents_page, "incidents", Item("Incidents", "shield-alert", GROUP), ("audit",)),
    Page("/compliance/incidents/{id}", incident_page, "incidents", None, ("audit",)),
    Page("/compliance/report", report_page, "audit", Item("Report", "file-check-2", GROUP)),
)
