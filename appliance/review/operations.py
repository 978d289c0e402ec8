"""Operations of review, done by the one writer: plans, cards, draws, who reviews, what he says."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Generator, Iterator
from typing import Any, Final, Literal, get_args

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.life.asking import is_same_person
from vittne.appliance.registrar import Registrar
from vittne.appliance.review.cards import read_card, score_of
from vittne.appliance.review.plans import (
    PlanConfig,
    agent_of,
    facts_of_call,
    group_of,
    hash_of,
    read_plan,
    risks_of,
    terms_of,
)
from vittne.appliance.review.sampling import (
    Answer,
    Candidate,
    drawing,
    hashing,
    month_span,
    reviewer_for,
    seed_of,
)
from vittne.appliance.review.table import DONE, Draw, Review, ReviewTable
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import canonical
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search, matching
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.tables import calls
from vittne.appliance.store.times import now_us, rfc3339

Outcome = Literal["good", "improve", "breach", "not-reviewable"]
OUTCOMES: Final = get_args(Outcome)
_DAY_US: Final = 86_400_000_000
_AT_ONCE: Final = 50  # calls that are looked at in one step
_TEXT: Final = Field(default="", max_length=10_000)


class CannotReview(StoreError):
    """An order about reviews that cannot be done, and why."""


class PutPlan(Order):
    """Add plans, or change them: each that differs from its newest version gets a new one."""

    plans: list[dict[str, Any]] = Field(max_length=1024)


class EndPlan(Order):
    """Draw by a plan no more."""

    plan: str


class PutCard(Order):
    """Add a scorecard, or a new version of it."""

    card: dict[str, Any]


class DrawMonth(Order):
    """Draw a plan's sample of a month that is over."""

    plan: str
    month: str = Field(max_length=7)


class Assign(Order):
    """Say who reviews a call."""

    review: str
    to: str = Field(min_length=1, max_length=100)


class Score(Order):
    """What a reviewer says. card "": the plan's."""

    review: str
    card: str = ""
    answers: dict[str, str] = Field(default_factory=dict, max_length=200)
    outcome: Outcome
    note: str = _TEXT
    coaching: str = _TEXT


def _put_plans(registrar: Registrar, order: PutPlan, caller: Caller) -> Steps:
    plans = [read_plan(said, str(said.get("name", "plan"))) for said in order.plans]
    table, changed = ReviewTable(registrar.catalogue), []
    yield Progress(0, 1)
    known = {one.name: one for one in table.plans(ended=True)}
    for plan in plans:
        terms, before = terms_of(plan), known.get(plan.name)
        if before is not None and before.ended_us is None and dict(before.body) == terms:
            continue
        version = (before.version if before is not None else 0) + 1
        digest = hash_of(terms)
        registrar.audit.note(events.REVIEW_PLAN, caller, plan=plan.name, version=version, terms=digest)
        table.put_plan(plan.name, terms, now_us(), caller.name)
        changed.append({"plan": plan.name, "version": version})
    return {"changed": changed}


def _end_plan(registrar: Registrar, order: EndPlan, caller: Caller) -> Steps:
    table = ReviewTable(registrar.catalogue)
    plan = table.plan(order.plan)
    if plan.ended_us is not None:
        raise CannotReview("the plan ended before", plan.name, "nothing was done")
    yield Progress(0, 1)
    registrar.audit.note(events.REVIEW_PLAN, caller, plan=plan.name, version=plan.version, ended=True)
    table.end_plan(plan.name, plan.version, now_us())
    return {"plan": plan.name, "ended": True}


def _put_card(registrar: Registrar, order: PutCard, caller: Caller) -> Steps:
    card = read_card(order.card, str(order.card.get("name", "card")))
    table, body = ReviewTable(registrar.catalogue), json.loads(card.model_dump_json())
    yield Progress(0, 1)
    known = {one.name: one for one in table.cards()}.get(card.name)
    if known is not None and dict(known.body) == body:
        return {"card": card.name, "version": known.version, "changed": False}
    version = (known.version if known is not None else 0) + 1
    registrar.audit.note(events.REVIEW_CARD, caller, card=card.name, version=version, body=hash_of(body))
    table.put_card(card.name, body, now_us(), caller.name)
    return {"card": card.name, "version": version, "changed": True}


def _draw(registrar: Registrar, order: DrawMonth, caller: Caller) -> Steps:
    table = ReviewTable(registrar.catalogue)
    version = table.plan(order.plan)
    plan = read_plan(version.body, version.name)
    begin, end = month_span(order.month, plan.timezone)
    at = now_us()
    if at < end:
        raise CannotReview("this month is not over", order.month, f"draw after {rfc3339(end)}")
    if version.ended_us is not None:
        raise CannotReview("the plan has ended", plan.name, "add it again, or draw by another one")
    if table.draws(order.month, plan.name):
        raise CannotReview("this month was drawn", f"{plan.name} {order.month}", "a month is drawn once")
    population, agents = [], {}
    for n, call in enumerate(_calls(registrar, begin, end)):
        facts = facts_of_call(call)
        group = group_of(plan, call, facts)
        if group is not None:
            population.append(Candidate(call.id, group, tuple(risks_of(plan, call, facts))))
            agents[call.id] = agent_of(call, facts)
        if n % _AT_ONCE == 0:
            yield Progress(n, 0, "looking at calls")
    seed = seed_of(plan, order.month)
    chosen = yield from _stepwise(drawing(plan, seed, population), len(population))
    digest = yield from _stepwise(hashing(population), len(population))
    told = {"month": order.month, "seed": seed, "population": digest, "drawn": len(chosen)}
    is_late = version.made_us > begin
    about: dict[str, Any] = {"plan": plan.name, "version": version.version, "late": is_late, "ledger": told}
    yield Progress(len(population), len(population), "entering")
    row = registrar.audit.note(events.REVIEW_DRAWN, caller, **about)
    groups = sorted({one.group for one in population})
    number = {name: n for n, name in enumerate(groups)}
    rows = [[one.recording, number[one.group], list(one.risks)] for one in population]
    made = Draw(plan.name, order.month, version.version, seed, groups, rows, at, caller.name, is_late, row.id)
    due = at + plan.due_days * _DAY_US
    drawn = [_review(made, plan, n, one, agents[one.recording], due) for n, one in enumerate(chosen)]
    table.put_draw(made, drawn)
    return {"plan": plan.name, "month": order.month, "population": len(population), "drawn": len(drawn), "seed": seed}


def _stepwise(work: Generator[int, None, Answer], total: int) -> Generator[Progress, None, Answer]:
    """Do a work in the operation's steps."""
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        yield Progress(done, total, "drawing")


def _calls(registrar: Registrar, begin: int, end: int) -> Iterator[CallRow]:
    """Yield the calls of a time of which something is kept, by a reader's connection: it keeps nobody from writing."""
    with Catalogue(registrar.data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        kept = (calls.c.folder != "", calls.c.state == FINISHED, calls.c.erased_us.is_(None))
        query = matching(Search(since_us=begin, until_us=end)).where(*kept).with_only_columns(calls.c.id)
        with catalogue.reading() as connection:
            ids = [str(row[0]) for row in connection.execute(query)]
        for first in range(0, len(ids), _AT_ONCE):  # a few at a time: each step of an operation is short
            yield from catalogue.get_all(ids[first : first + _AT_ONCE])


def _review(made: Draw, plan: PlanConfig, number: int, one: Candidate, agent: str, due: int) -> Review:
    # It follows from seed and recording: a draw that a crash cut short gives the same ids when it is done again.
    name = hashlib.sha256(bytes.fromhex(made.seed) + b"review" + one.recording.encode()).hexdigest()[:16]
    return Review(
        name,
        plan.name,
        made.month,
        one.recording,
        one.group,
        agent,
        one.risks,
        reviewer_for(plan, made.seed, number, agent),
        due,
        card=plan.card,
    )


def _assign(registrar: Registrar, order: Assign, caller: Caller) -> Steps:
    table = ReviewTable(registrar.catalogue)
    review = table.review(order.review)
    _must_be_open(review)
    if review.agent and is_same_person(order.to, review.agent):
        raise CannotReview("nobody reviews his own call", review.id, "choose somebody else")
    yield Progress(0, 1)
    registrar.audit.note(events.REVIEW_ASSIGNED, caller, review.recording, review=review.id, to=order.to)
    table.change(review.id, reviewer=order.to)
    return {"review": review.id, "reviewer": order.to}


def _score(registrar: Registrar, order: Score, caller: Caller) -> Steps:
    table = ReviewTable(registrar.catalogue)
    review = table.review(order.review)
    _must_be_open(review)
    if review.agent and is_same_person(caller.name, review.agent):
        raise CannotReview("nobody reviews his own call", review.id, "`vittne review assign` gives it to another")
    if review.reviewer and not is_same_person(caller.name, review.reviewer):
        raise CannotReview("it is somebody else's to review", review.id, "`vittne review assign` gives it to you")
    card, version, score = "", None, None
    if order.outcome != "not-reviewable":
        found = table.card(order.card or review.card)
        card, version = found.name, found.version
        score = score_of(read_card(found.body, found.name), order.answers)
    elif order.answers or not order.note:
        raise CannotReview("what cannot be reviewed has no answers, and a note", review.id, "give --note alone")
    yield Progress(0, 1)
    salt = secrets.token_hex(16)
    values = {"answers": dict(order.answers), "note": order.note, "coaching": order.coaching}
    registrar.audit.note(
        events.REVIEWED,
        caller,
        review.recording,
        review=review.id,
        card=card,
        version=version,
        outcome=order.outcome,
        score="" if score is None else str(score),
        said=said_hash(salt, values),
    )
    done = {"state": DONE, "outcome": order.outcome, "score": score, "card": card, "card_version": version}
    by = {"done_us": now_us(), "done_by": caller.name, "reviewer": review.reviewer or caller.name, "salt": salt}
    table.change(review.id, **done, **by, **values)
    return {"review": review.id, "score": score, "outcome": order.outcome}


def said_hash(salt: str, values: dict[str, Any]) -> str:
    """Return a commitment to what a reviewer wrote: the trail has no text that may name people."""
    return hashlib.sha256(bytes.fromhex(salt) + canonical(values)).hexdigest()


def _must_be_open(review: Review) -> None:
    if review.state == DONE:
        raise CannotReview(f"it was reviewed by {review.done_by!r}", review.id, "nothing was done")
    if review.erased:
        raise CannotReview("the recording was erased", review.recording, "nothing is left to review")


PUT_PLANS: Final = Operation("review.plan", "changing review plans", PutPlan, _put_plans)
END_PLAN: Final = Operation("review.plan.end", "ending a review plan", EndPlan, _end_plan)
PUT_CARD: Final = Operation("review.card", "changing a scorecard", PutCard, _put_card)
DRAW: Final = Operation("review.draw", "drawing calls for review", DrawMonth, _draw)
ASSIGN: Final = Operation("review.assign", "assigning a review", Assign, _assign)
SCORE: Final = Operation("review.score", "scoring a review", Score, _score)
REVIEW_OPERATIONS: Final[tuple[Operation[Any], ...]] = (PUT_PLANS, END_PLAN, PUT_CARD, DRAW, ASSIGN, SCORE)
