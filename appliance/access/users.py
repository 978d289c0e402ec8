"""Users and roles as the catalogue keeps them. Times are microseconds UTC."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import BUILT_IN, Profile
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import factors, invitations, roles, saved_searches, sessions, users
from vittne.appliance.store.times import rfc3339

LOCAL: Final = "local"


class NoSuchUser(StoreError):
    """No user, or no role, has this name."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in. password: what is kept of it; "" when there is none (yet, or elsewhere)."""

    id: str
    name: str
    full_name: str
    roles: tuple[str, ...]
    own: tuple[str, ...]
    sites: tuple[str, ...]
    language: str
    origin: str
    subject: str
    password: str
    password_us: int | None
    created_us: int
    disabled_us: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the user for people and programs, without the password."""
        return {
            "id": self.id,
            "name": self.name,
            "full_name": self.full_name,
            "roles": list(self.roles),
            "own": list(self.own),
            "sites": list(self.sites),
            "language": self.language,
            "origin": self.origin,
            "has_password": bool(self.password),
            "created_at": rfc3339(self.created_us),
            "disabled_at": rfc3339(self.disabled_us) if self.disabled_us is not None else None,
        }


_USER: Final = User.__slots__
_LISTS: Final = ("roles", "own", "sites")


class UserTable:
    """Users, roles and invitations. Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def all(self) -> list[User]:
        """Return everybody, by name."""
        with self._catalogue.reading() as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.name))]

    def named(self, name: str) -> User | None:
        """Return a user by the name to log in with, whatever its case."""
        wanted = folded(name)  # not in SQL: the database's lower() knows no letters but A to Z
        return next((user for user in self.all() if folded(user.name) == wanted), None)

    def get(self, user_id: str) -> User | None:
        """Return a user by id."""
        return self._one(users.c.id == user_id)

    def known(self, origin: str, subject: str) -> User | None:
        """Return a user whom somebody else lets in, by the name that one knows."""
        return self._one((users.c.origin == origin) & (users.c.subject == subject))

    def _one(self, which: Any) -> User | None:
        with self._catalogue.reading() as connection:
            row = connection.execute(select(users).where(which)).first()
            return None if row is None else _user(row)

    def put(self, user: User) -> None:
        """Write a user, new or changed."""
        values = {name: list(getattr(user, name)) if name in _LISTS else getattr(user, name) for name in _USER}
        with self._catalogue.writing(lasting=True) as connection:
            if connection.execute(update(users).where(users.c.id == user.id).values(values)).rowcount == 0:
                connection.execute(insert(users).values(values))

    def remove(self, user_id: str) -> None:
        """Forget a user with everything that lets them in."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(users).where(users.c.id == user_id))
            for table in (sessions, factors, invitations):
                connection.execute(delete(table).where(table.c.user == user_id))
            connection.execute(delete(saved_searches).where(saved_searches.c.owner == user_id))

    def end_sessions(self, user_id: str) -> None:
        """Log a user out everywhere."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(sessions).where(sessions.c.user == user_id))

    def invite(self, code_sha256: str, user_id: str, expires_us: int) -> None:
        """Keep a code with which a user sets a password; the codes before are no good any more."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(invitations).where(invitations.c.user == user_id))
            values = {"code_sha256": code_sha256, "user": user_id, "expires_us": expires_us}
            connection.execute(insert(invitations).values(values))

    def invited(self, code_sha256: str, now_us: int) -> User | None:
        """Return whom a code invites; None when it is not known, used, or too old."""
        query = select(invitations.c.user).where(
            invitations.c.code_sha256 == code_sha256, invitations.c.expires_us > now_us
        )
        with self._catalogue.reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else self.get(row.user)

    def uninvite(self, user_id: str) -> None:
        """Forget a user's codes."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(invitations).where(invitations.c.user == user_id))

    def roles(self) -> dict[str, Profile]:
        """Return all roles by name: those that are built in, and one's own."""
        with self._catalogue.reading() as connection:
            own = [Profile.model_validate(row.body) for row in connection.execute(select(roles.c.body))]
        return {**BUILT_IN, **{role.name: role for role in own}}

    def put_role(self, role: Profile, now_us: int) -> None:
        """Write a role of one's own, new or changed."""
        body = role.model_dump(mode="json")
        body["may"] = sorted(role.may)
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(roles).where(roles.c.name == role.name))
            connection.execute(insert(roles).values(name=role.name, body=body, changed_us=now_us))

    def remove_role(self, name: str) -> None:
        """Forget a role of one's own."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(delete(roles).where(roles.c.name == name))


def folded(name: str) -> str:
    """Return a name as it is compared: composed, without its case, and no longer than names are.

    >>> folded(" ÅSA") == folded("a\u030asa")
    True
    """
    return unicodedata.normalize("NFC", name.strip()[:200]).casefold()


def may_be_one_person(one: User, other: User) -> bool:
    """Say whether two users could be one person who is known in two places: by login there, or by the full name.

    Where two persons are needed, a namesake more to ask is better than somebody who approves what they asked for.
    """
    if one.id == other.id:
        return True
    logins, names = (
        {folded(user.name.removesuffix(f"@{user.origin}")) for user in (one, other)},
        {folded(user.full_name) for user in (one, other)},
    )
    return one.origin != other.origin and (len(logins) == 1 or (names - {""} == names and len(names) == 1))


def principal(user: User, known: Mapping[str, Profile]) -> Principal:
    """Return a user as who asks. A role that is gone gives nothing."""
    held = tuple(known[name] for name in user.roles if name in known)
    return Principal("user", user.id, user.name, held, user.own, user.sites)


def may(user: User, scope: str, known: Mapping[str, Profile]) -> bool:
    """Say whether a user who is not shut out may do something."""
    return user.disabled_us is None and principal(user, known).may(scope)


def others_who_may(scope: str, but: str, everybody: Iterable[User], known: Mapping[str, Profile]) -> bool:
    """Say whether somebody else may do something, and can log in to do it."""
    return any(
        user.id != but and may(user, scope, known) and (user.password or user.origin != LOCAL) for user in everybody
    )


def _user(row: Row[Any]) -> User:
    values = {name: row._mapping[name] for name in _USER}
    return User(**{**values, **{name: tuple(values[name]) for name in _LISTS}})
