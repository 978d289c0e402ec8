"""A provider's discovery document and its keys (OpenID Connect Discovery 1.0; RFC 7517), read when they are needed.

Keys change: a token signed with one that is not known has them read anew, once a minute at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, KeySet, OKPKey, RSAKey

from vittne.appliance.signon.fetch import ProviderAway, check_place, get_json
from vittne.appliance.signon.identity import Away
from vittne.appliance.signon.settings import OidcSource

_GOOD_S: Final = 3600.0
_ANEW_S: Final = 60.0
_LEAST_RSA_BITS: Final = 2048
_FAILED_S: Final = 5.0
_MOST_KEYS: Final = 64
_DISCOVERY: Final = "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider does what. end_session, userinfo: "" where it has none."""

    authorization: str
    token: str
    jwks: str
    userinfo: str
    end_session: str
    algorithms: tuple[str, ...]
    token_auth: tuple[str, ...]
    tells_issuer: bool  # RFC 9207: iss comes with the code


class Provider:
    """One provider. Raises ProviderAway, Refused."""

    def __init__(self, source: OidcSource, mono_s: Callable[[], float] = time.monotonic) -> None:
        self.source = source
        self._mono_s = mono_s
        self._metadata: tuple[Metadata, float] | None = None
        self._keys: tuple[KeySet, float] | None = None
        self._failed: tuple[Away, float] | None = None
        self._turn = asyncio.Lock()

    async def metadata(self, anew: bool = False) -> Metadata:
        """Return the discovery document, an hour old at most."""
        async with self._turn:
            if not anew and self._failed is not None and self._mono_s() - self._failed[1] < _FAILED_S:
                raise self._failed[0]  # anybody may ask: it is not tried for each of them
            if anew or self._metadata is None or self._mono_s() - self._metadata[1] > _GOOD_S:
                try:
                    found = await get_json(self.source, self.source.issuer.rstrip("/") + _DISCOVERY)
                    self._metadata = metadata_of(self.source, found), self._mono_s()
                except Away as error:
                    self._failed = error, self._mono_s()
                    raise
            self._failed = None
            return self._metadata[0]

    async def keys(self, anew: bool = False) -> KeySet:
        """Return the keys, an hour old at most. anew: a minute at most."""
        age_s = self._mono_s() - self._keys[1] if self._keys is not None else None
        if self._keys is None or age_s is None or age_s > (_ANEW_S if anew else _GOOD_S):
            found = await get_json(self.source, (await self.metadata()).jwks)
            self._keys = keys_of(self.source, found), self._mono_s()
        return self._keys[0]


def metadata_of(source: OidcSource, found: dict[str, Any]) -> Metadata:
    """Return a discovery document, checked. Raises ProviderAway."""
    if found.get("issuer") != source.issuer:
        said = str(found.get("issuer"))[:200]
        raise ProviderAway(f"it calls itself {said!r}", source.issuer, "issuer must be that, letter by letter")

    def place(name: str, is_needed: bool = True) -> str:
        value = found.get(name)
        if value is None and not is_needed:
            return ""
        if not isinstance(value, str) or len(value) > 2000:
            raise ProviderAway(f"it names no {name}", source.issuer, "see its discovery document")
        return check_place(source, value)

    return Metadata(
        authorization=place("authorization_endpoint"),
        token=place("token_endpoint"),
        jwks=place("jwks_uri"),
        userinfo=place("userinfo_endpoint") if source.userinfo else _or_none(place, "userinfo_endpoint"),
        end_session=_or_none(place, "end_session_endpoint"),
        algorithms=_texts(found.get("id_token_signing_alg_values_supported")),
        token_auth=_texts(found.get("token_endpoint_auth_methods_supported")),
        tells_issuer=found.get("authorization_response_iss_parameter_supported") is True,
    )


def keys_of(source: OidcSource, found: dict[str, Any]) -> KeySet:
    """Return the keys that may sign: public ones, long enough, each of a kind that is known. Raises ProviderAway."""
    given = found.get("keys")
    keys: list[RSAKey | ECKey | OKPKey] = []
    for one in given[:_MOST_KEYS] if isinstance(given, list) else ():
        if not isinstance(one, dict) or one.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key({name: value for name, value in one.items() if isinstance(name, str)})
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue  # RFC 7517 section 5: what is not understood is left out
        if isinstance(key, RSAKey) and key.public_key.key_size < _LEAST_RSA_BITS:
            continue
        if isinstance(key, (RSAKey, ECKey, OKPKey)):
            keys.append(key)
    if not keys:
        raise ProviderAway("it has no key that could sign", source.issuer, "see what its jwks_uri answers")
    return KeySet(list(keys))


def _or_none(place: Callable[[str, bool], str], name: str) -> str:
    try:
        return place(name, False)
    except ProviderAway:  # nobody is signed out there; nothing else is lost
        return ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(one for one in value[:64] if isinstance(one, str)) if isinstance(value, list) else ()
