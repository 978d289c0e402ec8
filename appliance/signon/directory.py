"""Signing in with a directory: find the entry, find its groups, then be it with the password that was typed.

The last step is always a bind as the very entry whose groups were read: who knows another entry's password gets
nothing of this one's. An account that is shut off, expired or locked is nobody.
"""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from vittne.appliance.signon.identity import Away, Identity, NotLetIn, NotRight, printable
from vittne.appliance.signon.ldapwire import Connection, Entry, ServerAway
from vittne.appliance.signon.names import id_text, in_dn, in_filter
from vittne.appliance.signon.secret import secret_for
from vittne.appliance.signon.settings import LdapSource

log = structlog.get_logger()

T = TypeVar("T")
IN_CHAIN: Final = "1.2.840.113556.1.4.1941"  # LDAP_MATCHING_RULE_IN_CHAIN: members of members too
_GROUPS: Final = 2000
_LONGEST_ID: Final = 150
_SHUT_OFF: Final = 0x2  # ADS_UF_ACCOUNTDISABLE of userAccountControl
_NEVER: Final = {0, 0x7FFF_FFFF_FFFF_FFFF}  # accountExpires
_FILETIME_S: Final = 11_644_473_600  # from 1601 to 1970
_AGAIN_S: Final = 60.0
_STATE: Final = ["userAccountControl", "accountExpires", "nsAccountLock", "pwdAccountLockedTime"]


class Directory:
    """A directory with its servers. Raises Away, NotRight, NotLetIn."""

    def __init__(self, source: LdapSource, in_chain: str = IN_CHAIN) -> None:
        """in_chain: the matching rule that finds groups in groups."""
        self.source = source
        self._in_chain = in_chain
        self._away: dict[str, float] = {}  # server -> when it was, monotonic s

    async def sign_in(self, login: str, password: str, subject: str = "") -> Identity:
        """Return who has this name and this password. subject: of who is logged in, and shows it once more."""
        if not login.strip() or not password or "\0" in login + password:
            raise NotRight("name or password is not right", self.source.name, "nothing was asked")

        async def work(connection: Connection) -> Identity:
            if self.source.user_dn:
                await connection.bind(self.source.user_dn.replace("{login}", in_dn(login)), password)
            is_known = bool(subject and self.source.bind_dn)
            found = await self._entry(connection, self._by_id(subject) if is_known else self._by_login(login))
            if found is None:  # and it takes as long as a wrong password
                await self._groups(connection, Entry(f"cn=nobody,{self.source.base}", {}), login)
                await connection.bind(f"cn={secrets.token_hex(8)},{self.source.base}", password)
                raise NotRight("name or password is not right", self.source.name, "no entry has this name")
            identity = await self._identity(connection, found, login)
            await connection.bind(found.dn, password)
            _check_state(found, self.source)
            return identity

        return await self._ask(work)

    async def look_up(self, subject: str) -> Identity | None:
        """Return somebody who is logged in as they are now; None when they are gone, or shut off.

        Only with a service account: Away without one.
        """
        self._need_account()

        async def work(connection: Connection) -> Identity | None:
            found = await self._entry(connection, self._by_id(subject))
            if found is None:
                return None
            try:
                _check_state(found, self.source)
            except NotLetIn:
                return None
            return await self._identity(connection, found, found.text(self.source.attributes["login"]))

        return await self._ask(work)

    async def named(self, login: str) -> Identity | None:
        """Return who has a login name, without their password: for trying settings."""
        self._need_account()

        async def work(connection: Connection) -> Identity | None:
            found = await self._entry(connection, self._by_login(login))
            return None if found is None else await self._identity(connection, found, login)

        return await self._ask(work)

    async def has_group(self, connection: Connection, group: str) -> bool:
        """Say whether there is an entry of this name."""
        try:
            return bool(await connection.search(group, "(objectClass=*)", ["1.1"], 1))
        except ServerAway as error:
            if "no such place" in error.what:
                return False
            raise

    async def connected(self, server: str) -> Connection:
        """Return a connection to one server, bound as the service account where there is one."""
        connection = Connection(self.source, server)
        try:
            await connection.open()
            if self.source.bind_dn:
                await self._bind_account(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _need_account(self) -> None:
        if not self.source.bind_dn:
            raise Away("nobody may look people up there", self.source.name, "bind_dn names an account that may")

    async def _bind_account(self, connection: Connection) -> None:
        option = "bind_password_file"
        password = secret_for(self.source.credential, self.source.bind_password_file, option)
        try:
            await connection.bind(self.source.bind_dn, password)
        except NotRight as error:
            what = "the directory refuses the service account"
            raise Away(what, self.source.bind_dn, f"mend bind_dn or its password ({error.next_step})") from None

    async def _ask(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Have something done by the first server that answers; one that was away lately comes last."""
        now_s = time.monotonic()
        order = sorted(self.source.servers, key=lambda one: now_s - self._away.get(one, -_AGAIN_S) < _AGAIN_S)
        last: ServerAway | None = None
        for server in order:
            try:
                connection = await self.connected(server)
                try:
                    done = await work(connection)
                finally:
                    connection.close()
                self._away.pop(server, None)
                return done
            except ServerAway as error:
                self._away[server] = now_s
                log.warning("a directory's server could not be asked", server=server, reason=str(error))
                last = error
        assert last is not None
        raise last

    def _by_id(self, subject: str) -> str:
        name = self.source.attributes["id"]
        return f"({name}={_id_in_filter(name, subject)})"

    def _by_login(self, login: str) -> str:
        return self.source.user_filter.replace("{login}", in_filter(login.strip()))

    async def _entry(self, connection: Connection, found_by: str) -> Entry | None:
        names = [*self.source.attributes.values(), self.source.group_attribute, "cn", *_STATE]
        found = await connection.search(self.source.base, found_by, list(dict.fromkeys(names)), 1)
        if len(found) > 1:
            what = "more than one entry has this name"
            raise NotRight(what, self.source.name, "filter and base must find one")
        return found[0] if found else None

    async def _identity(self, connection: Connection, entry: Entry, login: str) -> Identity:
        names = self.source.attributes
        ids = entry.values.get(names["id"].casefold(), [])
        if len(ids) != 1 or not 0 < len(ids[0]) <= _LONGEST_ID:
            what = f"an entry has no {names['id']}, which would name it for good"
            raise Away(what, self.source.name, "set id_attribute, or let the service account read it")
        return Identity(
            origin=self.source.name,
            subject=id_text(names["id"], ids[0]),
            login=printable(entry.text(names["login"])) or login.strip(),
            full_name=printable(entry.text(names["full_name"]) or entry.text("cn")),
            groups=frozenset(await self._groups(connection, entry, login)),
        )

    async def _groups(self, connection: Connection, entry: Entry, login: str) -> list[str]:
        wanted = self.source.group_filter
        if not wanted and self.source.nested:
            wanted = f"(member:{self._in_chain}:={{dn}})"
        if not wanted:
            return entry.texts(self.source.group_attribute)
        values = {"{dn}": in_filter(entry.dn), "{login}": in_filter(login.strip())}
        filled = re.sub(r"\{(dn|login)\}", lambda one: values[one[0]], wanted)
        found = await connection.search(self.source.group_base or self.source.base, filled, ["1.1"], _GROUPS)
        return [one.dn for one in found]


def _check_state(entry: Entry, source: LdapSource) -> None:
    """Raise NotLetIn for an account that is shut off, expired or locked for good."""
    flags, expires = (entry.text(name) for name in ("userAccountControl", "accountExpires"))
    words = ""
    if flags and int(flags if flags.lstrip("-").isdecimal() else _SHUT_OFF) & _SHUT_OFF:
        words = "your account there is shut off"
    elif expires and expires.isdecimal() and int(expires) not in _NEVER:
        words = "your account there has expired" if int(expires) / 1e7 - _FILETIME_S <= time.time() else ""
    elif entry.text("nsAccountLock").casefold() == "true" or entry.text("pwdAccountLockedTime").startswith("0000"):
        words = "your account there is locked"
    if words:
        raise NotLetIn(words, source.words, "ask who runs the directory")


def _id_in_filter(name: str, subject: str) -> str:
    if name.casefold() == "objectguid":
        try:
            return "".join(f"\\{byte:02x}" for byte in uuid.UUID(subject).bytes_le)
        except ValueError:
            pass
    return in_filter(subject)
