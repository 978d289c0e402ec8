"""`vittne review`: asking for it, and showing it. Exit status 1: something is overdue, or a draw is not as entered."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vittne.appliance.control.client import perform
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.datadir import read_toml
from vittne.appliance.review.operations import (
    ASSIGN,
    DRAW,
    END_PLAN,
    PUT_CARD,
    PUT_PLANS,
    SCORE,
    Assign,
    DrawMonth,
    EndPlan,
    PutCard,
    PutPlan,
    Score,
)
from vittne.appliance.review.plans import PlanConfig, read_plan, terms_of
from vittne.appliance.review.report import by_agent, covered, differences, overdue
from vittne.appliance.review.table import OPEN, Review, ReviewTable
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import BOLD, RED, YELLOW, Cell, Column, clean, painted, table

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


class Desk:
    """Asks and shows, for one data directory. by: "" stands for who is logged in."""

    def __init__(self, data: Path, by: str = "") -> None:
        self._data = data
        self._by = by

    def add_plans(self, plans: Sequence[PlanConfig]) -> int:
        """Add plans, or change them."""
        answer = self._ask(PUT_PLANS, PutPlan(plans=[terms_of(one) for one in plans]))
        for one in answer["changed"]:
            print(f"plan {clean(one['plan'])}: version {one['version']}")
        if not answer["changed"]:
            print("nothing changed")
        return 0

    def end_plan(self, name: str) -> int:
        """End a plan."""
        print(f"plan {clean(self._ask(END_PLAN, EndPlan(plan=name))['plan'])} has ended: nothing is drawn by it")
        return 0

    def plans(self, ended: bool, as_json: bool) -> int:
        """List plans."""
        with self._catalogue() as catalogue:
            found = ReviewTable(catalogue).plans(ended)
        if as_json:
            sys.stdout.writelines(json_array({**_told(one), "terms": dict(one.body)} for one in found))
            return 0
        names = ("plan", "version", "made (UTC)", "by", "share", "per", "calls")
        cells: list[list[str | Cell]] = []
        for one in found:
            plan = read_plan(one.body, one.name)
            share = f"{plan.percent:g} %, {plan.least} to {plan.most}"
            state = "" if one.ended_us is None else " (ended)"
            at = rfc3339(one.made_us)[:16]
            cells.append([one.name + state, str(one.version), at, one.made_by, share, plan.per, plan.told()])
        _print(table([Column(name, least=6) for name in names], cells) if cells else ["no plans"])
        return 0

    def add_card(self, file: Path) -> int:
        """Add a scorecard, or a new version of it."""
        answer = self._ask(PUT_CARD, PutCard(card=read_toml(file)))
        print(f"scorecard {clean(answer['card'])}: version {answer['version']}")
        return 0

    def cards(self, as_json: bool) -> int:
        """List scorecards with their questions."""
        with self._catalogue() as catalogue:
            found = ReviewTable(catalogue).cards()
        if as_json:
            sys.stdout.writelines(json_array({**_told(one), "questions": list(one.body["questions"])} for one in found))
            return 0
        for one in found:
            print(f"{painted(clean(one.name), BOLD)} version {one.version}")
            names = ("question", "kind", "weight", "text")
            cells: list[list[str | Cell]] = [
                [q["key"] + (" !" if q["critical"] else ""), q["kind"], f"{q['weight']:g}", q["text"]]
                for q in one.body["questions"]
            ]
            _print(table([Column(name, least=8) for name in names], cells))
        if not found:
            print("no scorecards")
        return 0

    def draw(self, configured: Sequence[PlanConfig], month: str, names: Sequence[str]) -> int:
        """Draw plans' samples of a month: of those named, else of all that were not drawn yet."""
        if configured:
            self._ask(PUT_PLANS, PutPlan(plans=[terms_of(one) for one in configured]))
        with self._catalogue() as catalogue:
            reviews = ReviewTable(catalogue)
            done = {one.plan for one in reviews.draws(month)}
            wanted = list(names) or [one.name for one in reviews.plans() if one.name not in done]
        if not wanted:
            print("nothing to draw: no plan, or the month was drawn")
        for name in wanted:
            answer = self._ask(DRAW, DrawMonth(plan=name, month=month))
            drawn, of = answer["drawn"], answer["population"]
            print(f"{clean(name)} {month}: {drawn} of {of} calls, seed {answer['seed']}")
        return 0

    def queue(self, reviewer: str, done: bool, as_json: bool) -> int:
        """List what waits to be reviewed."""
        with self._catalogue() as catalogue:
            found = ReviewTable(catalogue).reviews(reviewer=reviewer, state="" if done else OPEN)
        found = [one for one in found if done or not one.erased]
        if as_json:
            sys.stdout.writelines(json_array(one.as_json() for one in found))
            return 0
        names = ("review", "recording", "plan", "month", "group", "risks", "reviewer", "due (UTC)", "outcome")
        at = now_us()
        cells: list[list[str | Cell]] = [
            [
                one.id[:8],
                one.recording[:8],
                one.plan,
                one.month,
                one.group,
                " ".join(one.risks),
                one.reviewer,
                Cell(rfc3339(one.due_us)[:10], RED if one.state == OPEN and one.due_us <= at else ""),
                one.outcome,
            ]
            for one in found
        ]
        _print(table([Column(name, least=6) for name in names], cells) if cells else ["nothing waits"])
        return 0

    def assign(self, review: str, to: str) -> int:
        """Say who reviews a call."""
        answer = self._ask(ASSIGN, Assign(review=review, to=to))
        print(f"review {answer['review']}: {clean(answer['reviewer'])}")
        return 0

    def score(self, order: Mapping[str, Any], answers: Sequence[str]) -> int:
        """Enter what a reviewer says. answers: KEY=VALUE."""
        said = {}
        for one in answers:
            key, equals, value = one.partition("=")
            if not equals or key in said:
                what = "a question is answered twice" if equals else "an answer has no ="
                raise StoreError(what, one[:60], "write --answer QUESTION=ANSWER")
            said[key] = value
        answer = self._ask(SCORE, Score.model_validate({**order, "answers": said}))
        score = "no score" if answer["score"] is None else f"score {answer['score']:g}"
        print(f"review {answer['review']}: {answer['outcome']}, {score}")
        return 0

    def show(self, review: str, as_json: bool) -> int:
        """Show one review, with what was written."""
        with self._catalogue() as catalogue:
            found = ReviewTable(catalogue).review(review).as_json()
        if as_json:
            sys.stdout.write(json_object(found))
            return 0
        answers = found.pop("answers")
        shown = {**found, "risks": " ".join(found["risks"]), **{f"  {key}": value for key, value in answers.items()}}
        _print([f"{name:14} {clean(value, 10_000)}" for name, value in shown.items() if value not in ("", None, False)])
        return 0

    def report(self, month: str, form: str) -> int:
        """Report on a month: coverage, agents, what is overdue. Return 1 when something is."""
        at = now_us()
        with self._catalogue() as catalogue:
            reviews = ReviewTable(catalogue)
            plans = [covered(one, reviews.reviews(plan=one.plan, month=month)) for one in reviews.draws(month)]
            found = reviews.reviews(month=month)
            undrawn = sorted({one.name for one in reviews.plans()} - {one["plan"] for one in plans})
        late = overdue(found, at)
        told = {"month": month, "plans": plans, "not_drawn": undrawn, "agents": by_agent(found)}
        told["overdue"] = [one.as_json() for one in late]
        if form == "json":
            sys.stdout.write(json_object(told))
        elif form == "csv":
            _write_csv(found)
        else:
            _print(_report_lines(told))
        return 1 if late else 0

    def check(self) -> int:
        """Do every draw again; return 1 when one is not as it was entered."""
        wrong: list[str] = []
        count = 0
        with self._catalogue() as catalogue:
            reviews = ReviewTable(catalogue)
            rows = {one.id: one for one in AuditTable(catalogue).search(AuditSearch(kinds=("review.draw",)))}
            for one in reviews.draws():
                count += 1
                wrong += differences(reviews, one, rows.get(one.row))
        _print([clean(one) for one in wrong])
        print(f"{count} draws, {len(wrong)} differences")
        return 1 if wrong else 0

    def _ask(self, operation: Operation[Any], order: Order) -> dict[str, Any]:
        return perform(self._data, operation, order, self._by)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._data / CATALOGUE_FILE, read_only=True)


def _report_lines(told: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    counts = ("calls", "drawn", "done", "erased", "coverage")
    names = ("group", *counts)
    for plan in told["plans"]:
        mark = painted(" (the plan is younger than the month)", YELLOW) if plan["late"] else ""
        lines += [f"{painted(clean(plan['plan']), BOLD)} {plan['month']}{mark}"]
        rows = [*plan["groups"], {**plan, "group": "in all"}] if len(plan["groups"]) != 1 else plan["groups"]
        cells: list[list[str | Cell]] = [[str(row["group"]), *(_number(row[name]) for name in counts)] for row in rows]
        lines += [*table([Column(name, right=name != "group") for name in names], cells), ""]
    lines += [f"{clean(name)}: not drawn" for name in told["not_drawn"]]
    if told["agents"]:
        heads = ("agent", "reviews", "mean", "least", "breaches")
        rows_: list[list[str | Cell]] = [[_number(one[name]) for name in heads] for one in told["agents"]]
        lines += [*table([Column(name, right=name != "agent") for name in heads], rows_), ""]
    late = told["overdue"]
    return [*lines, *(f"overdue since {one['due_at'][:10]}: {one['id'][:8]} {clean(one['reviewer'])}" for one in late)]


def _write_csv(reviews: Iterable[Review]) -> None:
    names = [
        *("id", "plan", "month", "recording", "group", "agent", "risks", "reviewer", "due_at", "state", "outcome"),
        *("score", "card", "card_version", "done_at", "done_by", "note", "coaching"),
    ]
    out = csv.writer(sys.stdout)
    out.writerow(names)
    for one in reviews:
        shown = {**one.as_json(), "risks": " ".join(one.risks)}
        out.writerow([_inert("" if shown[name] is None else str(shown[name])) for name in names])


def _inert(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _number(value: object) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _told(one: Any) -> dict[str, Any]:
    ended = None if one.ended_us is None else rfc3339(one.ended_us)
    made = {"name": one.name, "version": one.version, "made_at": rfc3339(one.made_us), "made_by": one.made_by}
    return {**made, "ended_at": ended}


def _print(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
