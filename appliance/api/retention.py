"""Retention as a whole: what a run would erase, what stays and why, what comes later, what other rules would do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, Moment, answer, body_of, query_of
from vittne.appliance.api.moments import us_of
from vittne.appliance.api.paging import PageQuery, page_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.api.visible import refuse_partial
from vittne.appliance.config import ConfigErrors, checked
from vittne.appliance.life.forecast import Month, forecast
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.retention import Planned, add_up, planned, unowned
from vittne.appliance.life.table import LifeTable
from vittne.appliance.plan_command import changes
from vittne.appliance.policy.decide import PolicyRules, policy_rules
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us, rfc3339

_SHOWN: Final = 100  # recordings named one by one


class PlanQuery(PageQuery):
    """Which moment: default now."""

    at: Moment | None = None


class PlannedShown(ApiModel):
    """What a run would do with a recording. goes: it is erased; else why says what keeps it."""

    id: str
    goes: bool
    rule: str
    why: str
    size_bytes: int
    retention_class: str
    locked_until: str | None
    expires_at: str | None
    holds: int


class TotalShown(ApiModel):
    """Recordings of one class under one rule."""

    rule: str
    retention_class: str
    recordings: int
    size_bytes: int


class PlanShown(ApiModel):
    """What a run at a time would do; totals are of all, due is a page."""

    at: str
    totals: list[TotalShown]
    due: list[PlannedShown]
    without_end: dict[str, int]
    without_owner: dict[str, int]
    next: str | None = None


class MonthShown(ApiModel):
    """What is due in a month, as of now. kept: of these so many would stay (held, locked, restricted)."""

    month: str
    recordings: int
    size_bytes: int
    kept: int


class ForecastShown(ApiModel):
    """What is due, month by month. overdue is in the month that goes on; never: of a class without end, or of none."""

    months: list[MonthShown]
    later: int
    never: int
    size_bytes: int


class WhatIfBody(ApiModel):
    """A configuration in TOML, as vittne.toml has it, of which the rules are tried. at: when; default now."""

    rules: str = Field(default="", max_length=60_000)
    at: Moment | None = None


class ChangeShown(ApiModel):
    """A recording that would have another class, lock or end."""

    id: str
    now: PlannedShown
    then: PlannedShown


class WhatIfShown(ApiModel):
    """What other rules would change, had they been there at sealing. Nothing is changed."""

    at: str
    changed: int
    more_go: int
    more_stay: int
    changes: list[ChangeShown]


def planned_shown(one: Planned) -> PlannedShown:
    """Return a recording's plan as an answer shows it."""
    said = one.as_json()
    names = ("id", "goes", "rule", "why", "size_bytes", "locked_until", "expires_at", "holds")
    return PlannedShown(**{name: said[name] for name in names}, retention_class=said["class"])


def plan_of(catalogue: Catalogue, policy: LifePolicy, at_us: int, query: PageQuery) -> PlanShown:
    """Return what a run at a time would do."""
    life = LifeTable(catalogue, policy.early)
    items = list(planned(life.due(at_us), at_us))
    page, following = page_of(items, lambda one: (one.row.facts.expires_us or 0, one.row.id), query)
    totals = [
        TotalShown(rule=rule, retention_class=name, recordings=total.recordings, size_bytes=total.size_bytes)
        for (rule, name), total in sorted(add_up(items).items())
    ]
    return PlanShown(
        at=rfc3339(at_us),
        totals=totals,
        due=[planned_shown(one) for one in page],
        without_end=life.without_end(),
        without_owner=unowned(life, policy.classes),
        next=following,
    )


def forecast_of(catalogue: Catalogue, policy: LifePolicy, months: int) -> ForecastShown:
    """Return what is due in the months that come."""
    found = forecast(LifeTable(catalogue, policy.early), now_us(), months)
    return ForecastShown(
        months=[_month(one) for one in found.months],
        later=found.later,
        never=found.never,
        size_bytes=found.size_bytes,
    )


def _month(one: Month) -> MonthShown:
    return MonthShown(month=one.name, recordings=one.recordings, size_bytes=one.size_bytes, kept=one.kept)


def what_if(catalogue: Catalogue, policy: LifePolicy, rules: PolicyRules, at_us: int) -> WhatIfShown:
    """Return what other rules would change."""
    shown: list[ChangeShown] = []
    count = more_go = more_stay = 0
    for now, then in changes(LifeTable(catalogue, policy.early), catalogue, rules, at_us):
        count += 1
        more_go += then.decision.allowed and not now.decision.allowed
        more_stay += now.decision.allowed and not then.decision.allowed
        if len(shown) < _SHOWN:
            shown.append(ChangeShown(id=now.row.id, now=planned_shown(now), then=planned_shown(then)))
    return WhatIfShown(at=rfc3339(at_us), changed=count, more_go=more_go, more_stay=more_stay, changes=shown)


def rules_of(text: str) -> PolicyRules:
    """Return the rules in a text. Raises Problem that says all that is wrong."""
    return policy_rules(checked(parsed(text), "rules"))


def parsed(text: str) -> Mapping[str, Any]:
    """Return a text as TOML that is a configuration. Raises Problem."""
    try:
        said = tomllib.loads(text)
        checked(said, "rules")
    except tomllib.TOMLDecodeError as error:
        raise Problem(422, "/problems/no-toml", "This is no TOML", str(error)[:300]) from None
    except ConfigErrors as error:
        errors = [{"path": "rules", "expected": one.what[:300]} for one in error.errors[:50]]
        raise Problem(422, "/problems/wrong-rules", "These rules cannot be", "", errors=errors) from None
    except RecursionError:
        raise Problem(422, "/problems/no-toml", "This is no TOML", "it is nested too deep") from None
    return said


async def plan(request: web.Request) -> web.Response:
    """Say what a run would erase, and what stays."""
    query = query_of(request, PlanQuery)
    refuse_partial(principal_of(request))
    at = now_us() if query.at is None else us_of(query.at)
    return answer(await request.app[READER](plan_of, policy_of(request.app[CONFIG]), at, query))


class ForecastQuery(ApiModel):
    """How far to look."""

    months: int = Field(default=24, ge=1, le=120)


async def ahead(request: web.Request) -> web.Response:
    """Say what is due in the months that come."""
    query = query_of(request, ForecastQuery)
    refuse_partial(principal_of(request))
    return answer(await request.app[READER](forecast_of, policy_of(request.app[CONFIG]), query.months))


async def try_rules(request: web.Request) -> web.Response:
    """Say what other rules would change."""
    body = await body_of(request, WhatIfBody)
    refuse_partial(principal_of(request))
    at = now_us() if body.at is None else us_of(body.at)
    rules = rules_of(body.rules)
    return answer(await request.app[READER](what_if, policy_of(request.app[CONFIG]), rules, at))


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/retention/plan",
        plan,
        needs("retention"),
        About("What a run would erase", "Retention", {200: Answer("The plan", PlanShown)}, query=PlanQuery),
    ),
    Route(
        "GET",
        f"{PREFIX}/retention/forecast",
        ahead,
        needs("retention"),
        About("What is due, month by month", "Retention", {200: Answer("So", ForecastShown)}, query=ForecastQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/retention/what-if",
        try_rules,
        needs("retention"),
        About("What other rules would change", "Retention", {200: Answer("So", WhatIfShown)}, body=WhatIfBody),
    ),
)
