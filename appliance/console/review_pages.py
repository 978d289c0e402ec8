"""Pages of review plans and scorecards: what is drawn every month, and what is asked; adding and changing both."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, query_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.review_plans import plans_of
from vittne.appliance.api.reviews import cards_of
from vittne.appliance.api.visible import sees_every_recording
from vittne.appliance.console.pages import Page
from vittne.appliance.console.render import render
from vittne.appliance.review.plans import RISKS, PlanConfig, terms_of
from vittne.appliance.store.times import now_us, rfc3339

_HERE: Final = "/compliance/reviews"
_IN_FORM: Final = frozenset(
    {
        *("name", "per", "groups", "percent", "least", "most", "weights", "long_s", "short_s", "pauses", "open_hours"),
        *("reviewers", "due_days", "card", "timezone", "sites", "agents", "tags"),
    }
)


class NamedQuery(ApiModel):
    """Which one; none: a new one."""

    name: str = Field(default="", max_length=64)


async def plans_page(request: web.Request) -> web.Response:
    """List plans and scorecards."""
    found = await plans_of(request, ended=True)
    cards = (await request.app[READER](cards_of)).cards
    may_change = sees_every_recording(principal_of(request))
    month = rfc3339(now_us())[:7]
    values: dict[str, Any] = {"plans": found, "cards": cards, "may_change": may_change, "this_month": month}
    return render(request, "compliance/review_plans.html", here=_HERE, **values)


async def plan_page(request: web.Request) -> web.Response:
    """Add a plan, or change one."""
    name = query_of(request, NamedQuery).name
    known = {one["name"]: one for one in await plans_of(request, ended=True)}
    if name and "terms" not in known.get(name, {}):
        raise Problem(404, "/problems/not-there", "No plan is called so")
    terms = known[name]["terms"] if name else {**terms_of(PlanConfig(name="new")), "name": ""}
    kept = {key: value for key, value in terms.items() if key not in _IN_FORM and value not in ([], "", None)}
    cards = (await request.app[READER](cards_of)).cards
    values: dict[str, Any] = {"plan": terms, "kept": kept, "cards": cards, "risks": RISKS, "is_new": not name}
    return render(request, "compliance/review_plan.html", here=_HERE, **values)


async def card_page(request: web.Request) -> web.Response:
    """Add a scorecard, or change one."""
    name = query_of(request, NamedQuery).name
    cards = {one.name: one for one in (await request.app[READER](cards_of)).cards}
    if name and name not in cards:
        raise Problem(404, "/problems/not-there", "No scorecard is called so")
    questions = cards[name].questions if name else []
    return render(request, "compliance/review_card.html", name=name, questions=questions, here=_HERE)


PAGES: Final = (
    Page("/compliance/review-plans", plans_page, "review"),
    Page("/compliance/review-plan", plan_page, "review"),
    Page("/compliance/review-card", card_page, "review"),
)
