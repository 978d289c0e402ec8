"""Second factors: who has one is asked for it, a code is good once, and without it nothing else may be done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api.test_logins import Console, at, run
from rig.passwords import PASSWORD

from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.access.totp import code_at, seal, step_of, unseal
from vittne.appliance.api.limits import Limits
from vittne.appliance.store.errors import StoreError

REQUIRED = AccessSettings(second_factor="required")
FOR_ROLES = AccessSettings(second_factor="for-roles", second_factor_roles=("compliance",))


def code_of(console: Console, secret: str, off: int = 0) -> str:
    import base64  # noqa: PLC0415

    return code_at(base64.b32decode(secret), console.served.clock.now_us() // 30_000_000 + off)


async def enrol(console: Console) -> tuple[str, list[str]]:
    """Set up a telephone; return its secret and the recovery codes."""
    shown = (await console.ask("POST", "factors/totp")).json
    assert shown["address"].startswith("otpauth://totp/Vittne%20127.0.0.1:")
    assert shown["picture"].startswith("data:image/svg+xml")
    body = {"code": code_of(console, shown["secret"]), "label": "telephone"}
    made = await console.ask("PUT", "factors/totp", json=body)
    assert made.status == 201
    return shown["secret"], made.json["recovery"]


# RFC 6238 appendix B, SHA-1: the last six of its eight digits.
@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_rfc(at_s: int, code: str) -> None:
    secret = b"12345678901234567890"
    assert code_at(secret, at_s // 30) == code
    assert step_of(secret, f"{code[:3]} {code[3:]}", at_s) == at_s // 30
    assert step_of(secret, code, at_s + 30) == at_s // 30
    assert step_of(secret, code, at_s + 90) is None


def test_who_has_set_up_a_telephone_may_do_nothing_without_its_code(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        secret, _ = await enrol(console)
        assert (await console.ask("POST", "change")).status == 204

        found = await console.log_in()
        assert found.json["lacks"] == "prove"
        for method, path in (("GET", "whoami"), ("POST", "change"), ("POST", "factors/totp"), ("GET", "sessions")):
            refused = await console.ask(method, path)
            assert refused.problem["type"] == "/problems/second-factor-missing", path
        assert (await console.ask("POST", "session/second", json={"code": "000000"})).status == 403
        console.served.clock.at_s += 30
        in_ = await console.ask("POST", "session/second", json={"code": code_of(console, secret)})
        assert in_.status == 201
        assert in_.json["factors"] == ["password", "totp"]
        assert in_.json["lacks"] == ""
        assert (await console.ask("POST", "change")).status == 204

    run(tmp_path, use)


def test_a_code_is_good_once(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        secret, _ = await enrol(console)
        code = code_of(console, secret)
        await console.log_in()
        again = await console.ask("POST", "session/second", json={"code": code})  # it set up the telephone
        assert again.status == 403
        assert "used before" in again.problem["title"]
        console.served.clock.at_s += 60
        assert (await console.ask("POST", "session/second", json={"code": code_of(console, secret)})).status == 201
        await console.log_in()
        earlier = code_of(console, secret, off=-1)
        assert (await console.ask("POST", "session/second", json={"code": earlier})).status == 403

    run(tmp_path, use)


def test_a_recovery_code_lets_in_once_and_typed_anyhow(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        _, codes = await enrol(console)
        assert len(set(codes)) == 10
        await console.log_in()
        typed = codes[3].lower().replace("-", " ")
        found = await console.ask("POST", "session/second", json={"code": typed})
        assert found.json["factors"] == ["password", "recovery"]
        await console.log_in()
        assert (await console.ask("POST", "session/second", json={"code": codes[3]})).status == 403
        assert (await console.ask("POST", "session/second", json={"code": codes[4]})).status == 201
        listed = (await console.ask("GET", "factors")).json["factors"]
        assert {one["kind"]: one["left"] for one in listed} == {"totp": None, "recovery": 8}
        new = (await console.ask("POST", "factors/recovery")).json["recovery"]
        await console.log_in()
        assert (await console.ask("POST", "session/second", json={"code": codes[5]})).status == 403
        assert (await console.ask("POST", "session/second", json={"code": new[0]})).status == 201

    run(tmp_path, use)


def test_wrong_codes_make_one_wait(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        secret, _ = await enrol(console)
        await console.log_in()
        console.served.clock.at_s += 60
        for _ in range(3):
            assert (await console.ask("POST", "session/second", json={"code": "000000"})).status == 403
        right = {"code": code_of(console, secret)}
        assert (await console.ask("POST", "session/second", json=right)).status == 429

    run(tmp_path, use, limits=Limits(failures=3))


def test_who_has_only_the_password_is_no_more_known_where_they_logged_in(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        await enrol(console)
        home = console.served.session
        thieves = [at(f"127.0.0.{last}", console.served) for last in (2, 3)]
        try:
            cookies = []
            for console.served.session in thieves:
                assert (await console.log_in()).json["lacks"] == "prove"
                cookies.append((console.cookie, console.csrf))
            console.served.session, (console.cookie, console.csrf) = thieves[0], cookies[0]
            for _ in range(3):
                assert (await console.ask("POST", "session/second", json={"code": "000000"})).status == 403
            console.served.session, (console.cookie, console.csrf) = thieves[1], cookies[1]
            assert (await console.ask("POST", "session/second", json={"code": "000001"})).status == 429
        finally:
            console.served.session = home
            for one in thieves:
                await one.close()
        assert (await console.log_in()).status == 201

    run(tmp_path, use, limits=Limits(failures=3))


@pytest.mark.parametrize(
    ("settings", "roles", "lacks"),
    [
        (AccessSettings(), ("compliance",), ""),
        (REQUIRED, ("agent",), "enrol"),
        (FOR_ROLES, ("agent",), ""),
        (FOR_ROLES, ("agent", "compliance"), "enrol"),
    ],
)
def test_who_must_set_one_up_may_do_that_and_nothing_else(
    tmp_path: Path, settings: AccessSettings, roles: tuple[str, ...], lacks: str
) -> None:
    async def use(console: Console) -> None:
        await console.add("bo", *roles)
        found = await console.log_in("bo")
        assert found.json["lacks"] == lacks
        assert (await console.ask("POST", "change")).status == (403 if lacks else 204)
        assert (await console.ask("GET", "session")).status == 200
        await enrol(console)
        assert (await console.ask("POST", "change")).status == 204

    run(tmp_path, use, access=settings)


def test_a_new_factor_logs_out_everywhere_else_and_asks_who_one_is(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        elsewhere = (console.cookie, console.csrf)
        await console.log_in()
        console.served.clock.at_s += 11 * 60
        stale = await console.ask("POST", "factors/totp")
        assert stale.problem["type"] == "/problems/prove-again"
        assert (await console.ask("POST", "session/proof", json={"password": PASSWORD})).status == 204
        secret, _ = await enrol(console)
        console.served.clock.at_s += 11 * 60
        listed = (await console.ask("GET", "factors")).json["factors"]
        assert (await console.ask("DELETE", f"factors/{listed[0]['id']}")).status == 403
        # Now the password alone is not enough to show who one is.
        assert (await console.ask("POST", "session/proof", json={"password": PASSWORD})).status == 422
        assert (await console.ask("POST", "session/proof", json={"code": code_of(console, secret)})).status == 204
        assert (await console.ask("DELETE", f"factors/{listed[0]['id']}")).status == 204
        assert (await console.ask("GET", "factors")).json["factors"] == []  # recovery codes went with it
        console.cookie, console.csrf = elsewhere
        assert (await console.ask("GET", "whoami")).status == 401

    run(tmp_path, use)


def test_who_runs_users_helps_when_a_telephone_was_lost(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.add("root", "administrator")
        await console.log_in()
        await enrol(console)
        await console.log_in("root")
        users = {one["name"]: one for one in (await console.ask("GET", "users")).json["users"]}
        assert users["anna"]["factors"] == ["recovery", "totp"]
        assert (await console.ask("DELETE", f"users/{users['anna']['id']}/factors")).status == 204
        assert (await console.ask("DELETE", f"users/{users['root']['id']}/factors")).status == 403
        assert (await console.log_in()).json["lacks"] == ""

    run(tmp_path, use)


def test_a_copy_of_the_catalogue_holds_no_secret_of_a_telephone(tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    async def use(console: Console) -> None:
        await console.log_in()
        found["secret"], found["codes"] = await enrol(console)

    run(tmp_path, use)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "logins.key")
    for secret in (found["secret"], *found["codes"]):
        assert secret.encode() not in kept
    assert (tmp_path / "keys/logins.key").stat().st_mode & 0o777 == 0o600


def test_a_secret_opens_only_with_its_key_and_for_its_factor(tmp_path: Path) -> None:
    sealed = seal(tmp_path, b"secret", "f1", "u1")
    assert unseal(tmp_path, sealed, "f1", "u1") == b"secret"
    for factor, user in (("f2", "u1"), ("f1", "u2")):
        with pytest.raises(StoreError, match="cannot be checked"):
            unseal(tmp_path, sealed, factor, user)
    (tmp_path / "keys/logins.key").unlink()
    with pytest.raises(StoreError, match="recovery code"):
        unseal(tmp_path, sealed, "f1", "u1")
