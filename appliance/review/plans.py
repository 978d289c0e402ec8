"""Sampling plans: which share of which calls is reviewed every month, and what makes a call likelier to be drawn.

[[review]]
name = "trading desk"
sites = ["desk-1"]              # words of rules: which calls
per = "agent"                   # the share is taken of each agent's calls
percent = 2
least = 1
reviewers = ["ann", "bob"]
weights = { long = 3.0, after-hours = 5.0 }
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from vittne.appliance.policy.decide import facts_of_report
from vittne.appliance.seal.canonical import canonical
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.wordsconfig import Name, Words, ZoneName, read_hours
from vittne.capture.conditions import Condition, Facts, is_number, like

Risk = Literal["long", "short", "no-announcement", "many-pauses", "flagged", "after-hours"]
Per = Literal["all", "site", "agent", "number", "tag"]
RISKS: Final[tuple[Risk, ...]] = get_args(Risk)
NOBODY: Final = "(none)"

Text = Annotated[str, Field(min_length=1, max_length=256)]
Weight = Annotated[float, Field(ge=0.01, le=100)]


class WrongPlan(StoreError):
    """A plan, or a scorecard, that cannot be used."""


class PlanConfig(Words):
    """One plan. groups: patterns, each a group of its own, with per "number" or "tag"; of no pattern: not drawn."""

    name: Name
    tags: tuple[Text, ...] = Field(default=(), strict=False, max_length=64)
    per: Per = "all"
    groups: tuple[Text, ...] = Field(default=(), strict=False, max_length=1024)
    percent: float = Field(default=1.0, ge=0, le=100)
    least: int = Field(default=1, ge=0, le=100_000)
    most: int = Field(default=1000, ge=1, le=100_000)
    weights: dict[Risk, Weight] = Field(default_factory=dict)
    long_s: float = Field(default=1800.0, gt=0, le=864_000)
    short_s: float = Field(default=15.0, ge=0, le=864_000)
    pauses: int = Field(default=3, ge=1, le=10_000)
    flag_tags: tuple[Text, ...] = Field(default=("flagged",), strict=False, max_length=64)
    open_hours: tuple[str, ...] = Field(default=("mon-fri 08:00-18:00",), strict=False, max_length=64)
    reviewers: tuple[Text, ...] = Field(default=(), strict=False, max_length=256)
    due_days: int = Field(default=30, ge=1, le=366)
    card: str = Field(default="", max_length=64)
    timezone: ZoneName = Field(default="UTC", max_length=64)

    @field_validator("open_hours")
    @classmethod
    def _hours(cls, said: tuple[str, ...]) -> tuple[str, ...]:
        for one in said:
            read_hours(one)
        return said

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.header:
            raise ValueError("a plan cannot ask for a header: give calls that have it a tag with [[record]]")
        if (self.per in ("number", "tag")) is not bool(self.groups):
            raise ValueError('groups go with per = "number" or "tag", and the other way round')
        if self.least > self.most:
            raise ValueError("least is more than most")
        return self

    def when(self) -> Condition:
        """Return which calls the plan is about."""
        from dataclasses import replace  # noqa: PLC0415

        return replace(self.condition(self.timezone), tags=self.tags)


def read_plan(said: Mapping[str, Any], where: str) -> PlanConfig:
    """Return a plan that somebody wrote. Raises WrongPlan."""
    try:
        return PlanConfig.model_validate(dict(said))
    except ValidationError as error:
        raise WrongPlan(wrong(error), where[:100], "mend that; docs/review.md has an example") from error


def read_plans(said: Mapping[str, Any], where: object) -> list[PlanConfig]:
    """Return the plans of a file with tables [[review]]. Raises WrongPlan."""
    found = said.get("review")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) for one in found):
        raise WrongPlan("there is no table [[review]]", str(where)[:200], "docs/review.md has an example")
    return [read_plan(one, str(one.get("name", where))) for one in found]


def wrong(error: ValidationError) -> str:
    """Return what is wrong with a model, in words."""
    found = [(".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")) for one in error.errors()[:3]]
    return "; ".join(f"{key}: {words}" if key else words for key, words in found)[:400]


def terms_of(plan: PlanConfig) -> dict[str, Any]:
    """Return a plan as it is kept and hashed: every key, also those that nobody gave."""
    terms: dict[str, Any] = json.loads(plan.model_dump_json(exclude={"header", "value"}))
    return terms


def hash_of(value: Any) -> str:
    """Return SHA-256 in hex over canonical JSON; numbers go in as text, canonical JSON has no fractions."""
    return hashlib.sha256(canonical(json.loads(json.dumps(value), parse_float=str))).hexdigest()


def group_of(plan: PlanConfig, call: CallRow, facts: Facts) -> str | None:
    """Return the group of a call, or None when the plan is not about it."""
    if not plan.when().meets(facts):
        return None
    match plan.per:
        case "site":
            return call.site or NOBODY
        case "agent":
            return agent_of(call, facts) or NOBODY
        case "number":
            users = (*facts.callers, *facts.callees)
            return next((one for one in plan.groups if any(is_number(user, one) for user in users)), None)
        case "tag":
            return next((one for one in plan.groups if any(like(tag, one) for tag in call.tags)), None)
    return "all"


def agent_of(call: CallRow, facts: Facts) -> str:
    """Return who of us was in a call: whom the signalling names, else our own number; "" when nothing tells."""
    own = {"outbound": facts.callers, "internal": facts.callers, "inbound": facts.callees}.get(facts.direction, ())
    named = (*facts.agents, str(call.details.get("agent") or ""), *own[:1])
    return next((one for one in named if one), "")


def risks_of(plan: PlanConfig, call: CallRow, facts: Facts) -> list[Risk]:
    """Return what makes a call one that somebody should rather listen to, in a fixed order."""
    length = call.duration_s or 0.0
    hours = [read_hours(one) for one in plan.open_hours]
    holds: dict[Risk, bool] = {
        "long": length >= plan.long_s,
        "short": length <= plan.short_s,
        "no-announcement": not facts.announced,
        "many-pauses": _count(call.details.get("pauses")) >= plan.pauses,
        "flagged": any(like(tag, one) for tag in call.tags for one in plan.flag_tags),
        "after-hours": not any(one.covers(facts.at_ns, plan.timezone) for one in hours),
    }
    return [risk for risk in RISKS if holds[risk]]


def weight_of(plan: PlanConfig, risks: Sequence[str]) -> float:
    """Return how much likelier than a plain call one with these risks is drawn: their weights multiply."""
    weight = 1.0
    for risk in RISKS:
        if risk in risks:
            weight *= plan.weights.get(risk, 1.0)
    return weight


def facts_of_call(call: CallRow) -> Facts:
    """Return the facts of a call in the catalogue, as rules at sealing see them."""
    return facts_of_report(call.as_json())


def _count(value: object) -> int:
    return len(value) if isinstance(value, list | tuple) else 0
