"""Who may ask what: every route, every role that is built in, a token of each scope. A new route needs a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from api.harness import Served, serving

from vittne.appliance.access import operations as ops
from vittne.appliance.access.profile import BUILT_IN
from vittne.appliance.access.scopes import SCOPES, expanded
from vittne.appliance.api import witness
from vittne.appliance.api.app import ROUTES
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.routes import PREFIX, Route
from vittne.appliance.api.sessions import COOKIE, CSRF_HEADER, csrf_of
from vittne.appliance.beside import api_routes
from vittne.appliance.config import Config
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar

ALL: Final = (*ROUTES, *api_routes(Config()), *witness.ROUTES)
FAST: Final = Limits(burst=100_000, per_s=100_000)
# method, path, what is needed (one of these; "anybody": whoever is known) | roles let in, or all
TABLE: Final = """
GET    /openapi.json                     public
GET    /health                           public
GET    /whoami                           anybody
POST   /session                          public
GET    /session                          anybody
DELETE /session                          anybody
POST   /session/password                 anybody
GET    /sessions                         anybody
DELETE /sessions/{id}                    anybody
POST   /invitation                       public
GET    /calls                            read                      | all
GET    /pauses                           read                      | all
POST   /pauses                           pause                     | administrator compliance supervisor agent
POST   /pauses/resume                    pause                     | administrator compliance supervisor agent
GET    /pauses/{id}                      pause                     | administrator compliance supervisor agent
DELETE /pauses/{id}                      pause                     | administrator compliance supervisor agent
POST   /pauses/{id}/resume               pause                     | administrator compliance supervisor agent
POST   /pauses/{id}/extend               pause                     | administrator compliance supervisor agent
GET    /trigger/pause                    pause                     | administrator compliance supervisor agent
GET    /trigger/resume                   pause                     | administrator compliance supervisor agent
POST   /calls/{recording}/consent        consent                   | compliance
POST   /witness/add-checkpoint           public
GET    /witness/{origin}/checkpoint      public
GET    /holds                            hold retention audit      | administrator compliance auditor
POST   /holds                            hold                      | compliance
POST   /holds/preview                    hold                      | compliance
GET    /holds/{id}                       hold retention audit      | administrator compliance auditor
GET    /holds/{id}/recordings            hold retention audit      | administrator compliance auditor
POST   /holds/{id}/release               hold                      | compliance
GET    /retention/plan                   retention                 | administrator compliance auditor
GET    /retention/forecast               retention                 | administrator compliance auditor
POST   /retention/what-if                retention                 | administrator compliance auditor
GET    /recordings/{id}/retention        retention erase audit     | administrator compliance auditor
POST   /recordings/{id}/retention        erase                     | compliance
POST   /recordings/{id}/erase            erase                     | compliance
POST   /recordings/{id}/cut/preview      erase                     | compliance
POST   /recordings/{id}/cut              erase                     | compliance
POST   /recordings/{id}/restrict         erase                     | compliance
POST   /recordings/{id}/unrestrict       erase                     | compliance
POST   /recordings/{id}/quarantine/release erase                     | compliance
POST   /recordings/{id}/quarantine/discard erase                     | compliance
GET    /recordings/{id}/certificate      audit erase               | compliance auditor
GET    /requests                         approve hold erase audit keys | administrator compliance auditor
GET    /requests/{id}                    approve hold erase audit keys | administrator compliance auditor
POST   /requests/{id}/approve            approve                   | compliance
POST   /requests/{id}/refuse             approve hold erase keys   | administrator compliance
GET    /subjects                         subjects                  | compliance
POST   /subjects                         subjects                  | compliance
GET    /subjects/{id}                    subjects                  | compliance
POST   /subjects/{id}/copy               subjects                  | compliance
POST   /subjects/{id}/restrict           subjects                  | compliance
POST   /subjects/{id}/erase              subjects                  | compliance
POST   /subjects/{id}/notes              subjects                  | compliance
POST   /subjects/{id}/due                subjects                  | compliance
POST   /subjects/{id}/close              subjects                  | compliance
GET    /incidents                        incidents audit           | compliance auditor
POST   /incidents                        incidents                 | compliance
POST   /incidents/scope                  incidents audit           | compliance auditor
GET    /incidents/{id}                   incidents audit           | compliance auditor
POST   /incidents/{id}/lines             incidents                 | compliance
POST   /incidents/{id}/close             incidents                 | compliance
GET    /reviews                          review                    | compliance supervisor
GET    /reviews/cards                    review                    | compliance supervisor
GET    /reviews/report                   review                    | compliance supervisor
POST   /reviews/draw                     review                    | compliance supervisor
GET    /reviews/{id}                     review                    | compliance supervisor
POST   /reviews/{id}/assign              review                    | compliance supervisor
POST   /reviews/{id}/score               review                    | compliance supervisor
GET    /review-plans                     review                    | compliance supervisor
POST   /review-plans                     review                    | compliance supervisor
POST   /review-plans/{name}/end          review                    | compliance supervisor
POST   /review-cards                     review                    | compliance supervisor
GET    /announcements                    announcements audit       | administrator compliance auditor
POST   /announcements                    announcements             | administrator compliance
GET    /announcements/{name}             announcements audit       | administrator compliance auditor
GET    /announcements/{name}/sound       announcements audit       | administrator compliance auditor
POST   /announcements/{name}             announcements             | administrator compliance
POST   /announcements/{name}/retire      announcements             | administrator compliance
GET    /announcement-pairs               announcements audit       | administrator compliance auditor
POST   /announcement-uploads             announcements             | administrator compliance
POST   /announcement-tries               announcements             | administrator compliance
GET    /announcement-tries/{id}          announcements             | administrator compliance
DELETE /announcement-tries/{id}          announcements             | administrator compliance
GET    /rules                            rules                     | administrator compliance auditor engineer
POST   /rules/check                      rules                     | administrator compliance auditor engineer
GET    /attention                        audit approve subjects incidents retention review announcements | administrator compliance auditor supervisor
GET    /coverage                         audit                     | compliance auditor
GET    /coverage/outcomes                audit                     | compliance auditor
GET    /coverage/not-recorded            audit                     | compliance auditor
GET    /coverage/announcements           announcements audit       | administrator compliance auditor
GET    /coverage/unannounced             announcements audit       | administrator compliance auditor
GET    /coverage/pauses                  audit                     | compliance auditor
GET    /audit                            audit                     | compliance auditor
GET    /audit/{id}/proof                 audit                     | compliance auditor
POST   /audit/check                      audit                     | compliance auditor
GET    /reports/compliance               audit                     | compliance auditor
GET    /reports/processing               audit                     | compliance auditor
GET    /recordings                       read                      | all
GET    /fleet/recorders                  fleet                     | compliance
GET    /fleet/recordings                 fleet                     | compliance
GET    /recordings/{id}                  read                      | all
GET    /recordings/{id}/events           read                      | all
GET    /recordings/{id}/ladder           read                      | all
POST   /recordings/{id}/verify           read                      | all
GET    /recordings/{id}/evidence         read                      | all
GET    /recordings/{id}/export           export                    | compliance auditor
POST   /exports                          export                    | compliance auditor
PUT    /recordings/{id}/tags/{tag}       edit                      | compliance supervisor
DELETE /recordings/{id}/tags/{tag}       edit                      | compliance supervisor
POST   /recordings/{id}/notes            edit                      | compliance supervisor
POST   /recordings/{id}/corrections      edit                      | compliance supervisor
GET    /searches                         read                      | all
POST   /searches                         read                      | all
DELETE /searches/{id}                    read                      | all
POST   /recordings/{id}/listening        listen                    | compliance auditor supervisor agent
DELETE /recordings/{id}/listening/{listening} listen                    | compliance auditor supervisor agent
GET    /recordings/{id}/timeline         read                      | all
GET    /recordings/{id}/peaks            listen                    | compliance auditor supervisor agent
GET    /recordings/{id}/audio            listen                    | compliance auditor supervisor agent
GET    /live                             read                      | all
GET    /live/{id}/audio                  live                      | supervisor
GET    /events                           read                      | all
GET    /state                            read                      | all
GET    /canary                           read                      | all
GET    /doctor                           read                      | all
GET    /alarms                           read                      | all
GET    /webhooks                         settings                  | administrator engineer
POST   /webhooks                         settings                  | administrator engineer
PATCH  /webhooks/{id}                    settings                  | administrator engineer
DELETE /webhooks/{id}                    settings                  | administrator engineer
POST   /webhooks/{id}/test               settings                  | administrator engineer
GET    /webhook-deliveries               settings                  | administrator engineer
POST   /webhook-deliveries/{id}/again    settings                  | administrator engineer
GET    /users                            users                     | administrator
POST   /users                            users                     | administrator
GET    /users/{id}                       users                     | administrator
PATCH  /users/{id}                       users                     | administrator
DELETE /users/{id}                       users                     | administrator
POST   /users/{id}/invitation            users                     | administrator
DELETE /users/{id}/factors               users                     | administrator
GET    /sign-on                          public
GET    /sign-on/sources                  users                     | administrator
POST   /sign-on/{name}/session           public
POST   /sign-on/{name}/logout            public
POST   /sign-on/{name}/users             users                     | administrator
POST   /sign-on/{name}/try               users                     | administrator
GET    /roles                            users                     | administrator
PUT    /roles/{name}                     users                     | administrator
DELETE /roles/{name}                     users                     | administrator
GET    /roles/{name}/preview             users                     | administrator
GET    /tokens                           users                     | administrator
POST   /tokens                           users                     | administrator
DELETE /tokens/{id}                      users                     | administrator
POST   /session/second                   anybody
POST   /session/proof                    anybody
GET    /factors                          anybody
POST   /factors/totp                     anybody
PUT    /factors/totp                     anybody
POST   /factors/recovery                 anybody
DELETE /factors/{id}                     anybody
POST   /session/passkey/options          public
POST   /session/passkey                  public
POST   /session/proof/passkey            anybody
POST   /factors/passkey                  anybody
PUT    /factors/passkey                  anybody
GET    /keys                             keys audit                | administrator compliance auditor
POST   /keys/unlock                      keys                      | administrator
POST   /keys/lock                        keys                      | administrator
GET    /setup                            settings                  | administrator engineer
GET    /interfaces                       settings                  | administrator engineer
POST   /setup/test-call                  settings                  | administrator engineer
GET    /settings                         settings                  | administrator engineer
PATCH  /settings                         settings                  | administrator engineer
"""  # noqa: E501


def lines() -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    for line in TABLE.strip().splitlines():
        left, _, roles = line.partition("|")
        method, path, *scopes = left.split()
        yield f"{method} {path}", tuple(scopes), tuple(BUILT_IN) if roles.strip() == "all" else tuple(roles.split())


KNOWN: Final = {route: (scopes, roles) for route, scopes, roles in lines()}


def named(route: Route) -> str:
    return f"{route.method} {route.path.removeprefix(PREFIX)}"


async def let_in(_: web.Request) -> web.Response:
    return web.Response(status=204)


def test_every_route_has_a_line_and_every_line_a_route() -> None:
    assert {named(route) for route in ALL} == KNOWN.keys()
    assert len(KNOWN) == len(TABLE.strip().splitlines())


@pytest.mark.parametrize("route", ALL, ids=named)
def test_a_route_needs_what_its_line_says(route: Route) -> None:
    wanted, _ = KNOWN[named(route)]
    access = route.access
    assert (("public",) if access.is_public else access.scopes or ("anybody",)) == wanted


def test_every_role_and_every_scope_opens_what_the_table_says_and_nothing_else(tmp_path: Path) -> None:
    """Each route is asked over the wire by a user of each role, and with a token of each scope."""
    routes = [replace(route, handler=let_in) for route in ALL if route not in ROUTES]
    wrong: list[str] = []

    async def whole() -> None:
        registrar = Registrar(tmp_path)
        operator, me = Operator(registrar, OPERATIONS), Caller("test")
        for role in BUILT_IN:
            await operator.perform(ops.ADD_USER, ops.AddUser(name=role, roles=(role,)), me)
        async with serving(tmp_path, routes, FAST) as served:
            for role in BUILT_IN:
                user = served.app[GATE].users.named(role)
                assert user is not None
                _, secret = served.app[GATE].sessions.begin(user.id, ("password",), "", "", served.clock.now_us())
                headers = {"Cookie": f"{COOKIE}={secret}", CSRF_HEADER: csrf_of(secret)}
                wrong.extend([one async for one in differences(served, role, headers)])
            for scope in SCOPES:
                headers = {"Authorization": f"Bearer {served.token(scope)}"}
                wrong.extend([one async for one in differences(served, f"token:{scope}", headers)])
        registrar.close()

    asyncio.run(whole())
    assert not wrong


async def differences(served: Served, who: str, headers: dict[str, str]) -> AsyncIterator[str]:
    for route in ALL:
        scopes, roles = KNOWN[named(route)]
        if route in ROUTES:
            continue
        path = route.path.removeprefix(f"{PREFIX}/").format(
            id="x", name="x", recording="x", origin="x", tag="x", listening="x"
        )
        status = (await served.ask(route.method, path, headers=headers)).status
        if who.startswith("token:"):
            may = scopes in (("public",), ("anybody",)) or not expanded([who[6:]]).isdisjoint(scopes)
        else:
            may = scopes in (("public",), ("anybody",)) or who in roles
        if (status == 204) is not may or status not in (204, 403):
            yield f"{who}: {named(route)} answered {status}"
