"""Logging in with a password of a directory: as one of ours, with the same waits, and followed afterwards."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from api.harness import Answer
from api.softkey import SoftKey
from signon.house import Browser, House, run_house
from signon.slapd import DESK, PEOPLE, Slapd, begin

from vittne.appliance.access import operations as ops
from vittne.appliance.access.operations import CannotChange
from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.access.totp import code_at
from vittne.appliance.api.sessions import COOKIE
from vittne.appliance.control.caller import Caller


def test_the_directorys_password_lets_in_and_no_other_user_of_that_name(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        await house.add("bo", "administrator")
        browser, local = house.browser(), house.browser()
        offered = (await browser.api("GET", "sign-on")).json["sources"]
        assert [(one["name"], one["kind"], one["address"]) for one in offered] == [
            ("idp", "oidc", "/sign-on/idp"),
            ("house", "ldap", None),
        ]
        found = await browser.with_password("house", "bo", PEOPLE["bo"])
        assert found.status == 201
        assert (found.json["name"], found.json["factors"]) == ("bo@house", ["ldap"])
        assert "users" not in found.json["scopes"]
        assert (await local.with_password("local", "bo", PEOPLE["bo"])).status == 401
        assert (await local.with_password("house", "bo", "a horse, a battery, two staples")).status == 401
        assert (await local.with_password("nowhere", "bo", PEOPLE["bo"])).status == 404
        refused = [one for one in house.trail("login") if one["login"] == "refused"]
        user = house.user("bo@house")
        assert user is not None
        assert refused[-1]["user"] == user.id

    run_house(tmp_path, use, ldap=(slapd.source(),))


def test_who_tries_passwords_of_a_name_waits_and_others_behind_the_address_do_not(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        found = [(await browser.with_password("house", "bo", "wrong")).status for _ in range(11)]
        assert found == [401] * 10 + [429]
        assert (await browser.with_password("house", "bo", PEOPLE["bo"])).status == 429
        assert (await browser.with_password("local", "bo", "wrong")).status == 401
        assert COOKIE not in browser.cookies

    run_house(tmp_path, use, ldap=(slapd.source(),))


def test_a_password_of_the_directory_shows_once_more_who_it_is(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        await house.add("anna@house", "agent")  # so that she is called otherwise here
        browser = house.browser()
        found = await browser.with_password("house", "anna", PEOPLE["anna"])
        assert found.json["name"] == "anna2@house"
        body = {"name": "new", "roles": ["agent"]}
        house.clock.more_s = 11 * 60
        assert (await browser.api("POST", "users", body)).problem["type"] == "/problems/prove-again"
        assert (await browser.api("POST", "session/proof", {"password": "wrong"})).status in (401, 403)
        assert (await browser.api("POST", "session/proof", {"password": PEOPLE["anna"]})).status == 204
        assert (await browser.api("POST", "users", body)).status == 201

    run_house(tmp_path, use, ldap=(slapd.source(),))


def test_who_leaves_the_group_loses_the_session_and_what_the_directory_says_counts(
    tmp_path: Path, slapd: Slapd
) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        await browser.with_password("house", "bo", PEOPLE["bo"])
        house.clock.more_s = 16 * 60
        await house.watch.turn()
        assert (await browser.api("GET", "whoami")).status == 200
        slapd.leave("bo")
        try:
            house.clock.more_s = 32 * 60
            await house.watch.turn()
            assert (await browser.api("GET", "whoami")).status == 401
            refused = await browser.with_password("house", "bo", PEOPLE["bo"])
            assert refused.problem["type"] == "/problems/not-let-in"
        finally:
            slapd._member("add", DESK, "bo")

    run_house(tmp_path, use, ldap=(slapd.source(),))


def test_a_directory_that_is_away_ends_sessions_in_the_end_and_local_users_go_on(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        await house.add("admin", "administrator")
        browser, local = house.browser(), house.browser()
        await browser.with_password("house", "bo", PEOPLE["bo"])
        slapd.stop()
        try:
            house.clock.more_s = 29 * 60
            await house.watch.turn()
            assert (await browser.api("GET", "whoami")).status == 200
            away = await local.with_password("house", "bo", PEOPLE["bo"])
            assert away.status == 503
            house.clock.more_s = 31 * 60
            assert (await browser.api("GET", "whoami")).status == 401
            found = await local.with_password("local", "admin", "a horse, a battery, two staples")
            assert found.status == 201
        finally:
            begin(slapd)

    run_house(tmp_path, use, ldap=(slapd.source(trust_min=30),))


def test_roles_that_follow_groups_are_not_given_here(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        await house.add("admin", "administrator")
        browser, other = house.browser(), house.browser()
        await other.with_password("house", "bo", PEOPLE["bo"])
        await browser.with_password("local", "admin", "a horse, a battery, two staples")
        bo = house.user("bo@house")
        assert bo is not None
        refused = await browser.api("PATCH", f"users/{bo.id}", {"roles": ["administrator"]})
        assert refused.status == 409
        assert (await browser.api("PATCH", f"users/{bo.id}", {"own": ["2041"]})).status == 200
        assert (await browser.api("POST", f"users/{bo.id}/invitation")).status == 409
        again = house.browser()
        assert (await again.with_password("house", "bo", PEOPLE["bo"])).status == 201
        after = house.user("bo@house")
        assert after is not None
        assert (after.own, after.roles) == (("2041",), ("supervisor",))

    run_house(tmp_path, use, ldap=(slapd.source(),))


def test_a_passkey_or_telephone_of_ours_is_a_second_factor_never_the_way_in(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        found = await browser.with_password("house", "anna", PEOPLE["anna"])
        assert found.json["lacks"] == "enrol"
        assert (await browser.api("GET", "users")).status == 403
        totp = (await browser.api("POST", "factors/totp")).json
        secret = base64.b32decode(totp["secret"].replace(" ", ""))
        code = code_at(secret, house.clock.now_us() // 30_000_000)
        done = await browser.ask("PUT", "/api/v1/factors/totp", json={"code": code})
        assert done.status == 201
        assert (await browser.api("GET", "users")).status == 200
        assert (await browser.api("GET", "session")).json["factors"] == ["ldap", "totp"]
        # the session goes on only while the directory says so
        house.clock.more_s = 241 * 60
        assert (await browser.api("GET", "whoami")).status == 401

    run_house(tmp_path, use, ldap=(slapd.source(own_second_factor=True),))


def test_a_passkey_alone_lets_nobody_in_whom_the_directory_would_not(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        await browser.with_password("house", "anna", PEOPLE["anna"])
        key = SoftKey("localhost", f"https://localhost:{house.served.address[1]}")
        options = (await browser.api("POST", "factors/passkey")).json["options"]
        made = await browser.ask("PUT", "/api/v1/factors/passkey", json={"credential": key.made(options)})
        assert made.status == 201

        async def shown(one: Browser) -> Answer:
            challenge = (await one.api("POST", "session/passkey/options")).json["options"]
            return await one.api("POST", "session/passkey", {"credential": key.signed(challenge)})

        alone = house.browser()
        assert (await shown(alone)).problem["type"] == "/problems/not-here"
        assert COOKIE not in alone.cookies
        half = house.browser()
        assert (await half.with_password("house", "anna", PEOPLE["anna"])).json["lacks"] == "prove"
        found = await shown(half)
        assert (found.status, found.json["factors"], found.json["lacks"]) == (201, ["ldap", "passkey"], "")
        other = house.browser()
        await other.with_password("house", "bo", PEOPLE["bo"])
        assert (await shown(other)).status == 403

    run_house(tmp_path, use, ldap=(slapd.source(),), access=AccessSettings(host="localhost"))


def test_who_may_try_a_source_sees_what_is_wrong_and_no_secret(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        await house.add("admin", "administrator")
        browser = house.browser()
        await browser.with_password("local", "admin", "a horse, a battery, two staples")
        good = (await browser.api("POST", "sign-on/house/try", {"login": "bo"})).json
        assert good["is_good"]
        assert [one["step"] for one in good["tried"]] == [
            *("reach", "trust", "account", "place", "mapping"),
            "person",
        ]
        provider = (await browser.api("POST", "sign-on/idp/try")).json
        assert provider["is_good"], provider
        (tmp_path / "client.secret").write_text("another")
        wrong = (await browser.api("POST", "sign-on/idp/try")).json
        assert [one["words"] for one in wrong["tried"] if one["step"] == "account"] == [
            "the provider refuses the recorder (invalid_client): are client_id and its secret right?"
        ]
        shown = (await browser.api("GET", "sign-on/sources")).body.decode()
        for secret in ("the recorder's own", "another", str(tmp_path)):
            assert secret not in shown
        page = await browser.ask("GET", "/settings/sign-on")
        assert page.status == 200
        assert "cn=Recorder Admins" in page.body.decode()

    run_house(tmp_path, use, ldap=(slapd.source(),))


def test_a_source_that_is_not_configured_any_more_shuts_its_users_out(tmp_path: Path, slapd: Slapd) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        await browser.with_password("house", "bo", PEOPLE["bo"])
        house.sources.settings = house.sources.settings.model_copy(update={"ldap": ()})
        assert (await browser.api("GET", "whoami")).status == 401

    run_house(tmp_path, use, ldap=(slapd.source(),))


@pytest.mark.parametrize("subject", ["", "another"])
def test_one_row_for_each_subject(tmp_path: Path, slapd: Slapd, subject: str) -> None:
    async def use(house: House) -> None:
        await house.add("bo@house", "supervisor", origin="house", subject=subject)
        browser = house.browser()
        found = await browser.with_password("house", "bo", PEOPLE["bo"])
        assert found.json["name"] == ("bo2@house" if subject else "bo@house")
        me = Caller("test")
        bo = house.gate.users.get(found.json["user"])
        assert bo is not None
        again = ops.AddUser(name="x", origin="house", subject=bo.subject)
        with pytest.raises(CannotChange):
            await house.operator.perform(ops.ADD_USER, again, me)

    run_house(tmp_path, use, ldap=(slapd.source(),))
