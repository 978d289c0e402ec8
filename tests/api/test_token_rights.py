"""A token has the rights of who made it, at the moment when it is used: never more, and never longer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from api.harness import Answer
from api.test_logins import ME, Console
from recordings import record
from rig.passwords import PASSWORD
from rig.recordings import hostile_call
from rig.whole import whole_of

from vittne.appliance.access import operations as ops
from vittne.appliance.api.webhooks import token_owner
from vittne.appliance.store.audit import AuditSearch

Make = Callable[..., Awaitable[dict[str, Any]]]


def run(where: Path, use: Callable[[Console, Make], Awaitable[None]]) -> None:
    """Run with a recording, and root logged in, an administrator: hears nothing, and sees no number whole."""
    data = record(hostile_call(), where).data

    async def whole() -> None:
        async with whole_of(data) as api:
            await api.add("root", "administrator")
            console = Console(api.served, api.operator._registrar, api.operator)
            await console.log_in("root", PASSWORD)

            async def make(*scopes: str, **more: Any) -> dict[str, Any]:
                found = await console.ask("POST", "tokens", json={"name": "x", "scopes": scopes, **more})
                assert found.status == 201, found.body
                made: dict[str, Any] = found.json
                return made

            await use(console, make)

    asyncio.run(whole())


async def callers(console: Console, token: str) -> list[str]:
    return [one["caller"] for one in (await recordings(console, token)).json["recordings"]]


async def recordings(console: Console, token: str, query: str = "") -> Answer:
    return await console.served.get(f"recordings{query}", token)


def test_it_sees_what_its_maker_sees_and_not_what_the_scope_alone_would(tmp_path: Path) -> None:
    async def use(console: Console, make: Make) -> None:
        mine = await make("read")
        assert mine["maker"]
        assert all("•" in one for one in await callers(console, mine["token"]))
        assert (await recordings(console, mine["token"], "?number=1001")).status == 403

        service = await make("read", for_service=True)
        assert service["maker"] == ""
        assert all("•" not in one for one in await callers(console, service["token"]))

    run(tmp_path, use)


def test_it_loses_what_its_maker_loses_and_ends_with_them(tmp_path: Path) -> None:
    async def use(console: Console, make: Make) -> None:
        await console.operator.perform(ops.ADD_USER, ops.AddUser(name="other", roles=("administrator",)), ME)
        kept = ops.SetPassword(user="other", password="$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAA")
        await console.operator.perform(ops.SET_PASSWORD, kept, ME)
        mine, service = await make("read", "rules"), await make("read", for_service=True)
        owner = token_owner(console.served.data)
        assert owner(mine["id"]) is not None
        await console.operator.perform(ops.CHANGE_USER, ops.ChangeUser(user="root", roles=("supervisor",)), ME)
        assert (await console.served.get("whoami", mine["token"])).json["scopes"] == ["read"]
        assert (await console.served.get("rules", mine["token"])).status == 403
        await console.operator.perform(ops.CHANGE_USER, ops.ChangeUser(user="root", is_disabled=True), ME)
        ended = await console.served.get("whoami", mine["token"])
        assert (ended.status, ended.problem["detail"]) == (401, "the token ended with who made it")
        assert owner(mine["id"]) is None
        await console.operator.perform(ops.REMOVE_USER, ops.RemoveUser(user="root"), ME)
        assert (await console.served.get("whoami", mine["token"])).status == 401
        assert (await console.served.get("whoami", service["token"])).status == 200

    run(tmp_path, use)


def test_nobody_changes_their_own_rights_with_a_token_of_theirs(tmp_path: Path) -> None:
    async def use(console: Console, make: Make) -> None:
        token = (await make("users", "read"))["token"]
        (me,) = (await console.served.get("users", token)).json["users"]
        headers = {"json": {"roles": ["administrator", "compliance"]}}
        refused = await console.served.ask("PATCH", f"users/{me['id']}", token, **headers)
        assert (refused.status, refused.problem["type"]) == (403, "/problems/not-ones-own")
        further = await console.served.post("tokens", token, json={"name": "y", "scopes": ["read"]})
        assert further.json["maker"] == me["id"]

        body = {"name": "z", "scopes": ["users"], "for_service": True}
        assert (await console.ask("POST", "tokens", json=body)).problem["type"] == "/problems/not-for-services"
        rows = console.registrar.audit.table.search(AuditSearch(kinds=("token",)))
        assert [row.details.get("maker", "") for row in rows] == [me["id"], me["id"]]

    run(tmp_path, use)
