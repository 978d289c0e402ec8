"""Signing in at an OpenID provider: authorization code flow with PKCE (OpenID Connect Core 3.1, RFC 7636, RFC 9207)."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from vittne.appliance.signon.fetch import ProviderAway, Refused, get_json, post_form
from vittne.appliance.signon.identity import Identity, NotLetIn, NotRight, printable
from vittne.appliance.signon.idtoken import (
    check_access_token,
    check_id_token,
    check_logout_token,
    is_number,
    signed_claims,
)
from vittne.appliance.signon.provider import Metadata, Provider
from vittne.appliance.signon.secret import secret_for
from vittne.appliance.signon.settings import OidcSource

_SECOND_US: Final = 1_000_000
_GROUPS: Final = 5000
_STEPS: Final = 8
_WEEK_S: Final = "604800"


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in that somebody began: what only their browser and we know. begun_s: s since 1970 UTC.

    session: of who is logged in, and is asked anew who they are; "" at a login. user: whose that is.
    """

    source: str
    state: str
    nonce: str
    verifier: str
    then: str
    begun_s: int
    session: str = ""
    user: str = ""

    @property
    def is_fresh(self) -> bool:
        """Whether they are asked anew who they are."""
        return bool(self.session)


@dataclass(frozen=True, slots=True)
class Signed:
    """Who came back, and with what they can be asked after later; "" where the provider gave nothing."""

    identity: Identity
    refresh_token: str


class OidcClient:
    """One provider to sign in at. back: where it sends people. Raises Away, NotRight, NotLetIn."""

    def __init__(self, source: OidcSource, back: str, now_s: Callable[[], float] = time.time) -> None:
        self.source = source
        self.back = back
        self.provider = Provider(source)
        self._now_s = now_s

    def flow(self, then: str, session: str = "", user: str = "") -> Flow:
        """Return a new sign-in. session, user: of who is logged in, and shall show once more that it is them."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return Flow(self.source.name, state, nonce, verifier, then, int(self._now_s()), session, user)

    async def address(self, flow: Flow) -> str:
        """Return where the browser goes."""
        metadata = await self.provider.metadata()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self.source.client_id,
            "redirect_uri": self.back,
            "scope": " ".join(self.source.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        # With max_age a provider has to tell auth_time (Core 3.1.2.1); a week asks nobody anew.
        asked |= {"prompt": "login", "max_age": "0"} if flow.is_fresh else {"max_age": _WEEK_S}
        if self.source.acr_values:
            asked["acr_values"] = " ".join(self.source.acr_values)
        return _with(metadata.authorization, asked)

    async def come_back(self, flow: Flow, code: str, issuer: str | None) -> Signed:
        """Return who came back with a code. issuer: iss of the answer; None where there is none."""
        metadata = await self.provider.metadata()
        if issuer is None and metadata.tells_issuer:
            raise self._wrong("the answer does not say who gave it (iss)")
        if issuer is not None and issuer != self.source.issuer:
            raise self._wrong("the answer is another provider's (iss)")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.back}
        try:
            found = await self._token(metadata, form | {"code_verifier": flow.verifier})
        except Refused as error:
            if error.code == "invalid_grant":
                raise self._wrong("the code is not good") from None
            what = f"the provider refuses the recorder ({error.code or 'no reason given'})"
            raise ProviderAway(what, self.source.name, "are client_id and its secret right?") from None
        after_s = flow.begun_s if flow.is_fresh else None
        return await self._signed(metadata, found, flow.nonce, after_s)

    async def ask_again(self, refresh_token: str, subject: str) -> Signed | None:
        """Return somebody who is logged in as they are now; None when the provider says that they are not."""
        metadata = await self.provider.metadata()
        try:
            form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
            found = await self._token(metadata, form)
            if "id_token" in found:
                signed = await self._signed(metadata, found, None, None)
            else:
                claims = await self._userinfo(metadata, found.get("access_token"), subject)
                signed = Signed(self._identity(claims), "")
        except Refused as error:
            if error.code in ("invalid_grant", "access_denied", "invalid_token"):
                return None
            raise ProviderAway(error.what, error.where, error.next_step) from None
        if signed.identity.subject != subject:
            raise self._wrong("the answer is about somebody else (sub)")
        given = found.get("refresh_token")
        return Signed(signed.identity, given if isinstance(given, str) else refresh_token)

    async def sign_out_address(self, back: str) -> str:
        """Return where the browser signs out at the provider; "" where that is not offered."""
        metadata = await self.provider.metadata()
        asked = {"client_id": self.source.client_id, "post_logout_redirect_uri": back}
        return _with(metadata.end_session, asked) if metadata.end_session else ""

    async def logged_out(self, token: str) -> tuple[str, str, str]:
        """Return (sub, sid, jti) of a logout token that the provider sent."""
        header, claims = await signed_claims(self.provider, token)
        return check_logout_token(self.source, header, claims, int(self._now_s()))

    async def _token(self, metadata: Metadata, form: dict[str, str]) -> dict[str, Any]:
        secret = secret_for(self.source.credential, self.source.client_secret_file, "client_secret_file")
        if "client_secret_basic" in metadata.token_auth or not metadata.token_auth:
            basic = quote(self.source.client_id, safe=""), quote(secret, safe="")  # RFC 6749 section 2.3.1
            return await post_form(self.source, metadata.token, form, basic)
        form = {**form, "client_id": self.source.client_id, "client_secret": secret}
        return await post_form(self.source, metadata.token, form)

    async def _signed(
        self, metadata: Metadata, found: dict[str, Any], nonce: str | None, after_s: int | None
    ) -> Signed:
        header, claims = await signed_claims(self.provider, found.get("id_token"))
        check_id_token(self.source, claims, int(self._now_s()), nonce, after_s)
        access = found.get("access_token")
        if isinstance(access, str):
            check_access_token(self.source, header, claims, access)
        if self.source.userinfo:
            claims |= await self._userinfo(metadata, access, claims.get("sub"), claims)
        refresh = found.get("refresh_token")
        return Signed(self._identity(claims), refresh if isinstance(refresh, str) else "")

    async def _userinfo(
        self, metadata: Metadata, access: object, subject: object, signed: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what that endpoint says of this very person, but nothing that only a signature may say: Core 5.3."""
        if not metadata.userinfo or not isinstance(access, str):
            raise ProviderAway("it says nothing about its users", self.source.name, "it has no userinfo_endpoint")
        found = await get_json(self.source, metadata.userinfo, access)
        if not isinstance(subject, str) or found.get("sub") != subject:
            raise self._wrong("the answer is about somebody else (sub)")
        kept = {"iss", "aud", "exp", "iat", "nonce", "acr", "amr", "auth_time", "sid", "azp"}
        return {name: value for name, value in found.items() if name not in kept}

    def _identity(self, claims: dict[str, Any]) -> Identity:
        source, sub = self.source, claims.get("sub")
        if not isinstance(sub, str) or not 0 < len(sub) <= 255 or not sub.isprintable():
            raise self._wrong("the answer does not say who it is (sub)")
        for name, wanted in source.require.items():
            if _claim(claims, name) != wanted:
                raise NotLetIn(f"the provider does not say what is asked of you ({name})", source.words, "ask them")
        login, full_name, sid = (
            _short(_claim(claims, name)) for name in (source.login_claim, source.full_name_claim, "sid")
        )
        auth_time = claims.get("auth_time")
        return Identity(
            origin=source.name,
            subject=sub,
            login=login or sub,
            full_name=full_name,
            groups=self._groups(claims),
            has_second=_has_second(source, claims),
            auth_us=int(auth_time * _SECOND_US) if is_number(auth_time) else None,
            sid=sid,
        )

    def _groups(self, claims: dict[str, Any]) -> frozenset[str]:
        found = _claim(claims, self.source.groups_claim)
        elsewhere = claims.get("_claim_names")
        if found is None and isinstance(elsewhere, dict) and self.source.groups_claim in elsewhere:
            what = "you are in so many groups that the provider leaves them out"
            raise NotLetIn(what, self.source.words, "have it send only the groups given to this application")
        if isinstance(found, str):
            return frozenset({found})
        return (
            frozenset(one for one in found[:_GROUPS] if isinstance(one, str))
            if isinstance(found, list)
            else frozenset()
        )

    def _wrong(self, what: str) -> NotRight:
        return NotRight(what, self.source.name, "begin anew; if it stays so, tell who runs the recorder")


def _claim(claims: dict[str, Any], name: str) -> object:
    """Return a claim; the whole name first, then its dots as a way into objects."""
    if name in claims:
        return claims[name]
    found: object = claims
    for step in name.split(".")[:_STEPS]:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _has_second(source: OidcSource, claims: dict[str, Any]) -> bool:
    """Say whether the provider saw a second factor that is configured to count."""
    acr, amr = claims.get("acr"), claims.get("amr")
    methods = [one for one in amr if isinstance(one, str)] if isinstance(amr, list) else []
    return acr in source.second_factor_acr or bool(set(methods) & set(source.second_factor_amr))


def _short(value: object) -> str:
    return printable(value) if isinstance(value, str) else ""


def _with(address: str, asked: dict[str, str]) -> str:
    return address + ("&" if "?" in address else "?") + urlencode(asked)
