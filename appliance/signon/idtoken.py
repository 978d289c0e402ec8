"""What a provider signed: ID tokens (OpenID Connect Core 1.0 section 3.1.3.7) and logout tokens (Back-Channel 1.0).

Only algorithms with a public key are taken, and of these only those that are configured: never none, never HMAC, whose
key would be the client's secret.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final, TypeGuard

from joserfc import jws, jwt
from joserfc.errors import InvalidKeyIdError, JoseError

from vittne.appliance.signon.identity import NotRight
from vittne.appliance.signon.provider import Provider
from vittne.appliance.signon.settings import OidcSource

_LEEWAY_S: Final = 60
_OLDEST_S: Final = 600  # what was signed longer ago was not signed for this
_LONGEST: Final = 65_536
_LOGOUT: Final = "http://schemas.openid.net/event/backchannel-logout"
_HASHES: Final = {"256": "sha256", "384": "sha384", "512": "sha512"}


async def signed_claims(provider: Provider, token: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of what the provider signed. Raises NotRight, ProviderAway."""
    if not isinstance(token, str) or not 0 < len(token) <= _LONGEST or not token.isascii():
        raise _wrong(provider.source, "there is no token")
    try:
        try:
            found = _decoded(provider.source, token, await provider.keys())
        except InvalidKeyIdError:  # it signs with a new one
            found = _decoded(provider.source, token, await provider.keys(anew=True))
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise _wrong(provider.source, f"its token is not signed by it ({type(error).__name__})") from None
    return dict(found.header), dict(found.claims)


def _decoded(source: OidcSource, token: str, keys: Any) -> jwt.Token:
    registry = jws.JWSRegistry(algorithms=list(source.algorithms))
    return jwt.decode(token, keys, algorithms=list(source.algorithms), registry=registry)


def check_id_token(
    source: OidcSource, claims: dict[str, Any], now_s: int, nonce: str | None, auth_after_s: int | None = None
) -> None:
    """Raise NotRight for claims that are not for us, not now, or not what was asked.

    nonce: None where a token was refreshed. auth_after_s: they must have shown who they are after this moment.
    """
    _check_for_us(source, claims, now_s)
    expires = claims.get("exp")
    if not is_number(expires) or expires + _LEEWAY_S <= now_s:
        raise _wrong(source, "its token is over")
    issued = claims.get("iat")
    if not is_number(issued) or abs(now_s - issued) > _OLDEST_S:
        raise _wrong(source, "its token is of another time: is the clock right, here and there?")
    given = claims.get("nonce")
    if nonce is not None and not (isinstance(given, str) and hmac.compare_digest(given.encode(), nonce.encode())):
        raise _wrong(source, "its token is for another sign-in (nonce)")
    if auth_after_s is not None:
        shown = claims.get("auth_time")
        if not is_number(shown) or not auth_after_s - _LEEWAY_S <= shown <= now_s + _LEEWAY_S:
            raise _wrong(source, "it did not ask anew who you are (auth_time)")


def check_access_token(source: OidcSource, header: dict[str, Any], claims: dict[str, Any], access_token: str) -> None:
    """Raise NotRight for an access token that is not the one of this ID token: at_hash, Core 3.1.3.8."""
    said = claims.get("at_hash")
    if said is None:
        return
    alg = str(header.get("alg", ""))
    name = "sha512" if alg in ("EdDSA", "Ed25519") else _HASHES.get(alg[-3:], "sha256")
    digest = hashlib.new(name, access_token.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not hmac.compare_digest(half.encode(), str(said).encode()):
        raise _wrong(source, "its two tokens do not belong together (at_hash)")


def check_logout_token(
    source: OidcSource, header: dict[str, Any], claims: dict[str, Any], now_s: int
) -> tuple[str, str, str]:
    """Return (sub, sid, jti) of a logout token. Raises NotRight."""
    if str(header.get("typ", "logout+jwt")).lower() not in ("logout+jwt", "jwt"):
        raise _wrong(source, "this is no logout token")
    _check_for_us(source, claims, now_s)
    issued, expires, events = claims.get("iat"), claims.get("exp", now_s + 1), claims.get("events")
    if not is_number(issued) or abs(now_s - issued) > _OLDEST_S or not is_number(expires):
        raise _wrong(source, "its token is of another time")
    if expires + _LEEWAY_S <= now_s:
        raise _wrong(source, "its token is over")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT), dict) or "nonce" in claims:
        raise _wrong(source, "this is no logout token")
    sub, sid, jti = (_text(claims.get(name)) for name in ("sub", "sid", "jti"))
    if not jti or not (sub or sid):
        raise _wrong(source, "this is no logout token")
    return sub, sid, jti


def _check_for_us(source: OidcSource, claims: dict[str, Any], now_s: int) -> None:
    if claims.get("iss") != source.issuer:
        raise _wrong(source, "its token is of another issuer")
    audience = claims.get("aud")
    everybody = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
    if source.client_id not in everybody:
        raise _wrong(source, "its token is for another program (aud)")
    party = claims.get("azp")
    if (len(everybody) > 1 or party is not None) and party != source.client_id:
        raise _wrong(source, "its token was given to another program (azp)")
    before = claims.get("nbf", 0)
    if not is_number(before) or before > now_s + _LEEWAY_S:
        raise _wrong(source, "its token is not good yet")


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a claim is a moment, in seconds since 1970."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e12


def _text(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 300 and value.isprintable() else ""


def _wrong(source: OidcSource, what: str) -> NotRight:
    return NotRight(what, source.name, "begin anew; if it stays so, tell who runs the recorder")
