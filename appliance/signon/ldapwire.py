"""A connection to a directory: RFC 4511 by sansldap, over sockets and TLS of asyncio, with a limit on everything.

Nothing of it waits in the event loop: each step has the source's time, and is cancelled after it. References to other
servers are not followed. The protocol is sansldap's alone to know: another library would change this file only.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from sansldap import (
    ExtendedOperations,
    LDAPClient,
    LDAPError,
    LDAPFilter,
    LDAPMessage,
    LDAPResult,
    LDAPResultCode,
    SearchResultDone,
    SearchResultEntry,
    SearchScope,
)

from vittne.appliance.signon.identity import Away, NotRight
from vittne.appliance.signon.settings import LdapSource
from vittne.appliance.signon.trust import trust_of

_READ: Final = 65_536
_MOST_BYTES: Final = 8 << 20  # of one answer
_WRONG: Final = {
    LDAPResultCode.INVALID_CREDENTIALS,
    LDAPResultCode.INAPPROPRIATE_AUTHENTICATION,
    LDAPResultCode.NO_SUCH_OBJECT,
    LDAPResultCode.INVALID_DN_SYNTAX,
}
_FEW: Final = {LDAPResultCode.SUCCESS, LDAPResultCode.SIZE_LIMIT_EXCEEDED}


class ServerAway(Away):
    """A server that could not be asked; another one might be. step: name, connect, tls, bind or search."""

    def __init__(self, what: str, where: str, next_step: str, step: str) -> None:
        super().__init__(what, where, next_step)
        self.step = step


@dataclass(frozen=True, slots=True)
class Entry:
    """What a search found. values: by the attribute's name in small letters, without options."""

    dn: str
    values: dict[str, list[bytes]]

    def text(self, name: str) -> str:
        """Return an attribute's first value as text; "" without one."""
        found = self.values.get(name.casefold())
        return found[0].decode("utf-8", "replace") if found else ""

    def texts(self, name: str) -> list[str]:
        """Return an attribute's values as text."""
        return [one.decode("utf-8", "replace") for one in self.values.get(name.casefold(), [])]


class Connection:
    """One server, connected and under TLS. Raises ServerAway."""

    def __init__(self, source: LdapSource, server: str) -> None:
        self.server = server
        self._source = source
        self._client = LDAPClient()
        self._reader: asyncio.StreamReader | None = None
        self._transport: asyncio.WriteTransport | None = None

    async def open(self) -> None:
        """Connect, and begin TLS."""
        parts = urlsplit(self.server)
        host, is_ldaps = parts.hostname or "", parts.scheme == "ldaps"
        tls = None if self._source.plain and not is_ldaps else await trust_of(self._source.ca_file)
        port = parts.port or (636 if is_ldaps else 389)
        try:
            async with asyncio.timeout(self._source.timeout_s):
                await self._connect(host, port, tls if is_ldaps else None)
                if tls is not None and not is_ldaps:
                    await self._start_tls(host, tls)
        except TimeoutError:
            raise self._away("it does not answer in time", "connect") from None
        except ssl.SSLCertVerificationError as error:
            words = f"its certificate is not trusted ({error.verify_message})"
            raise self._away(words, "tls", "ca_file names who vouches for it") from error
        except ssl.SSLError as error:
            raise self._away(f"no TLS connection came about ({error.reason or 'TLS'})", "tls") from error
        except socket.gaierror as error:
            raise self._away("its name has no address", "name", "is it spelled right, and does DNS answer?") from error
        except OSError as error:
            raise self._away(f"no connection came about ({error.strerror or error})", "connect") from error

    async def _connect(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_READ)
        self._transport, _ = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(reader), host, port, ssl=tls, happy_eyeballs_delay=0.25
        )
        self._reader = reader

    async def _start_tls(self, host: str, tls: ssl.SSLContext) -> None:
        """RFC 4511 section 4.14. What came before TLS is not read after it: the reader is another one."""
        assert self._transport is not None
        asked = self._client.extended_request(ExtendedOperations.LDAP_START_TLS.value)
        messages = await self._until(asked)
        if len(messages) != 1 or _code(messages[0]) != LDAPResultCode.SUCCESS:
            raise self._away("it does not do StartTLS", "tls", "use ldaps://, or give it a certificate")
        reader = asyncio.StreamReader(limit=_READ)
        protocol = asyncio.StreamReaderProtocol(reader)
        made = await asyncio.get_running_loop().start_tls(self._transport, protocol, tls, server_hostname=host)
        if made is None:
            raise self._away("no TLS connection came about", "tls")
        protocol.connection_made(made)
        self._transport, self._reader = made, reader

    async def bind(self, dn: str, password: str) -> None:
        """Show who asks. Raises NotRight; never without a password, which would be no one: RFC 4513 section 5.1.2."""
        if not dn or not password:
            raise NotRight("there is no password", self._source.name, "nothing was asked")
        result = await self._ask(self._client.bind_simple(dn, password), "bind")
        if result.result_code in _WRONG:
            raise NotRight("name or password is not right", self._source.name, _reason(result))
        if result.result_code != LDAPResultCode.SUCCESS:
            raise self._said(result, "bind")

    async def search(
        self,
        base: str,
        found_by: str,
        attributes: list[str],
        most: int,
        scope: SearchScope = SearchScope.SUBTREE,
    ) -> list[Entry]:
        """Return what a filter finds, one more than most at the most."""
        try:
            wanted = LDAPFilter.from_string(found_by)
        except (ValueError, LDAPError) as error:
            raise Away("this is no filter", found_by[:200], f"mend it: {str(error)[:100]}") from None
        asked = self._client.search_request(
            base,
            scope,
            size_limit=most + 1,
            time_limit=int(self._source.timeout_s),
            filter=wanted,
            attributes=attributes,
        )
        messages = await self._timed(asked, "search")
        done = next(one for one in messages if isinstance(one, SearchResultDone))
        if done.result.result_code == LDAPResultCode.NO_SUCH_OBJECT:
            raise self._away("there is no such place in the directory", "search", f"mend base: {base[:200]}")
        if done.result.result_code not in _FEW:
            raise self._said(done.result, "search")
        return [_entry(one) for one in messages if isinstance(one, SearchResultEntry)]

    def close(self) -> None:
        """Say goodbye, and hang up."""
        if self._transport is None or self._transport.is_closing():
            return
        with contextlib.suppress(LDAPError, OSError):
            self._client.unbind()
            self._transport.write(self._client.data_to_send())
        self._transport.close()

    async def _ask(self, asked: int, step: str) -> LDAPResult:
        return _result((await self._timed(asked, step))[-1])

    async def _timed(self, asked: int, step: str) -> list[LDAPMessage]:
        try:
            async with asyncio.timeout(self._source.timeout_s):
                return await self._until(asked)
        except TimeoutError:
            raise self._away("it does not answer in time", step) from None
        except OSError as error:  # ssl.SSLError too
            raise self._away(f"the connection broke ({error.strerror or 'TLS'})", step) from error

    async def _until(self, asked: int) -> list[LDAPMessage]:
        """Send what waits; return the messages up to the one that ends what was asked."""
        assert self._transport is not None
        assert self._reader is not None
        self._transport.write(self._client.data_to_send())
        found: list[LDAPMessage] = []
        size = 0
        while True:
            data = await self._reader.read(_READ)
            size += len(data)
            if not data or size > _MOST_BYTES:
                raise self._away("it hung up" if not data else "its answer is too long", "connect")
            try:
                found += self._client.receive(data)
            except (LDAPError, ValueError, NotImplementedError, RecursionError) as error:
                raise self._away("what it answers is no LDAP", "connect", "is this its port for LDAP?") from error
            if any(one.message_id == asked and hasattr(one, "result") for one in found):
                return found

    def _said(self, result: LDAPResult, step: str) -> ServerAway:
        if result.result_code == LDAPResultCode.REFERRAL:
            return self._away("it points to another server, and that is not followed", step, "name that one in servers")
        words = result.result_code.name.lower().replace("_", " ")
        return self._away(f"it refused: {words}", step, "see its log")

    def _away(
        self, what: str, step: str, next_step: str = "does it run, and can it be reached from here?"
    ) -> ServerAway:
        return ServerAway(what, self.server, next_step, step)


def _entry(message: SearchResultEntry) -> Entry:
    values: dict[str, list[bytes]] = {}
    for one in message.attributes:
        values.setdefault(one.name.partition(";")[0].casefold(), []).extend(one.values)
    return Entry(message.object_name, values)


def _code(message: LDAPMessage) -> LDAPResultCode:
    return _result(message).result_code


def _result(message: LDAPMessage) -> LDAPResult:
    found = getattr(message, "result", None)
    assert isinstance(found, LDAPResult)
    return found


def _reason(result: LDAPResult) -> str:
    """Return Active Directory's own code (data 52e, 533, 775 ...): for the log, it tells nothing of the password."""
    at = result.diagnostics_message.find(", data ")
    code = result.diagnostics_message[at + 7 : at + 11].strip(" ,") if at >= 0 else ""
    return f"Active Directory says {code}" if code.isalnum() else "see the directory's log"
