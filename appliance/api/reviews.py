"""Reviews: what waits for whom, scoring a call by a card, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.brief import Brief, answer_shown, as_json, brief, seen_all
from vittne.appliance.api.doing import perform, told
from vittne.appliance.api.idempotency import once
from vittne.appliance.api.paging import PageQuery, page_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.visible import Seen, levels_for, refuse_partial
from vittne.appliance.life.asking import is_same_person
from vittne.appliance.review.operations import ASSIGN, DRAW, SCORE, Assign, DrawMonth, Outcome, Score
from vittne.appliance.review.report import by_agent, covered, overdue
from vittne.appliance.review.table import OPEN, Review, ReviewTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us


class ReviewsQuery(PageQuery):
    """Which reviews. mine: only those that are assigned to who asks; overdue: only those whose date is over."""

    state: Literal["open", "done", "all"] = "open"
    mine: bool = False
    overdue: bool = False
    plan: str = Field(default="", max_length=64)


class AssignBody(ApiModel):
    """Who reviews it: a user's name."""

    to: str = Field(min_length=1, max_length=100)


class ScoreBody(ApiModel):
    """What a reviewer says. answers: by the card's keys: yes, no, 0 to 5, na, or text. card: default the plan's."""

    card: str = Field(default="", max_length=64)
    answers: dict[str, str] = Field(default_factory=dict, max_length=200)
    outcome: Outcome
    note: str = Field(default="", max_length=10_000)
    coaching: str = Field(default="", max_length=10_000)


class DrawBody(ApiModel):
    """A plan, and a month that is over, such as 2026-01."""

    plan: str = Field(min_length=1, max_length=64)
    month: str = Field(pattern=r"^\d{4}-\d{2}$")


class ReviewShown(ApiModel):
    """A review, with its call."""

    id: str
    plan: str
    month: str
    recording: Brief
    risks: list[str]
    reviewer: str
    is_mine: bool
    overdue: bool
    due_at: str
    state: str
    card: str
    card_version: int | None
    answers: Annotated[dict[str, str], Of("business")]
    score: float | None
    outcome: str
    note: Annotated[str, Of("business")]
    coaching: Annotated[str, Of("business")]
    done_at: str | None
    done_by: str
    erased: bool


class ReviewsShown(ApiModel):
    """Reviews, the first one due first. A page may hold fewer: go on while there is a next."""

    reviews: list[ReviewShown]
    next: str | None = None


class CardShown(ApiModel):
    """A scorecard, as its newest version has it."""

    name: str
    version: int
    questions: list[dict[str, Any]]


class CardsShown(ApiModel):
    """Scorecards."""

    cards: list[CardShown]


class ReportShown(ApiModel):
    """How far each draw is reviewed, and what was found of each agent."""

    draws: list[dict[str, Any]]
    agents: Annotated[list[dict[str, Any]], Of("agent")]
    overdue: int


class Changed(ApiModel):
    """Which review was changed."""

    review: str


class Scored(ApiModel):
    """What the answers came to: 0 to 100; null when none counts."""

    review: str
    score: float | None
    outcome: str


class Drawn(ApiModel):
    """What was drawn."""

    plan: str
    month: str
    population: int
    drawn: int


def review_shown(row: Review, seen: Seen, name: str, at_us: int) -> ReviewShown:
    """Return a review as an answer shows it. name: of who looks."""
    said = row.as_json()
    names = set(ReviewShown.model_fields) - {"recording", "is_mine", "overdue"}
    late = bool(overdue([row], at_us))
    mine = bool(row.reviewer) and is_same_person(row.reviewer, name)
    values = {one: said[one] for one in names}
    return ReviewShown(**values, recording=brief(seen.call), is_mine=mine, overdue=late)


async def _reviewable(request: web.Request, ids: Sequence[str]) -> dict[str, Seen]:
    """Return those of some recordings that who asks may review: a role for one queue does not reach into another."""
    who, at = principal_of(request), now_us()
    return {id_: one for id_, one in (await seen_all(request, ids)).items() if who.may_of("review", one.facts, at)}


async def reviews_of(request: web.Request, query: ReviewsQuery) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page of reviews of calls that exist for who asks, and the cursor of the next."""
    who, at = principal_of(request), now_us()
    rows = await request.app[READER](lambda catalogue: ReviewTable(catalogue).reviews(plan=query.plan))
    if query.state != "all":
        rows = [row for row in rows if (row.state == OPEN and not row.erased) == (query.state == "open")]
    if query.mine:
        rows = [row for row in rows if row.reviewer and is_same_person(row.reviewer, who.name)]
    if query.overdue:
        rows = overdue(rows, at)
    page, following = page_of(rows, lambda row: (row.due_us, row.id), query)
    mine = await _reviewable(request, [row.recording for row in page])
    return [
        shown(review_shown(row, mine[row.recording], who.name, at), mine[row.recording].levels)
        for row in page
        if row.recording in mine
    ], following


async def listed(request: web.Request) -> web.Response:
    """List reviews."""
    rows, following = await reviews_of(request, query_of(request, ReviewsQuery))
    return as_json({"reviews": rows, "next": following})


async def review_of(request: web.Request) -> tuple[Review, Seen]:
    """Return the review that an address names, and its call. Raises Problem."""
    row = await told(request.app[READER](lambda catalogue: ReviewTable(catalogue).review(request.match_info["id"])))
    found = (await _reviewable(request, [row.recording])).get(row.recording)
    if found is None:
        raise Problem(404, "/problems/not-there", "No review has this id")
    return row, found


async def one(request: web.Request) -> web.Response:
    """Show a review."""
    row, seen = await review_of(request)
    return as_json(shown(review_shown(row, seen, principal_of(request).name, now_us()), seen.levels))


async def assign(request: web.Request) -> web.Response:
    """Say who reviews a call."""
    body = await body_of(request, AssignBody)
    row, _ = await review_of(request)
    await perform(request, ASSIGN, Assign(review=row.id, to=body.to))
    return answer(Changed(review=row.id))


async def score(request: web.Request) -> web.Response:
    """Say what a call came to."""
    body = await body_of(request, ScoreBody)

    async def work() -> web.Response:
        row, _ = await review_of(request)
        if principal_of(request).kind != "user":
            raise Problem(403, "/problems/no-session", "A token reviews nothing", "this is for people who logged in")
        order = Score(
            review=row.id,
            card=body.card,
            answers=body.answers,
            outcome=body.outcome,
            note=body.note,
            coaching=body.coaching,
        )
        return answer(Scored.model_validate(await perform(request, SCORE, order)))

    return await once(request, work)


def cards_of(catalogue: Catalogue) -> CardsShown:
    """Return all scorecards."""
    found = ReviewTable(catalogue).cards()
    cards = [CardShown(name=one.name, version=one.version, questions=list(one.body["questions"])) for one in found]
    return CardsShown(cards=cards)


async def cards(request: web.Request) -> web.Response:
    """List scorecards."""
    return answer(await request.app[READER](cards_of))


async def draw(request: web.Request) -> web.Response:
    """Draw the calls of a month that are to be reviewed."""
    body = await body_of(request, DrawBody)
    refuse_partial(principal_of(request))

    async def work() -> web.Response:
        said = await perform(request, DRAW, DrawMonth(plan=body.plan, month=body.month))
        return answer(Drawn(**{name: said[name] for name in Drawn.model_fields}), 201)

    return await once(request, work)


async def report(request: web.Request) -> web.Response:
    """Say how far reviews are, and what they found."""
    who = principal_of(request)
    refuse_partial(who)

    def read(catalogue: Catalogue) -> ReportShown:
        table = ReviewTable(catalogue)
        every = table.reviews()
        drawn = [
            covered(one, [row for row in every if (row.plan, row.month) == (one.plan, one.month)])
            for one in table.draws()
        ]
        return ReportShown(draws=drawn, agents=by_agent(every), overdue=len(overdue(every, now_us())))

    return answer_shown(await request.app[READER](read), levels_for(who, "review"))


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Reviews", answers, **more)


_MAY: Final = needs("review")
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/reviews",
        listed,
        _MAY,
        _about("Reviews", {200: Answer("Reviews", ReviewsShown)}, query=ReviewsQuery),
    ),
    Route("GET", f"{PREFIX}/reviews/cards", cards, _MAY, _about("Scorecards", {200: Answer("Cards", CardsShown)})),
    Route(
        "GET", f"{PREFIX}/reviews/report", report, _MAY, _about("How far reviews are", {200: Answer("So", ReportShown)})
    ),
    Route(
        "POST",
        f"{PREFIX}/reviews/draw",
        draw,
        _MAY,
        _about(
            "Draw a month's calls",
            {201: Answer("They are drawn", Drawn)},
            body=DrawBody,
            problems=(404, 409),
            is_idempotent=True,
        ),
    ),
    Route(
        "GET",
        f"{PREFIX}/reviews/{{id}}",
        one,
        _MAY,
        _about("A review", {200: Answer("The review", ReviewShown)}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/reviews/{{id}}/assign",
        assign,
        _MAY,
        _about("Say who reviews it", {200: Answer("So", Changed)}, body=AssignBody, problems=(404, 409)),
    ),
    Route(
        "POST",
        f"{PREFIX}/reviews/{{id}}/score",
        score,
        _MAY,
        _about(
            "Say what it came to",
            {200: Answer("It is written down", Scored)},
            body=ScoreBody,
            problems=(404, 409),
            is_idempotent=True,
        ),
    ),
)
