"""Passkeys: a signature of the right key, for this console, over a challenge of ours, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from api.softkey import SoftKey
from api.test_logins import Console, run

from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.limits import Limits

HOST = AccessSettings(host="localhost")


async def enrol(console: Console) -> SoftKey:
    """Log in as anna and set up a passkey."""
    await console.log_in()
    key = SoftKey("localhost", f"https://localhost:{console.served.address[1]}")
    options = (await console.ask("POST", "factors/passkey")).json["options"]
    assert options["authenticatorSelection"]["userVerification"] == "required"
    made = await console.ask("PUT", "factors/passkey", json={"credential": key.made(options), "label": "blue key"})
    assert made.status == 201
    assert len(made.json["recovery"]) == 10
    return key


async def log_in(console: Console, key: SoftKey) -> Any:
    options = (await console.served.post("session/passkey/options")).json["options"]
    found = await console.served.post("session/passkey", json={"credential": key.signed(options)})
    console._keep(found)
    return found


def test_a_passkey_alone_logs_in_and_is_two_factors(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        key = await enrol(console)
        console.cookie = ""
        found = await log_in(console, key)
        assert (found.status, found.json["name"], found.json["lacks"]) == (201, "anna", "")
        assert found.json["factors"] == ["passkey"]
        assert (await console.ask("POST", "change")).status == 204
        assert (await console.log_in()).json["lacks"] == "prove"  # with the password it would be one
        console.served.clock.at_s += 11 * 60
        await log_in(console, key)
        console.served.clock.at_s += 11 * 60
        assert (await console.ask("POST", "factors/recovery")).status == 403
        options = (await console.served.post("session/passkey/options")).json["options"]
        body = {"credential": key.signed(options)}
        assert (await console.ask("POST", "session/proof/passkey", json=body)).status == 204
        assert (await console.ask("POST", "factors/recovery")).status == 201

    run(tmp_path, use, access=HOST)


def other_origin(key: SoftKey) -> None:
    key.origin = "https://evil.example"


def other_party(key: SoftKey) -> None:
    key.party = "evil.example"


def unverified(key: SoftKey) -> None:
    key.flags = 0x01


def copied(key: SoftKey) -> None:
    key.count = 0


def other_key(key: SoftKey) -> None:
    key._key = SoftKey("", "")._key


@pytest.mark.parametrize("spoil", [other_origin, other_party, unverified, copied, other_key])
def test_what_is_not_as_it_must_be_lets_nobody_in(tmp_path: Path, spoil: Callable[[SoftKey], None]) -> None:
    async def use(console: Console) -> None:
        key = await enrol(console)
        assert (await log_in(console, key)).status == 201
        spoil(key)
        found = await log_in(console, key)
        assert found.status == 403
        assert "Set-Cookie" not in found.headers

    run(tmp_path, use, access=HOST)


def test_a_challenge_is_good_once_and_for_ten_minutes(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        key = await enrol(console)
        options = (await console.served.post("session/passkey/options")).json["options"]
        body = {"credential": key.signed(options)}
        assert (await console.served.post("session/passkey", json=body)).status == 201
        assert (await console.served.post("session/passkey", json=body)).status == 403
        late = (await console.served.post("session/passkey/options")).json["options"]
        console.served.clock.at_s += 601
        assert (await console.served.post("session/passkey", json={"credential": key.signed(late)})).status == 403

    run(tmp_path, use, access=HOST)


@pytest.mark.parametrize("credential", [{}, {"id": 3}, {"id": "x", "response": []}])
def test_what_is_no_credential_is_refused(tmp_path: Path, credential: dict[str, Any]) -> None:
    async def use(console: Console) -> None:
        key = await enrol(console)
        assert (await console.served.post("session/passkey", json={"credential": credential})).status == 403
        known = {**key.signed({"challenge": "x"}), "response": credential}
        assert (await console.served.post("session/passkey", json={"credential": known})).status == 403

    run(tmp_path, use, access=HOST)


def test_an_address_has_no_passkeys(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        await console.log_in()
        refused = await console.ask("POST", "factors/passkey")  # it was asked for as 127.0.0.1
        assert refused.problem["type"] == "/problems/no-passkeys-here"

    run(tmp_path, use)


def test_passkeys_that_nobody_has_keep_only_their_sender_out(tmp_path: Path) -> None:
    async def use(console: Console) -> None:
        key = await enrol(console)
        for _ in range(3):
            unknown = SoftKey("localhost", key.origin)
            assert (await log_in(console, unknown)).status == 403
        assert (await console.served.post("session/passkey/options")).status == 429
        gate, now_s = console.served.app[GATE], console.served.clock.mono_s()
        assert gate.backoff.wait_s("192.0.2.7", now_s) == 0
        assert [gate.names.wait_s(name, now_s) for name in ("", "anna")] == [0, 0]

    run(tmp_path, use, access=HOST, limits=Limits(failures=3))
