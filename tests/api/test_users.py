"""Users, roles and tokens over the API: what each role may do with them, and what nobody may do for themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from api.test_logins import Console, run
from rig.passwords import PASSWORD

from vittne.appliance.api.access_routes import ACCESS_ROUTES
from vittne.appliance.store.audit import AuditSearch

ASKED = [
    (route.method, route.path.removeprefix("/api/v1/")) for route in ACCESS_ROUTES if route.access.scope == "users"
]


def test_a_user_is_added_invited_changed_and_forgotten(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.log_in("root")
        made = await console.ask("POST", "users", json={"name": "bo", "roles": ["agent"], "own": ["2041"]})
        assert made.status == 201
        key = made.json["user"]
        new = "several words that do not belong together"
        assert (
            await console.served.post("invitation", json={"code": made.json["code"], "password": new})
        ).status == 201
        listed = {one["name"]: one for one in (await console.ask("GET", "users")).json["users"]}
        assert listed["bo"]["state"] == "active"
        assert listed["bo"]["own"] == ["2041"]

        changed = await console.ask("PATCH", f"users/{key}", json={"roles": ["supervisor"], "own": []})
        assert (changed.json["roles"], changed.json["own"]) == (["supervisor"], [])
        again = await console.ask("POST", f"users/{key}/invitation")
        assert again.json["code"] != made.json["code"]
        assert (await console.ask("PATCH", f"users/{key}", json={"is_disabled": True})).json["state"] == "disabled"
        assert (await console.ask("DELETE", f"users/{key}")).status == 204
        assert (await console.ask("GET", f"users/{key}")).status == 404
        assert (await console.ask("POST", "users", json={"name": "anna"})).status == 409
        assert (await console.ask("POST", "users", json={"name": "cy", "roles": ["boss"]})).status == 404
        rows = console.registrar.audit.table.search(AuditSearch(kinds=("user",)))
        assert [row.actor for row in rows if row.details["user"] == key] == [
            "root",
            "root",
            "bo",
            "root",
            "root",
            "root",
            "root",
        ]

    run(tmp_path, use)


@pytest.mark.parametrize("role", ["compliance", "auditor", "supervisor", "agent", "engineer"])
def test_no_other_role_comes_near_users_roles_and_tokens(tmp_path: Path, role: str) -> None:
    async def use(console: Console) -> None:
        await console.add("bo", role)
        await console.log_in("bo")
        for method, path in ASKED:
            asked = path.replace("{id}", "x").replace("{name}", "x")
            found = await console.ask(method, asked, json={} if method != "GET" else None)
            assert found.status == 403, (method, path)
            assert found.problem["scope"] == "users"

    run(tmp_path, use)


def test_nobody_changes_their_own_rights(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.add("second", "administrator")
        await console.log_in("root")
        users = {one["name"]: one["id"] for one in (await console.ask("GET", "users")).json["users"]}
        for change in ({"roles": ["administrator", "compliance"]}, {"own": ["2041"]}, {"is_disabled": True}):
            found = await console.ask("PATCH", f"users/{users['root']}", json=change)
            assert found.problem["type"] == "/problems/not-ones-own", change
        same = {"roles": ["administrator"], "full_name": "R. Oot", "own": []}
        assert (await console.ask("PATCH", f"users/{users['root']}", json=same)).json["full_name"] == "R. Oot"
        assert (await console.ask("DELETE", f"users/{users['root']}")).status == 403
        assert (await console.ask("PATCH", f"users/{users['second']}", json={"roles": ["auditor"]})).status == 200

        made = await console.ask("PUT", "roles/keeper", json={"may": ["users", "read"]})
        assert made.json["may"] == ["read", "users"]
        await console.ask("PATCH", f"users/{users['second']}", json={"roles": ["keeper"]})
        await console.log_in("second")
        held = await console.ask("PUT", "roles/keeper", json={"may": ["users", "read", "listen"]})
        assert held.problem["type"] == "/problems/not-ones-own"

    run(tmp_path, use)


def test_a_role_is_shown_made_and_forgotten(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.log_in("root")
        body = {"words": "the desk", "may": ["read", "listen"], "fields": {"party": "masked"}, "only": {"days": 90}}
        assert (await console.ask("PUT", "roles/desk", json=body)).json["only"]["days"] == 90
        assert (await console.ask("PUT", "roles/auditor", json=body)).status == 409
        assert (await console.ask("PUT", "roles/desk", json={"may": ["all"]})).status == 409
        sees = (await console.ask("GET", "roles/desk/preview")).json["sees"]
        assert "•" in sees["caller"]
        assert not {"agent", "note", "audio_caller", "signalling"} & sees.keys()
        whole = (await console.ask("GET", "roles/compliance/preview")).json["sees"]
        assert whole["note"] == "order 5512 arrived broken"
        assert whole["audio_caller"]
        admin = (await console.ask("GET", "roles/administrator/preview")).json["sees"]
        assert "•" in admin["caller"]
        assert not {"audio_caller", "audio_callee", "note"} & admin.keys()
        assert (await console.ask("DELETE", "roles/desk")).status == 204
        assert (await console.ask("GET", "roles/desk/preview")).status == 404

    run(tmp_path, use)


def test_a_token_is_told_once_and_may_no_more_than_its_maker(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.log_in("root")
        beyond = await console.ask("POST", "tokens", json={"name": "ears", "scopes": ["read", "listen"]})
        assert beyond.problem["type"] == "/problems/not-yours-to-give"
        assert (await console.ask("POST", "tokens", json={"name": "x", "scopes": ["all"]})).status == 422
        wrong = {"name": "x", "scopes": ["read"], "networks": ["everywhere"]}
        assert (await console.ask("POST", "tokens", json=wrong)).status == 422
        body = {"name": "PBX", "scopes": ["pause", "read"], "networks": ["127.0.0.0/8"], "days": 30}
        made = await console.ask("POST", "tokens", json=body)
        token = made.json["token"]
        assert (await console.served.get("whoami", token)).json["scopes"] == ["pause", "read"]
        listed = (await console.ask("GET", "tokens")).json["tokens"]
        assert [one["name"] for one in listed] == ["PBX"]
        assert token.encode() not in (await console.ask("GET", "tokens")).body
        assert (await console.ask("DELETE", f"tokens/{made.json['id']}")).status == 204
        assert (await console.served.get("whoami", token)).status == 401
        assert (await console.ask("DELETE", "tokens/nothing")).status == 404
        rows = list(console.registrar.audit.table.search(AuditSearch(kinds=("token",))))
        assert [(row.actor, row.details["change"]) for row in rows] == [("root", "add"), ("root", "revoke")]

    run(tmp_path, use)


def test_what_gives_rights_asks_who_one_is_when_some_time_has_gone_by(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.log_in("root")
        body = {"name": "PBX", "scopes": ["pause"]}
        assert (await console.ask("POST", "tokens", json=body)).status == 201
        console.served.clock.at_s += 11 * 60
        stale = await console.ask("POST", "tokens", json=body)
        assert stale.problem["type"] == "/problems/prove-again"
        assert (await console.ask("GET", "tokens")).status == 200
        assert (await console.ask("POST", "session/proof", json={"password": "wrong"})).status == 403
        assert (await console.ask("POST", "tokens", json=body)).status == 403
        assert (await console.ask("POST", "session/proof", json={"password": PASSWORD})).status == 204
        assert (await console.ask("POST", "tokens", json=body)).status == 201

    run(tmp_path, use)


def test_codes_and_tokens_are_nowhere_in_the_clear(tmp_path: Path) -> None:
    said = []

    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.log_in("root")
        said.append((await console.ask("POST", "users", json={"name": "bo"})).json["code"])
        said.append((await console.ask("POST", "tokens", json={"name": "x", "scopes": ["read"]})).json["token"])

    run(tmp_path, use)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(said) == 2
    for secret in said:
        assert secret.encode() not in kept
