"""An OpenID provider of the tests' own, small and conforming: code flow with PKCE, ES256 or RS256, refresh, logout.

It can lie in each way that matters, which no honest provider does: see `Lies`. An independent one, made with Authlib,
is in test_oidc_mock.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from signon.certificates import Made

from vittne.appliance.signon.settings import OidcSource

CLIENT: Final = "vittne"
SECRET: Final = "the client's secret: with % and + in it"
LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Lies:
    """What it does wrong. claims: put into each ID token; sign: makes the token; iss: comes with the code."""

    claims: dict[str, Any] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    sign: Callable[[dict[str, Any]], str] | None = None
    iss: str | None = None
    discovery: dict[str, Any] = field(default_factory=dict)
    redirects: bool = False
    long_answer: bool = False


@dataclass
class Provider:
    """One that runs. people: by sub, their claims; who: who is signed in there, in the browser."""

    address: str = ""
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    who: str = "1001"
    auth_time: int | None = None
    key: ECKey | RSAKey = field(default_factory=lambda: new_key("k1"))
    lies: Lies = field(default_factory=Lies)
    asked: list[dict[str, str]] = field(default_factory=list)  # at the authorization endpoint
    refreshed: int = 0
    refreshable: bool = True
    sid: str = ""
    _codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _tokens: dict[str, str] = field(default_factory=dict)

    def source(self, secret_file: Any, **more: Any) -> OidcSource:
        """Return settings to sign in with."""
        given: dict[str, Any] = {
            "name": "idp",
            "title": "The provider",
            "issuer": self.address,
            "client_id": CLIENT,
            "client_secret_file": secret_file,
            "roles": {"admins": ("administrator",), "desk": ("supervisor",)},
            "timeout_s": 5.0,
        }
        return OidcSource(**{**given, **more})

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self._discovery),
            web.get("/authorize", self._authorize),
            web.post("/token", self._token),
            web.get("/jwks", self._jwks),
            web.get("/userinfo", self._userinfo),
            web.get("/out", self._out),
        ]

    async def _discovery(self, _: web.Request) -> web.Response:
        if self.lies.redirects:
            raise web.HTTPFound("https://example.org/")
        found = {
            "issuer": self.address,
            "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token",
            "jwks_uri": f"{self.address}/jwks",
            "userinfo_endpoint": f"{self.address}/userinfo",
            "end_session_endpoint": f"{self.address}/out",
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "authorization_response_iss_parameter_supported": True,
        } | self.lies.discovery
        if self.lies.long_answer:
            found["padding"] = "x" * 1_000_000
        return web.json_response(found)

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = dict(request.query)
        self.asked.append(asked)
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        if asked.get("prompt") == "login":
            self.auth_time = int(time.time())
        answer = {"state": asked["state"], "iss": self.lies.iss or self.address}
        if self.who not in self.people:
            answer["error"] = "access_denied"
        else:
            code = secrets.token_urlsafe(16)
            self._codes[code] = {**asked, "sub": self.who}
            answer["code"] = code
        raise web.HTTPFound(f"{asked['redirect_uri']}?{urlencode(answer)}")

    async def _token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        if kind != "Basic" or not _is_client(given):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "refresh_token":
            sub = self._tokens.get(form["refresh_token"], "")
            if not sub or sub not in self.people or not self.refreshable:
                return web.json_response({"error": "invalid_grant"}, status=400)
            self.refreshed += 1
            return web.json_response(self._answer(sub, None))
        asked = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != challenge or asked["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response(self._answer(asked["sub"], asked["nonce"]))

    def _answer(self, sub: str, nonce: str | None) -> dict[str, Any]:
        access, refresh = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        self._tokens[access] = self._tokens[refresh] = sub
        return {
            "access_token": access,
            "refresh_token": refresh,
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": self.id_token(sub, nonce),
        }

    def id_token(self, sub: str, nonce: str | None) -> str:
        """Return what says who somebody is, with all lies."""
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.address, "aud": CLIENT, "sub": sub, "iat": now, "exp": now + 300}
        claims |= self.people[sub]
        claims |= {"nonce": nonce} if nonce is not None else {}
        claims |= {"auth_time": self.auth_time} if self.auth_time is not None else {}
        claims |= {"sid": self.sid} if self.sid else {}
        claims |= self.lies.claims
        claims = {name: value for name, value in claims.items() if name not in self.lies.without}
        return self.lies.sign(claims) if self.lies.sign is not None else self.signed(claims)

    def signed(self, claims: dict[str, Any], key: ECKey | RSAKey | None = None, **header: Any) -> str:
        """Return claims, signed."""
        key = key or self.key
        alg = "ES256" if isinstance(key, ECKey) else "RS256"
        return jwt.encode({"alg": alg, "kid": key.kid, **header}, claims, key, algorithms=[alg])

    def logout_token(self, **more: Any) -> str:
        """Return what says that somebody signed out."""
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 120, "jti": secrets.token_hex(8)}
        claims |= {"events": {LOGOUT: {}}}
        return self.signed({**claims, **more}, typ="logout+jwt")

    async def _jwks(self, _: web.Request) -> web.Response:
        return web.json_response(KeySet([self.key]).as_dict(private=False))

    async def _userinfo(self, request: web.Request) -> web.Response:
        sub = self._tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "), "")
        return web.json_response({"sub": sub, **self.people.get(sub, {})})

    async def _out(self, request: web.Request) -> web.Response:
        self.who = ""
        raise web.HTTPFound(request.query["post_logout_redirect_uri"])


def new_key(kid: str, kind: str = "EC") -> ECKey | RSAKey:
    """Return a key to sign with."""
    if kind == "RSA":
        return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token with alg none."""
    return jwt.encode({"alg": "none"}, claims, OctKey.generate_key(), algorithms=["none"])


def by_secret(key: bytes) -> Callable[[dict[str, Any]], str]:
    """Return what signs with HMAC and something that is no secret of the provider's, or not only its."""

    def sign(claims: dict[str, Any]) -> str:  # by hand: no library signs like this with a public key
        parts = [json.dumps(one).encode() for one in ({"alg": "HS256", "kid": "k1"}, claims)]
        signed = b".".join(base64.urlsafe_b64encode(one).rstrip(b"=") for one in parts)
        mac = base64.urlsafe_b64encode(hmac.digest(key, signed, "sha256")).rstrip(b"=")
        return (signed + b"." + mac).decode()

    return sign


@asynccontextmanager
async def providing(tls: Made | None = None) -> AsyncIterator[Provider]:
    """Run one on loopback; tls: as localhost, with this certificate."""
    provider = Provider()
    provider.people = {
        "1001": {"preferred_username": "anna", "name": "Anna Berg", "groups": ["admins", "staff"]},
        "1002": {"preferred_username": "bo", "name": "Bo Ek", "groups": ["desk"]},
        "1003": {"preferred_username": "eve", "name": "Eve", "groups": ["staff"]},
    }
    app = web.Application()
    app.add_routes(provider.routes())
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = None
    if tls is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.chain, tls.key)
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    host, port = runner.addresses[0][:2]
    provider.address = f"https://localhost:{port}" if tls is not None else f"http://{host}:{port}"
    try:
        yield provider
    finally:
        await runner.cleanup()


def _is_client(given: str) -> bool:
    from urllib.parse import unquote_plus  # noqa: PLC0415

    name, _, secret = base64.b64decode(given).decode().partition(":")
    return (unquote_plus(name), unquote_plus(secret)) == (CLIENT, SECRET)
