"""Asking an authority over HTTP: RFC 3161 section 3.4. What comes back is bytes that nobody has looked at."""

from __future__ import annotations

import ssl
from typing import Final

import aiohttp

from vittne.appliance.stamps.settings import AuthoritySettings
from vittne.appliance.stamps.token import ANSWER_LIMIT
from vittne.appliance.store.errors import StoreError
from vittne.appliance.triggers.settings import read_secret

_HEADERS: Final = {
    "Content-Type": "application/timestamp-query",
    "Accept": "application/timestamp-reply",
    "Accept-Encoding": "identity",  # a small answer must not become a large one
    "User-Agent": "vittne",
}


class Unanswered(StoreError):
    """An authority could not be asked, or did not answer as it should."""


async def ask(authority: AuthoritySettings, request: bytes) -> bytes:
    """Return what an authority answers to a TimeStampReq. Raises Unanswered, StoreError (secrets, certificates)."""
    assert authority.url is not None
    timeout = aiohttp.ClientTimeout(total=authority.timeout_s)
    headers = dict(_HEADERS)
    if authority.username is not None and authority.password_file is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(authority.username, read_secret(authority.password_file))
    connector = aiohttp.TCPConnector(ssl=_tls(authority), limit=1, force_close=True)
    try:
        async with aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        ) as session:
            return await _post(session, authority, request)
    except TimeoutError as error:
        raise Unanswered("it does not answer in time", authority.name, f"{authority.timeout_s} s were given") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        what = f"it cannot be asked ({_words(error)})"
        raise Unanswered(what, authority.name, f"see whether {authority.url} can be reached from here") from error


async def _post(session: aiohttp.ClientSession, authority: AuthoritySettings, request: bytes) -> bytes:
    assert authority.url is not None
    async with session.post(authority.url, data=request, allow_redirects=False) as answer:
        if 300 <= answer.status < 400:
            there = _printable(answer.headers.get("Location", "nowhere"))
            raise Unanswered(f"it sends us elsewhere ({there})", authority.name, "redirects are not followed: set url")
        if answer.status != 200:
            reason = f"HTTP {answer.status} {_printable(answer.reason or '')}".strip()
            raise Unanswered(f"it does not answer the question ({reason})", authority.name, "ask who runs it")
        data = bytearray()
        async for piece in answer.content.iter_chunked(16_384):
            data += piece
            if len(data) > ANSWER_LIMIT:
                what = f"its answer is longer than {ANSWER_LIMIT} bytes"
                raise Unanswered(what, authority.name, "see whether this address is that of an authority")
        return bytes(data)


def _tls(authority: AuthoritySettings) -> ssl.SSLContext | bool:
    if authority.url is None or not authority.url.startswith("https://"):
        return True
    try:
        context = ssl.create_default_context(cafile=authority.tls_ca_file)
        if authority.client_certificate is not None:
            context.load_cert_chain(authority.client_certificate, authority.client_key, password=_no_passphrase)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = authority.client_certificate or authority.tls_ca_file or authority.name
        what = f"the certificates to ask {authority.name} with cannot be read ({_words(error)})"
        raise StoreError(what, files, "PEM files are expected, the key without a passphrase") from error
    return context


def _no_passphrase() -> str:
    # Else openssl would ask for it at the terminal, and everything would wait.
    raise ValueError("the key has a passphrase")


def _words(error: Exception) -> str:
    return _printable(str(error) or type(error).__name__)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in text[:200])
