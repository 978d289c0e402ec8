"""Sessions of people who logged in: a cookie that the browser gives to nobody else, and a row that can be taken away.

    __Host-vittne = 256 random bits in base64url; kept is its SHA-256

What a page sends with each change (`csrf`) is made of the secret too, so that another site, which makes a browser
send the cookie, cannot know it. The row is read anew for each request: who is logged out is out at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web
from sqlalchemy import Row, delete, insert, select, update

from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import sessions
from vittne.appliance.store.times import rfc3339

log = structlog.get_logger()

COOKIE: Final = "__Host-vittne"
CSRF_HEADER: Final = "X-CSRF-Token"
_SECRET_BYTES: Final = 32
_SEEN_EVERY_US: Final = 60 * 1_000_000
_AGENT_LIMIT: Final = 200


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who logged in. factors: with what: password, totp, passkey, recovery, oidc, ldap, source-second. Times
    us UTC.

    proved_us: when they last showed to be who they say; None: nobody knows. checked_us: when the source that knows
    them last said that they may; foreign_sid: of their session there. Both None for who is known here.
    """

    id: str
    user: str
    created_us: int
    seen_us: int
    expires_us: int
    factors: tuple[str, ...]
    source: str
    agent: str
    proved_us: int | None = None
    checked_us: int | None = None
    foreign_sid: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for the user whose it is."""
        return {
            "id": self.id,
            "created_at": rfc3339(self.created_us),
            "seen_at": rfc3339(self.seen_us),
            "expires_at": rfc3339(self.expires_us),
            "factors": list(self.factors),
            "source": self.source,
            "agent": self.agent,
        }


@dataclass(frozen=True, slots=True)
class Foreign:
    """What the source that knows a user says of this session; see Session."""

    checked_us: int
    proved_us: int | None
    sid: str


def carried(held: Session, now_us: int) -> Foreign | None:
    """Return what goes on with another session of the same login, in which a factor of ours was just shown."""
    return None if held.checked_us is None else Foreign(held.checked_us, now_us, held.foreign_sid or "")


class Sessions:
    """The table of sessions. idle_us: a session that is not used for so long is over. Raises StoreError."""

    def __init__(self, database: ApiDatabase, idle_us: int, longest_us: int) -> None:
        self._database = database
        self._idle_us = idle_us
        self._longest_us = longest_us
        self._noted: dict[str, int] = {}  # id to when that was tried last

    def use(self, idle_us: int, longest_us: int) -> None:
        """Go by other limits: idle for all sessions, longest for new ones."""
        self._idle_us = idle_us
        self._longest_us = longest_us

    def begin(
        self,
        user: str,
        factors: tuple[str, ...],
        source: str,
        agent: str,
        now_us: int,
        foreign: Foreign | None = None,
    ) -> tuple[Session, str]:
        """Log a user in; return the session and what the cookie holds, which nobody can say again."""
        secret = _text(secrets.token_bytes(_SECRET_BYTES))
        session = Session(
            secrets.token_hex(8),
            user,
            now_us,
            now_us,
            now_us + self._longest_us,
            factors,
            source,
            agent[:_AGENT_LIMIT],
            foreign.proved_us if foreign is not None else now_us,
            foreign.checked_us if foreign is not None else None,
            foreign.sid if foreign is not None else None,
        )
        values = {name: getattr(session, name) for name in Session.__slots__}
        values |= {"factors": list(factors), "secret_sha256": _hash(secret)}
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(self._is_over(now_us)))
            connection.execute(insert(sessions).values(values))
        return session, secret

    def find(self, secret: str, now_us: int) -> Session | None:
        """Return the session of a cookie; None when there is none, or it is over."""
        kept = _hash(secret)
        query = select(sessions).where(sessions.c.secret_sha256 == kept, ~self._is_over(now_us))
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return _session(row)

    def is_to_note(self, session: Session, now_us: int) -> bool:
        """Say whether to write that a session was used: once a minute, whether it succeeds or not."""
        if now_us - max(session.seen_us, self._noted.get(session.id, 0)) < _SEEN_EVERY_US:
            return False
        self._noted = {one: at for one, at in self._noted.items() if now_us - at < _SEEN_EVERY_US}
        self._noted[session.id] = now_us
        return True

    def note(self, session_id: str, now_us: int) -> None:
        """Write that a session was used. It waits for who else writes."""
        try:
            with self._database.writing() as connection:
                connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen_us=now_us))
        except StoreError as error:  # no reason to refuse whoever is logged in
            log.warning("the use of a session could not be noted", reason=str(error))

    def of(self, user: str, now_us: int) -> list[Session]:
        """Return a user's sessions, the newest first."""
        query = select(sessions).where(sessions.c.user == user, ~self._is_over(now_us))
        with self._database.reading() as connection:
            return [_session(row) for row in connection.execute(query.order_by(sessions.c.created_us.desc()))]

    def checked(self, now_us: int) -> dict[str, int]:
        """Return users whom a source knows and who are logged in, with when it was asked last of any session."""
        query = select(sessions.c.user, sessions.c.checked_us).where(
            sessions.c.checked_us.is_not(None), ~self._is_over(now_us)
        )
        found: dict[str, int] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query):
                found[row.user] = min(row.checked_us, found.get(row.user, row.checked_us))
        return found

    def note_checked(self, user: str, now_us: int) -> None:
        """Note that the source that knows a user said that they may still be logged in."""
        which = (sessions.c.user == user) & sessions.c.checked_us.is_not(None)
        with self._database.writing() as connection:
            connection.execute(update(sessions).where(which).values(checked_us=now_us))

    def end_foreign(self, user: str, sid: str) -> None:
        """Log a user out whose session at the source ended; sid: that one only, "" for all of them."""
        which = (sessions.c.user == user) & sessions.c.checked_us.is_not(None)
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(which & (sessions.c.foreign_sid == sid) if sid else which))

    def of_sid(self, sid: str) -> set[str]:
        """Return the users who have a session that goes with one at their source."""
        query = select(sessions.c.user).where(sessions.c.foreign_sid == sid)
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())

    def prove(self, session_id: str, now_us: int) -> None:
        """Note that somebody showed once more to be who they say."""
        with self._database.writing() as connection:
            connection.execute(update(sessions).where(sessions.c.id == session_id).values(proved_us=now_us))

    def end(self, user: str, session_id: str) -> bool:
        """Log one out; whether there was one."""
        with self._database.writing() as connection:
            which = (sessions.c.user == user) & (sessions.c.id == session_id)
            return bool(connection.execute(delete(sessions).where(which)).rowcount)

    def end_all(self, user: str, but: str = "") -> None:
        """Log a user out everywhere, or everywhere else."""
        with self._database.writing() as connection:
            connection.execute(delete(sessions).where(sessions.c.user == user, sessions.c.id != but))

    def _is_over(self, now_us: int) -> Any:
        return (sessions.c.expires_us <= now_us) | (sessions.c.seen_us <= now_us - self._idle_us)


def csrf_of(secret: str) -> str:
    """Return what a page of this session sends with each change."""
    return _text(hmac.digest(secret.encode(), b"vittne csrf", "sha256"))


def secret_of(request: web.Request) -> str:
    """Return what the cookie holds; "" without one."""
    return request.cookies.get(COOKIE, "")


def set_cookie(response: web.StreamResponse, secret: str) -> None:
    """Give the browser the cookie, for as long as it runs."""
    response.set_cookie(COOKIE, secret, path="/", secure=True, httponly=True, samesite="Strict")


def clear_cookie(response: web.StreamResponse) -> None:
    """Take the cookie back."""
    response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _session(row: Row[Any]) -> Session:
    values = {name: row._mapping[name] for name in Session.__slots__}
    return Session(**{**values, "factors": tuple(values["factors"])})
