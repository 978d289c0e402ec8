"""Review plans and scorecards: which calls are drawn every month, and what is asked about each."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web

from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.brief import as_json
from vittne.appliance.api.doing import perform
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.reader import READER
from vittne.appliance.api.reviews import CardShown
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.visible import levels_for, refuse_hidden, refuse_partial
from vittne.appliance.review.cards import Card
from vittne.appliance.review.operations import END_PLAN, PUT_CARD, PUT_PLANS, EndPlan, PutCard, PutPlan
from vittne.appliance.review.plans import PlanConfig, terms_of
from vittne.appliance.review.table import ReviewTable, Version
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import rfc3339


class PlansQuery(ApiModel):
    """Which plans. ended: those that draw no more as well."""

    ended: bool = False


class PlanShown(ApiModel):
    """A plan, as its newest version has it. terms: as POST takes it."""

    name: str
    version: int
    made_at: str
    made_by: str
    ended_at: str | None
    terms: Annotated[dict[str, Any], Of("party")]


class PlansShown(ApiModel):
    """Plans by name."""

    plans: list[PlanShown]


class PlanPut(ApiModel):
    """What became of it. changed: a new version counts; else it says what was there."""

    name: str
    version: int
    changed: bool


class PlanEnded(ApiModel):
    """Which plan draws no more."""

    name: str


def plan_shown(one: Version) -> PlanShown:
    """Return a plan as an answer shows it."""
    ended = None if one.ended_us is None else rfc3339(one.ended_us)
    return PlanShown(
        name=one.name,
        version=one.version,
        made_at=rfc3339(one.made_us),
        made_by=one.made_by,
        ended_at=ended,
        terms=dict(one.body),
    )


async def plans_of(request: web.Request, ended: bool) -> list[dict[str, Any]]:
    """Return plans as who asks may see them: a plan may name numbers."""
    found = await request.app[READER](lambda catalogue: ReviewTable(catalogue).plans(ended))
    levels = levels_for(principal_of(request), "review")
    return [shown(plan_shown(one), levels) for one in found]


async def plans(request: web.Request) -> web.Response:
    """List plans."""
    return as_json({"plans": await plans_of(request, query_of(request, PlansQuery).ended)})


async def put_plan(request: web.Request) -> web.Response:
    """Add a plan, or make a new version of it. What was drawn before stays as it is."""
    body, who = await body_of(request, PlanConfig), principal_of(request)
    refuse_partial(who)
    refuse_hidden(who, "party")

    async def work() -> web.Response:
        said = await perform(request, PUT_PLANS, PutPlan(plans=[terms_of(body)]))

        def read(catalogue: Catalogue) -> Version:
            return ReviewTable(catalogue).plan(body.name)

        kept = await request.app[READER](read)
        return answer(PlanPut(name=kept.name, version=kept.version, changed=bool(said["changed"])))

    return await once(request, work)


async def end_plan(request: web.Request) -> web.Response:
    """Draw by a plan no more; its open reviews stay."""
    refuse_partial(principal_of(request))
    await perform(request, END_PLAN, EndPlan(plan=request.match_info["name"]))
    return answer(PlanEnded(name=request.match_info["name"]))


async def put_card(request: web.Request) -> web.Response:
    """Add a scorecard, or make a new version of it. Reviews that are done keep theirs."""
    body = await body_of(request, Card)
    refuse_partial(principal_of(request))

    async def work() -> web.Response:
        await perform(request, PUT_CARD, PutCard(card=body.model_dump(mode="json")))

        def read(catalogue: Catalogue) -> CardShown:
            kept = ReviewTable(catalogue).card(body.name)
            return CardShown(name=kept.name, version=kept.version, questions=list(kept.body["questions"]))

        return answer(await request.app[READER](read))

    return await once(request, work)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Reviews", answers, **more)


_MAY: Final = needs("review")
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/review-plans",
        plans,
        _MAY,
        _about("Plans", {200: Answer("Which calls are drawn", PlansShown)}, query=PlansQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/review-plans",
        put_plan,
        _MAY,
        _about(
            "Add or change a plan",
            {200: Answer("It counts for the months to come", PlanPut)},
            body=PlanConfig,
            is_idempotent=True,
        ),
    ),
    Route(
        "POST",
        f"{PREFIX}/review-plans/{{name}}/end",
        end_plan,
        _MAY,
        _about("End a plan", {200: Answer("It draws no more", PlanEnded)}, problems=(404, 409)),
    ),
    Route(
        "POST",
        f"{PREFIX}/review-cards",
        put_card,
        _MAY,
        _about("Add or change a scorecard", {200: Answer("It counts", CardShown)}, body=Card, is_idempotent=True),
    ),
)
