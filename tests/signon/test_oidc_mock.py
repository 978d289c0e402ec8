"""Signing in at a provider that we did not write: oidc-provider-mock, made with Authlib, over HTTP on loopback."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import aiohttp
import oidc_provider_mock
import pytest
from signon.provider import CLIENT, SECRET

from vittne.appliance.signon.identity import NotRight, roles_of
from vittne.appliance.signon.oidc import OidcClient
from vittne.appliance.signon.settings import OidcSource
from vittne.appliance.signon.trying import try_provider

BACK = "https://recorder.example.org/sign-on/idp/callback"


async def signed_in_there(address: str, sub: str) -> dict[str, str]:
    """Do what a person does in the browser; return the query with which they come back."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(address, data={"sub": sub}, allow_redirects=False) as answer,
    ):
        there = answer.headers["Location"]
    assert there.startswith(f"{BACK}?")
    return dict(re.findall(r"([a-z_]+)=([^&]+)", there.partition("?")[2]))


def test_it_says_who_somebody_is_and_says_so_again(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    anna = oidc_provider_mock.User(
        sub="1001", claims={"preferred_username": "anna", "name": "Anna Berg", "groups": ["desk"]}
    )

    async def use(issuer: str) -> None:
        source = OidcSource(
            name="idp", issuer=issuer, client_id=CLIENT, client_secret_file=secret, roles={"desk": ("supervisor",)}
        )
        for one in (source, source.model_copy(update={"userinfo": True})):
            client = OidcClient(one, BACK)
            flow = client.flow("/")
            back = await signed_in_there(await client.address(flow), "1001")
            assert back["state"] == flow.state
            signed = await client.come_back(flow, back["code"], None)
            found = signed.identity
            assert (found.subject, found.login, found.full_name) == ("1001", "anna", "Anna Berg")
            assert roles_of(one, found.groups) == ("supervisor",)
            with pytest.raises(NotRight, match="code"):
                await client.come_back(flow, back["code"], None)
            again = await client.ask_again(signed.refresh_token, "1001")
            assert again is not None
            assert again.identity.groups == found.groups
            assert await client.ask_again("never-given", "1001") is None
            with pytest.raises(NotRight, match="somebody else"):
                await client.ask_again(again.refresh_token, "1002")
            assert (await client.sign_out_address("https://recorder.example.org/login")).startswith(issuer)
            assert {step.state for step in await try_provider(client, {"supervisor": 1})} == {"good"}

    with oidc_provider_mock.run_server_in_thread(user_claims=[anna]) as server:
        asyncio.run(use(f"http://127.0.0.1:{server.server_port}"))
