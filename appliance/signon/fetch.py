"""Asking an OpenID provider over HTTP: only hosts that are configured, no redirects, bounds on size and time.

What comes back is JSON that nobody has looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from vittne.appliance.signon.identity import Away
from vittne.appliance.signon.settings import OidcSource, is_this_machine
from vittne.appliance.signon.trust import trust_of
from vittne.appliance.store.errors import StoreError
from vittne.appliance.version import VERSION

_LIMIT: Final = 512 << 10
_HEADERS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a small answer must not become a large one
    "User-Agent": f"vittne/{VERSION}",
}
_DEPTH_ERRORS: Final = (ValueError, RecursionError)


class ProviderAway(Away):
    """A provider that could not be asked. step: name, tls or answer."""

    def __init__(self, what: str, where: str, next_step: str, step: str = "answer") -> None:
        super().__init__(what, where, next_step)
        self.step = step


class Refused(StoreError):
    """A provider answers with an OAuth error (RFC 6749 section 5.2). code: which, "" for none that it names."""

    def __init__(self, code: str, where: str) -> None:
        super().__init__(f"the provider refuses ({code or 'no reason given'})", where, "see its log")
        self.code = code


async def get_json(source: OidcSource, url: str, bearer: str = "") -> dict[str, Any]:
    """Return what an address answers. Raises ProviderAway, Refused."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return await _ask(source, "GET", url, headers)


async def post_form(
    source: OidcSource, url: str, form: Mapping[str, str], basic: tuple[str, str] | None = None
) -> dict[str, Any]:
    """Return what an address answers to a form. Raises ProviderAway, Refused."""
    headers = {"Authorization": aiohttp.encode_basic_auth(*basic)} if basic else {}
    return await _ask(source, "POST", url, headers, form)


def check_place(source: OidcSource, url: str) -> str:
    """Return an address that the discovery document names, if it is one that is configured. Raises ProviderAway."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise _bad("an endpoint is no address", source)
    try:
        parts, own = urlsplit(url), urlsplit(source.issuer)
        port, own_port = parts.port, own.port
    except ValueError:
        raise _bad("an endpoint is no address", source) from None
    host = (parts.hostname or "").lower()
    is_plain = parts.scheme == "http" and is_this_machine(host)
    if (parts.scheme != "https" and not is_plain) or not host or parts.username is not None or parts.fragment:
        raise _bad("an endpoint is not https://", source)
    is_own = (parts.scheme, host, port) == (own.scheme, (own.hostname or "").lower(), own_port)
    named = f"{host}:{port}" if port is not None else host
    if not is_own and not (parts.scheme == "https" and named in source.hosts):
        what = f"an endpoint is on another host ({named[:80]})"
        raise ProviderAway(what, source.name, "if that is right, name it in hosts")
    return url


def _bad(what: str, source: OidcSource) -> ProviderAway:
    return ProviderAway(what, source.name, "see its discovery document")


async def _ask(
    source: OidcSource, method: str, url: str, headers: Mapping[str, str], form: Mapping[str, str] | None = None
) -> dict[str, Any]:
    check_place(source, url)
    timeout = aiohttp.ClientTimeout(total=source.timeout_s)
    trust = await trust_of(source.ca_file) if url.startswith("https:") else True
    connector = aiohttp.TCPConnector(ssl=trust, limit=1, force_close=True)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            ) as session,
            session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer,
        ):
            return _read(source, answer.status, await _body(source, answer))
    except aiohttp.ClientConnectorCertificateError as error:
        words = getattr(error.certificate_error, "verify_message", "") or "not trusted"
        what = f"its certificate is not trusted ({words})"
        raise ProviderAway(what, source.issuer, "ca_file names who vouches for it", "tls") from error
    except aiohttp.ClientConnectorDNSError as error:
        what = "its name has no address"
        raise ProviderAway(what, source.issuer, "is it spelled right, and does DNS answer?", "name") from error
    except aiohttp.ClientSSLError as error:
        raise ProviderAway("no TLS connection came about", source.issuer, "is this its port?", "tls") from error
    except TimeoutError as error:
        raise ProviderAway("it does not answer in time", source.issuer, "can it be reached from here?") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        what = f"it cannot be asked ({type(error).__name__})"
        raise ProviderAway(what, source.issuer, "can it be reached from here?") from error


async def _body(source: OidcSource, answer: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for piece in answer.content.iter_chunked(16_384):
        data += piece
        if len(data) > _LIMIT:
            raise _bad("its answer is too long", source)
    return bytes(data)


def _read(source: OidcSource, status: int, body: bytes) -> dict[str, Any]:
    if 300 <= status < 400:
        what = f"it sends us elsewhere (HTTP {status}), and that is not followed"
        raise ProviderAway(what, source.issuer, "name the address that answers")
    try:
        found = json.loads(body)
    except _DEPTH_ERRORS:
        found = None
    if status in (400, 401, 403) and isinstance(found, dict) and isinstance(found.get("error"), str):
        code = found["error"][:60]
        raise Refused(code if code.replace("_", "").isalnum() else "", source.issuer)
    if status != 200:
        raise _bad(f"it answers with HTTP {status}", source)
    if not isinstance(found, dict):
        raise _bad("its answer is no JSON object", source)
    return found
