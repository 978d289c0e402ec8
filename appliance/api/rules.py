"""Rules in force, and whether a text of rules is one."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.retention import parsed
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.settled import CONFIG
from vittne.appliance.config import Config
from vittne.appliance.policy.rulestext import TABLES, rules_text

_TRIED: Final = ("rules", *TABLES)


class RulesShown(ApiModel):
    """Rules by table, and those that decide at sealing as the text of vittne.toml."""

    rules: list[dict[str, Any]]
    tables: dict[str, list[dict[str, Any]]]
    text: str


class RulesBody(ApiModel):
    """A configuration in TOML, of which the rules are looked at."""

    rules: str = Field(default="", max_length=60_000)


class CheckedShown(ApiModel):
    """How many rules there are of each table; all of them can be."""

    tables: dict[str, int]


def rules_of(config: Config) -> RulesShown:
    """Return the rules in force."""
    tables = {
        name: [one.model_dump(mode="json", exclude_defaults=True) for one in getattr(config, name)] for name in TABLES
    }
    return RulesShown(
        rules=[one.model_dump(mode="json", exclude_defaults=True) for one in config.rules],
        tables=tables,
        text=rules_text(config),
    )


async def every(request: web.Request) -> web.Response:
    """Show the rules in force."""
    return answer(rules_of(request.app[CONFIG]))


async def check(request: web.Request) -> web.Response:
    """Say whether a text of rules is one; nothing is changed."""
    said = parsed((await body_of(request, RulesBody)).rules)
    return answer(CheckedShown(tables={name: len(said.get(name, ())) for name in _TRIED}))


_MAY: Final = needs("rules")
ROUTES: Final = (
    Route("GET", f"{PREFIX}/rules", every, _MAY, About("Rules in force", "Rules", {200: Answer("Rules", RulesShown)})),
    Route(
        "POST",
        f"{PREFIX}/rules/check",
        check,
        _MAY,
        About("Whether rules can be", "Rules", {200: Answer("They can", CheckedShown)}, body=RulesBody),
    ),
)
