"""Signing in at an OpenID provider: what an honest one gives, and what none that lies gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from signon.certificates import certificate_for
from signon.house import House, run_house, then_of
from signon.provider import SECRET, Lies, Provider, by_secret, new_key, providing, unsigned

from vittne.appliance.api.sessions import COOKIE
from vittne.appliance.signon.oidc import OidcClient
from vittne.appliance.signon.trying import try_provider


def test_who_has_a_mapped_group_comes_in_with_its_roles(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        page = await browser.sign_in(query="?then=/me%3Fx=1")
        assert page.status == 200
        assert then_of(page) == "/me?x=1"
        shown = (await browser.api("GET", "session")).json
        assert (shown["name"], shown["full_name"], shown["factors"]) == ("anna@idp", "Anna Berg", ["oidc"])
        assert "users" in shown["scopes"]
        assert house.user("anna@idp").roles == ("administrator",)  # type: ignore[union-attr]
        asked = house.provider.asked[0]
        assert asked["redirect_uri"] == f"{house.sources.settings.address}/sign-on/idp/callback"
        assert (asked["response_type"], asked["scope"]) == ("code", "openid profile email")
        assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
        assert [one["change"] for one in house.trail("user")] == ["add"]
        assert [one["login"] for one in house.trail("login")] == ["in"]
        again = house.browser()
        await again.sign_in()
        assert len([one for one in house.gate.users.all() if one.origin == "idp"]) == 1

    run_house(tmp_path, use)


def test_nobody_without_a_mapped_group_comes_in_and_nothing_is_kept_of_them(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        house.provider.who = "1003"
        browser = house.browser()
        page = await browser.sign_in()
        assert page.status == 403
        assert b"None of your groups gives a role here" in page.body
        assert COOKIE not in browser.cookies
        assert house.gate.users.all() == []
        assert [(one["login"], one["user"]) for one in house.trail("login")] == [("refused", "")]

    run_house(tmp_path, use)


def test_a_local_and_a_foreign_user_of_one_name_are_two(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        await house.add("anna", "agent")
        await house.add("anna@idp", "agent")  # somebody called a local user like that
        browser = house.browser()
        await browser.sign_in()
        shown = (await browser.api("GET", "session")).json
        assert shown["name"] == "anna2@idp"
        assert shown["full_name"] == "Anna Berg"
        assert house.user("anna").roles == house.user("anna@idp").roles == ("agent",)  # type: ignore[union-attr]

    run_house(tmp_path, use)


def test_somebody_is_their_subject_whatever_they_are_called(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        await house.browser().sign_in()
        house.provider.people["1001"]["preferred_username"] = "annabel"
        house.provider.people["1002"]["preferred_username"] = "anna"
        renamed, other = house.browser(), house.browser()
        await renamed.sign_in()
        assert (await renamed.api("GET", "session")).json["name"] == "anna@idp"
        house.provider.who = "1002"
        await other.sign_in()
        shown = (await other.api("GET", "session")).json
        assert shown["name"] == "anna2@idp"
        assert "users" not in shown["scopes"]

    run_house(tmp_path, use)


def test_with_invited_only_who_was_added_comes_in_with_the_roles_given_here(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        stranger = await house.browser().sign_in()
        assert stranger.status == 403
        assert b"Nobody has added you here" in stranger.body
        await house.add("anna@idp", "auditor", origin="idp")
        browser = house.browser()
        await browser.sign_in()
        shown = (await browser.api("GET", "session")).json
        assert "audit" in shown["scopes"]
        assert house.user("anna@idp").subject == "1001"  # type: ignore[union-attr]
        house.provider.people["1009"] = {"preferred_username": "anna"}
        house.provider.who = "1009"
        assert (await house.browser().sign_in()).status == 403  # the name is taken: this is somebody else

    run_house(tmp_path, use, let_in="invited", roles={})


def _lie(provider: Provider, **claims: Any) -> None:
    provider.lies = Lies(claims=claims)


OTHER_KEY = new_key("k1")
HOSTILE: dict[str, Callable[[Provider], None]] = {
    "wrong nonce": lambda one: _lie(one, nonce="another"),
    "no nonce": lambda one: setattr(one, "lies", Lies(without=("nonce",))),
    "wrong issuer": lambda one: _lie(one, iss="https://evil.example"),
    "wrong audience": lambda one: _lie(one, aud="another-program"),
    "audience of two, given to the other": lambda one: _lie(one, aud=["vittne", "other"], azp="other"),
    "audience of two without a word to whom": lambda one: _lie(one, aud=["vittne", "other"]),
    "expired": lambda one: _lie(one, exp=int(time.time()) - 120),
    "without an end": lambda one: setattr(one, "lies", Lies(without=("exp",))),
    "of yesterday": lambda one: _lie(one, iat=int(time.time()) - 86_400),
    "of tomorrow": lambda one: _lie(one, nbf=int(time.time()) + 86_400),
    "truth as a moment": lambda one: _lie(one, exp=True),
    "nobody": lambda one: _lie(one, sub=""),
    "another access token": lambda one: _lie(one, at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "alg none": lambda one: setattr(one, "lies", Lies(sign=unsigned)),
    "signed with the client's secret": lambda one: setattr(one, "lies", Lies(sign=by_secret(SECRET.encode()))),
    "signed with the public key as a secret": lambda one: setattr(
        one, "lies", Lies(sign=by_secret(one.key.as_pem(private=False)))
    ),
    "another's key under the same name": lambda one: setattr(
        one, "lies", Lies(sign=lambda claims: one.signed(claims, OTHER_KEY))
    ),
    "a key that is in the token": lambda one: setattr(
        one,
        "lies",
        Lies(sign=lambda claims: one.signed(claims, OTHER_KEY, jwk=OTHER_KEY.as_dict(private=False))),
    ),
    "no token at all": lambda one: setattr(one, "lies", Lies(sign=lambda _: "")),
    "garbage": lambda one: setattr(one, "lies", Lies(sign=lambda _: "e30.e30.e30")),
    "the code of another provider": lambda one: setattr(one, "lies", Lies(iss="https://evil.example")),
}


def test_what_proves_nothing_lets_nobody_in(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        honest = house.provider.lies
        for name, lie in HOSTILE.items():
            lie(house.provider)
            browser = house.browser()
            page = await browser.sign_in()
            assert page.status == 403, name
            assert b"does not show who you are" in page.body, name
            assert COOKIE not in browser.cookies, name
            house.clock.more_s += 4000  # the wait for wrong answers is over
            house.gate.pairs = type(house.gate.pairs)(house.gate.pairs._limits)
            house.clock.more_s -= 4000
        house.provider.lies = honest
        assert (await house.browser().sign_in()).status == 200
        assert [one.name for one in house.gate.users.all()] == ["anna@idp"]

    run_house(tmp_path, use)


def test_who_answers_wrongly_again_and_again_has_to_wait(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        _lie(house.provider, nonce="another")
        found = [(await house.browser().sign_in()).status for _ in range(10)]
        assert set(found) == {403}
        left = await house.browser().ask("GET", "/sign-on/idp")
        assert left.status == 429

    run_house(tmp_path, use)


def test_a_sign_in_is_good_once_and_only_in_the_browser_that_began_it(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        browser, thief = house.browser(), house.browser()
        back = await browser.out_to()
        stolen = await thief.come_back(back)
        assert stolen.status == 403
        assert COOKIE not in thief.cookies
        cookies = dict(browser.cookies)
        assert (await browser.come_back(back)).status == 200
        thief.cookies = cookies
        assert (await thief.come_back(back)).status == 403
        begun = house.browser()
        back = await begun.out_to()
        house.clock.more_s = 700
        assert (await begun.come_back(back)).status == 403

    run_house(tmp_path, use)


def test_a_code_or_a_state_of_another_sign_in_is_refused(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        one, two = await browser.out_to(), await browser.out_to()
        code = {name: value[0] for name, value in parse_qs(urlsplit(one).query).items()}["code"]
        mixed = two.replace({name: value[0] for name, value in parse_qs(urlsplit(two).query).items()}["code"], code)
        page = await browser.come_back(mixed)  # PKCE: the code goes with the other verifier
        assert page.status == 403
        assert COOKIE not in browser.cookies
        twice = await house.browser().come_back(one + "&state=another")
        assert twice.status == 403

    run_house(tmp_path, use)


@pytest.mark.parametrize("then", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
def test_nobody_is_led_elsewhere(tmp_path: Path, then: str) -> None:
    async def use(house: House) -> None:
        page = await house.browser().sign_in(query=f"?then={then}")
        assert then_of(page) == "/"

    run_house(tmp_path, use)


def test_keys_may_change_while_it_runs(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        await house.browser().sign_in()
        house.provider.key = new_key("k2", "RSA")
        house.sources.providers["idp"].provider._mono_s = lambda: time.monotonic() + 61
        assert (await house.browser().sign_in()).status == 200

    run_house(tmp_path, use)


def test_a_second_factor_of_the_provider_counts_only_where_that_is_configured(tmp_path: Path) -> None:
    async def lent(house: House) -> None:
        house.provider.lies = Lies(claims={"acr": "urn:two", "amr": ["pwd", "otp"]})
        browser = house.browser()
        await browser.sign_in()
        assert (await browser.api("GET", "session")).json["lacks"] == ("" if counts else "enrol")
        assert (await browser.api("GET", "users")).status == (200 if counts else 403)

    from vittne.appliance.access.settings import AccessSettings  # noqa: PLC0415

    must = AccessSettings(second_factor="required")
    for counts, more in (
        (False, {}),
        (True, {"second_factor_amr": ("otp",)}),
        (True, {"second_factor_acr": ("urn:two",)}),
    ):
        run_house(tmp_path / f"{counts}{len(str(more))}", lent, access=must, **more)
    counts = False
    run_house(tmp_path / "own", lent, own_second_factor=True)


def test_what_gives_rights_asks_the_provider_anew_who_it_is(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        house.provider.auth_time = int(time.time()) - 3600
        browser = house.browser()
        await browser.sign_in()
        body = {"name": "new", "roles": ["agent"]}
        assert (await browser.api("POST", "users", body)).problem["type"] == "/problems/prove-again"
        refused = await browser.api("POST", "session/proof", {"password": "anything"})
        assert refused.problem["type"] == "/problems/sign-in-again"
        # the browser's user takes prompt=login out of the address: the provider asks nobody
        again = await browser.ask("GET", "/sign-on/idp?again=1&then=/settings/users")
        silent = again.headers["Location"].replace("prompt=login", "prompt=none")
        import aiohttp  # noqa: PLC0415

        async with aiohttp.ClientSession() as session, session.get(silent, allow_redirects=False) as there:
            page = await browser.come_back(there.headers["Location"])
        assert page.status == 403
        assert b"did not ask anew" in page.body
        assert (await browser.api("POST", "users", body)).status == 403
        page = await browser.sign_in(query="?again=1&then=/settings/users")
        assert page.status == 200
        assert house.provider.asked[-1]["prompt"] == "login"
        assert (await browser.api("POST", "users", body)).status == 201
        house.provider.who = "1002"
        somebody = await browser.sign_in(query="?again=1")
        assert somebody.status == 403
        assert b"somebody else" in somebody.body

    run_house(tmp_path, use)


def test_who_leaves_the_group_is_logged_out_at_the_next_look(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        browser, other = house.browser(), house.browser()
        await browser.sign_in()
        house.provider.who = "1002"
        await other.sign_in()
        house.provider.people["1001"]["groups"] = ["desk"]
        house.provider.people["1002"]["groups"] = []
        await house.watch.turn()
        assert house.provider.refreshed == 0  # not yet
        house.clock.more_s = 16 * 60
        await house.watch.turn()
        assert house.provider.refreshed == 2
        assert (await browser.api("GET", "whoami")).status == 200
        assert house.user("anna@idp").roles == ("supervisor",)  # type: ignore[union-attr]
        assert (await other.api("GET", "whoami")).status == 401
        assert house.user("bo@idp").roles == ()  # type: ignore[union-attr]
        assert [one["change"] for one in house.trail("user")] == ["add", "add", "source", "source"]
        house.provider.refreshable = False  # signed out there
        house.clock.more_s += 16 * 60
        await house.watch.turn()
        assert (await browser.api("GET", "whoami")).status == 401

    run_house(tmp_path, use)


def test_a_provider_that_does_not_answer_is_believed_for_a_while_only(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        await browser.sign_in()
        house.provider.lies = Lies(redirects=True)
        house.sources.providers["idp"].provider._metadata = None
        house.clock.more_s = 19 * 60
        await house.watch.turn()
        assert (await browser.api("GET", "whoami")).status == 200
        house.clock.more_s = 21 * 60
        assert (await browser.api("GET", "whoami")).status == 401

    run_house(tmp_path, use, trust_min=20)


def test_who_signs_out_at_the_provider_is_out_here(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        house.provider.sid = "s1"
        one, two = house.browser(), house.browser()
        await one.sign_in()
        house.provider.sid = "s2"
        await two.sign_in()

        async def told(token: str) -> int:
            form = {"data": {"logout_token": token}}
            return (await house.browser().ask("POST", "/api/v1/sign-on/idp/logout", **form)).status

        provider = house.provider
        for token in (
            provider.id_token("1001", None),
            provider.logout_token(sub="1001", nonce="n"),
            provider.logout_token(sub="1001", aud="other"),
            provider.logout_token(sub="1001", iat=1),
            provider.logout_token(),
            unsigned({"sub": "1001"}),
        ):
            assert await told(token) == 400
        assert (await one.api("GET", "whoami")).status == 200
        assert await told(provider.logout_token(sid="s1")) == 200
        assert (await one.api("GET", "whoami")).status == 401
        assert (await two.api("GET", "whoami")).status == 200
        token = provider.logout_token(sub="1001")
        assert await told(token) == 200
        assert (await two.api("GET", "whoami")).status == 401
        await two.sign_in()
        assert await told(token) == 200  # the same one again: nothing
        assert (await two.api("GET", "whoami")).status == 200

    run_house(tmp_path, use)


def test_log_out_can_go_on_to_the_provider(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        browser = house.browser()
        await browser.sign_in()
        page = await browser.ask("GET", "/me")
        assert b'data-then="/sign-on/idp/out"' in page.body
        assert (await browser.api("DELETE", "session")).status == 204
        out = await browser.ask("GET", "/sign-on/idp/out")
        assert out.headers["Location"].startswith(f"{house.provider.address}/out?client_id=vittne&")

    run_house(tmp_path, use)


def test_local_users_can_be_only_some(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        await house.add("admin", "administrator")
        await house.add("bo", "agent")
        browser, other = house.browser(), house.browser()
        right = {"name": "admin", "password": "a horse, a battery, two staples"}
        assert (await browser.api("POST", "session", right)).status == 201
        refused = await other.api("POST", "sign-on/local/session", {**right, "name": "bo"})
        assert refused.problem["type"] == "/problems/not-here"
        assert COOKIE not in other.cookies
        await browser.sign_in()
        assert (await browser.api("GET", "session")).json["name"] == "anna@idp"

    run_house(tmp_path, use, local_users=("Admin",))


def test_a_user_who_is_shut_out_here_does_not_come_in(tmp_path: Path) -> None:
    async def use(house: House) -> None:
        from vittne.appliance.access import operations as ops  # noqa: PLC0415

        await house.add("admin", "administrator")
        browser = house.browser()
        await browser.sign_in()
        user = house.user("anna@idp")
        assert user is not None
        await house.operator.perform(ops.CHANGE_USER, ops.ChangeUser(user=user.id, is_disabled=True), Caller("test"))
        assert (await browser.api("GET", "whoami")).status == 401
        page = await house.browser().sign_in()
        assert b"You are shut out here" in page.body

    from vittne.appliance.control.caller import Caller  # noqa: PLC0415

    run_house(tmp_path, use)


def test_only_configured_places_are_asked(tmp_path: Path) -> None:
    """Redirects, other hosts, other issuers, and answers without an end."""
    from vittne.appliance.signon.fetch import ProviderAway  # noqa: PLC0415
    from vittne.appliance.signon.provider import Provider as Client  # noqa: PLC0415

    async def whole() -> None:
        async with providing() as provider:
            source = provider.source(tmp_path / "secret")
            for lies, words in (
                (Lies(redirects=True), "sends us elsewhere"),
                (Lies(discovery={"token_endpoint": "https://evil.example/token"}), "another host"),
                (Lies(discovery={"jwks_uri": "http://evil.example/keys"}), "not https"),
                (Lies(discovery={"issuer": "https://evil.example"}), "calls itself"),
                (Lies(discovery={"authorization_endpoint": "javascript:alert(1)"}), "not https"),
                (Lies(long_answer=True), "too long"),
            ):
                provider.lies = lies
                with pytest.raises(ProviderAway, match=words):
                    await Client(source).metadata()
            provider.lies = Lies(discovery={"end_session_endpoint": "https://evil.example/out"})
            assert (await Client(source).metadata()).end_session == ""

    asyncio.run(whole())


def test_a_provider_is_believed_by_its_certificate_only(tmp_path: Path) -> None:
    made = certificate_for(tmp_path, "localhost")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "secret").chmod(0o600)

    async def tried(provider: Provider, **more: Any) -> dict[str, str]:
        client = OidcClient(provider.source(tmp_path / "secret", **more), "https://rec.example.org/x")
        found = await try_provider(client, {"administrator": 1, "supervisor": 1})
        return {one.step: f"{one.state}: {one.words}" for one in found}

    async def whole() -> None:
        async with providing(made) as provider:
            good = await tried(provider, ca_file=made.ca)
            assert {words.partition(":")[0] for words in good.values()} == {"good"}
            assert "not trusted" in (await tried(provider))["trust"]
            provider.address = provider.address.replace("localhost", "127.0.0.1")
            assert "not trusted" in (await tried(provider, ca_file=made.ca))["trust"]
            assert "cannot be read" in (await tried(provider, ca_file=tmp_path / "secret"))["trust"]
            nowhere = await tried(provider, issuer="https://no-such-host.invalid")
            assert nowhere == {"reach": "bad: its name has no address: is it spelled right, and does DNS answer?"}

    asyncio.run(whole())


def test_secrets_are_in_no_file_and_no_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tokens: list[str] = []

    async def use(house: House) -> None:
        browser = house.browser()
        back = await browser.out_to()
        tokens.append({name: value[0] for name, value in parse_qs(urlsplit(back).query).items()}["code"])
        await browser.come_back(back)
        tokens.extend(house.provider._tokens)

    run_house(tmp_path, use)
    said = "".join(capfd.readouterr())
    files = [one for one in tmp_path.rglob("*") if one.is_file() and one.name != "client.secret"]
    kept = b"".join(one.read_bytes() for one in files)
    for secret in (SECRET, *tokens):
        assert secret not in said
        assert secret.encode() not in kept
