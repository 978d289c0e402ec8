"""Who a source says somebody is, and what that gives here. A user is named by source and subject, by nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vittne.appliance.signon.names import folded_dn
from vittne.appliance.signon.settings import LdapSource, Source
from vittne.appliance.store.errors import StoreError

_NOT_IN_NAMES: Final = re.compile(r"[\s/\\\x00-\x1f\x7f]+")
_LONGEST_LOGIN: Final = 60
_LONGEST_NAME: Final = 200


class Away(StoreError):
    """A source that could not be asked: its name, its certificate, our account there, its settings here."""


class NotRight(StoreError):
    """A source does not say that it is them: a wrong password, or an answer that proves nothing."""


class NotLetIn(StoreError):
    """A source says who it is, and that is nobody for here."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody as a source knows them. subject: what names them there for good. groups: as the source writes them.

    has_second: the source saw a second factor, and its word counts here. auth_us: when they showed it who they are,
    us UTC; None where it does not say. sid: of their session there, "" without one.
    """

    origin: str
    subject: str
    login: str
    full_name: str
    groups: frozenset[str]
    has_second: bool = False
    auth_us: int | None = None
    sid: str = ""


def printable(text: str) -> str:
    """Return what a source calls somebody, so that it can be shown: without marks that turn or hide letters.

    >>> printable("Anna \\u202eGreb")
    'Anna Greb'
    """
    return "".join(one for one in text if one.isprintable())[:_LONGEST_NAME]


def roles_of(source: Source, groups: frozenset[str]) -> tuple[str, ...]:
    """Return the roles that somebody's groups give, each once."""
    fold = folded_dn if isinstance(source, LdapSource) else str
    held = {fold(one) for one in groups}
    found = [role for group, roles in source.roles.items() if fold(group) in held for role in roles]
    return tuple(dict.fromkeys(found))


def name_of(identity: Identity) -> str:
    """Return what a user is called here: by the login there, with the source behind it.

    >>> name_of(Identity("ad", "1", "EXAMPLE\\\\anna berg", "", frozenset()))
    'EXAMPLE-anna-berg@ad'
    """
    login = (
        _NOT_IN_NAMES.sub("-", printable(identity.login.strip()))[:_LONGEST_LOGIN] or identity.subject[:_LONGEST_LOGIN]
    )
    return f"{_NOT_IN_NAMES.sub('-', login)}@{identity.origin}"


def check_let_in(source: Source, identity: Identity) -> tuple[str, ...] | None:
    """Return the roles that a source's word gives; None where they are given here. Raises NotLetIn."""
    if not identity.subject:
        raise NotLetIn("the source does not say who this is", source.name, "ask who runs it")
    if source.only_users and identity.login.casefold() not in {one.casefold() for one in source.only_users}:
        raise NotLetIn("you are not among those who may log in here", source.words, "ask who runs the recorder")
    if source.let_in == "invited":
        return None
    roles = roles_of(source, identity.groups)
    if not roles:
        raise NotLetIn("none of your groups gives a role here", source.words, "ask who runs the recorder")
    return roles


def unknown_roles(source: Source, known: Mapping[str, object]) -> Sequence[str]:
    """Return roles that a source's settings name and that do not exist."""
    return sorted({role for roles in source.roles.values() for role in roles if role not in known})
