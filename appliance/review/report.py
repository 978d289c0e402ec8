"""What reports say of reviews: how far a plan is covered, what was found, what is overdue; and draws done again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean
from typing import Any

from vittne.appliance.review.plans import read_plan
from vittne.appliance.review.sampling import draw, population_hash, seed_of
from vittne.appliance.review.table import DONE, Draw, Review, ReviewTable
from vittne.appliance.store.audit import AuditRow


def covered(drawn: Draw, reviews: Sequence[Review]) -> dict[str, Any]:
    """Return how far a draw is reviewed, in all and by group."""
    counts: dict[str, int] = dict.fromkeys(drawn.groups, 0)
    for one in drawn.population:
        counts[drawn.groups[one[1]]] += 1
    rows = [{"group": name, "calls": counts[name], **sums(_of(reviews, name))} for name in drawn.groups]
    return {
        "plan": drawn.plan,
        "month": drawn.month,
        "version": drawn.version,
        "late": drawn.is_late,
        "seed": drawn.seed,
        "calls": len(drawn.population),
        **sums(reviews),
        "groups": rows,
    }


def sums(reviews: Sequence[Review]) -> dict[str, Any]:
    """Return counts of reviews. erased: the recording went before anybody listened; coverage: percent of the rest."""
    done = [one for one in reviews if one.state == DONE]
    gone = [one for one in reviews if one.state != DONE and one.erased]
    wanted = len(reviews) - len(gone)
    return {
        "drawn": len(reviews),
        "done": len(done),
        "erased": len(gone),
        "coverage": round(100 * len(done) / wanted, 1) if wanted else None,
    }


def by_agent(reviews: Iterable[Review]) -> list[dict[str, Any]]:
    """Return the mean score of each agent, by name; those of whom nothing was scored have none."""
    agents: dict[str, list[Review]] = {}
    for one in reviews:
        if one.state == DONE and one.agent:
            agents.setdefault(one.agent, []).append(one)
    return [{"agent": name, **_agent(agents[name])} for name in sorted(agents)]


def overdue(reviews: Iterable[Review], at_us: int) -> list[Review]:
    """Return what should have been reviewed by now."""
    return [one for one in reviews if one.state != DONE and not one.erased and one.due_us <= at_us]


def differences(table: ReviewTable, drawn: Draw, entered: AuditRow | None) -> Iterator[str]:
    """Yield where a draw, done again, is not what was entered and kept."""
    where = f"{drawn.plan} {drawn.month}"
    plan = read_plan(table.plan(drawn.plan, drawn.version).body, drawn.plan)
    population = drawn.candidates()
    seed = seed_of(plan, drawn.month)
    sample = {one.recording for one in draw(plan, seed, population)}
    if seed != drawn.seed:
        yield f"{where}: the seed is not that of plan and month"
    told = entered.details.get("ledger", {}) if entered is not None else {}
    if told != {
        "month": drawn.month,
        "seed": seed,
        "population": population_hash(population),
        "drawn": len(sample),
    }:
        yield f"{where}: the audit trail says something else of it"
    kept = {one.recording for one in table.reviews(plan=drawn.plan, month=drawn.month)}
    for recording in sorted(sample ^ kept):
        yield f"{where}: {recording} {'is missing' if recording in sample else 'was not drawn'}"


def _of(reviews: Sequence[Review], group: str) -> list[Review]:
    return [one for one in reviews if one.group == group]


def _agent(reviews: Sequence[Review]) -> dict[str, Any]:
    scores = [one.score for one in reviews if one.score is not None]
    return {
        "reviews": len(reviews),
        "mean": round(fmean(scores), 1) if scores else None,
        "least": min(scores, default=None),
        "breaches": sum(1 for one in reviews if one.outcome == "breach"),
    }
