"""Operations on users and roles, done by the one writer; every change is in the trail, and its hash in the ledger.

A password or a code never comes here: only what is kept of it does.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from vittne.appliance.access.profile import BUILT_IN, Profile
from vittne.appliance.access.scopes import USERS
from vittne.appliance.access.users import LOCAL, NoSuchUser, User, UserTable, others_who_may
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

_NAME: Final = r"^[^\s/\\\x00-\x1f\x7f]{1,100}$"
_HASH: Final = r"^[0-9a-f]{64}$"
_LONGEST_US: Final = 30 * 24 * 3600 * 1_000_000
_NAMES: Final = Field(default=(), strict=False, max_length=256)


class CannotChange(StoreError):
    """An order about users that is not done, and why."""


class CodeUsed(CannotChange):
    """An invitation that was used, replaced or taken back meanwhile."""


class AddUser(Order):
    """A new user. origin other than local: who lets them in, and subject, by which name there."""

    name: str = Field(pattern=_NAME)
    full_name: str = Field(default="", max_length=200)
    roles: tuple[str, ...] = _NAMES
    own: tuple[str, ...] = _NAMES
    sites: tuple[str, ...] = _NAMES
    language: str = Field(default="", max_length=35)
    origin: str = Field(default=LOCAL, max_length=40)
    subject: str = Field(default="", max_length=300)


class ChangeUser(Order):
    """What is given changes. is_disabled: shut out, and logged out everywhere."""

    user: str
    full_name: str | None = Field(default=None, max_length=200)
    roles: tuple[str, ...] | None = Field(default=None, strict=False, max_length=256)
    own: tuple[str, ...] | None = Field(default=None, strict=False, max_length=256)
    sites: tuple[str, ...] | None = Field(default=None, strict=False, max_length=256)
    language: str | None = Field(default=None, max_length=35)
    is_disabled: bool | None = None


class RemoveUser(Order):
    """Forget a user; what the trail says of them stays."""

    user: str


class Invite(Order):
    """Keep a code with which a user sets a password. code_sha256: hex."""

    user: str
    code_sha256: str = Field(pattern=_HASH)
    expires_us: int


class SetPassword(Order):
    """What is kept of a user's new password; everywhere else they are logged out.

    code_sha256: of the invitation that it is set with, which must still be good; "": the user showed the old password.
    """

    user: str
    password: str = Field(pattern=r"^\$argon2id\$", max_length=300)
    code_sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")


class PutRole(Order):
    """A role of one's own, new or changed."""

    role: dict[str, Any]


class RemoveRole(Order):
    """Forget a role of one's own."""

    name: str


class NoteLogin(Order):
    """Somebody logged in or out, or was refused. user: the name that was given, if there is such a user.

    count: how many that were refused one row stands for, from so many sources, since when.
    """

    user: str
    kind: str = Field(pattern="^(in|out|refused)$")
    source: str = Field(default="", max_length=64)
    factors: tuple[str, ...] = Field(default=(), strict=False, max_length=8)
    count: int = Field(default=1, ge=1)
    sources: int = Field(default=1, ge=1)
    since_us: int | None = None


class NoteToken(Order):
    """A token of the API is about to be made, or revoked. maker: whose rights it has; "": a service's."""

    change: str = Field(pattern="^(add|revoke)$")
    name: str = Field(max_length=100)
    token: str = Field(default="", max_length=40)
    scopes: tuple[str, ...] = _NAMES
    networks: tuple[str, ...] = _NAMES
    maker: str = Field(default="", max_length=40)


def _add(registrar: Registrar, order: AddUser, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    if table.named(order.name) is not None:
        raise CannotChange("there is such a user", order.name, "nothing was done")
    if order.subject and table.known(order.origin, order.subject) is not None:
        raise CannotChange("somebody is known by this subject", order.name, "nothing was done")
    _check_roles(table, order.roles)
    user = User(
        id=secrets.token_hex(8),
        name=order.name,
        full_name=order.full_name,
        roles=order.roles,
        own=order.own,
        sites=order.sites,
        language=order.language,
        origin=order.origin,
        subject=order.subject,
        password="",
        password_us=None,
        created_us=now_us(),
    )
    yield Progress(0, 1)
    registrar.audit.note(events.USER_CHANGED, caller, change="add", user=user.id, after=_told(user))
    table.put(user)
    return user.as_json()


def _change(registrar: Registrar, order: ChangeUser, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    before = _known(table, order.user)
    given = order.model_dump(exclude={"user", "is_disabled"}, exclude_none=True)
    disabled_us = before.disabled_us
    if order.is_disabled is not None:
        disabled_us = (before.disabled_us or now_us()) if order.is_disabled else None
    after = replace(before, **given, disabled_us=disabled_us)
    _check_roles(table, after.roles)
    _keep_somebody(table, before, after)
    yield Progress(0, 1)
    changed = {name: value for name, value in _told(after).items() if _told(before)[name] != value}
    if changed:
        was = {name: _told(before)[name] for name in changed}
        registrar.audit.note(events.USER_CHANGED, caller, change="change", user=after.id, before=was, after=changed)
        table.put(after)
    if after.disabled_us is not None:
        table.end_sessions(after.id)
    return after.as_json()


def _remove(registrar: Registrar, order: RemoveUser, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    user = _known(table, order.user)
    _keep_somebody(table, user, replace(user, disabled_us=1))
    yield Progress(0, 1)
    registrar.audit.note(events.USER_CHANGED, caller, change="remove", user=user.id, before=_told(user))
    table.remove(user.id)
    return {"removed": user.id}


def _invite(registrar: Registrar, order: Invite, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    user = _known(table, order.user)
    if user.origin != LOCAL:
        raise CannotChange("somebody else lets this user in", user.origin, "the password is set there")
    if not now_us() < order.expires_us <= now_us() + _LONGEST_US:
        raise CannotChange("a code is good for at most 30 days", user.name, "nothing was done")
    yield Progress(0, 1)
    registrar.audit.note(events.USER_CHANGED, caller, change="invite", user=user.id, until=rfc3339(order.expires_us))
    table.invite(order.code_sha256, user.id, order.expires_us)
    return {"user": user.id}


def _set_password(registrar: Registrar, order: SetPassword, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    yield Progress(0, 1)
    user = _known(table, order.user)
    if order.code_sha256:  # asked once more: two may have come with it, or it was taken back while this one was hashed
        invited = table.invited(order.code_sha256, now_us())
        if invited is None or invited.id != user.id or user.disabled_us is not None:
            raise CodeUsed("the code is not good any more", user.name, "ask for a new one")
    registrar.audit.note(events.USER_CHANGED, caller, change="password", user=user.id)
    table.put(replace(user, password=order.password, password_us=now_us()))
    table.uninvite(user.id)
    table.end_sessions(user.id)
    return {"user": user.id}


def _put_role(registrar: Registrar, order: PutRole, caller: Caller) -> Steps:
    try:
        role = Profile.model_validate(order.role)
    except ValueError as error:
        raise CannotChange("this is no role", str(error)[:300], "nothing was done") from None
    if role.name in BUILT_IN:
        raise CannotChange("this role is built in", role.name, "give yours another name")
    table = UserTable(registrar.catalogue)
    before = table.roles().get(role.name)
    if before is not None and USERS in before.scopes - role.scopes:
        _keep_somebody_with(table, {**table.roles(), role.name: role})
    yield Progress(0, 1)
    body = {**role.model_dump(mode="json"), "may": sorted(role.may)}
    registrar.audit.note(events.ROLE_CHANGED, caller, role=role.name, after=body)
    table.put_role(role, now_us())
    return body


def _remove_role(registrar: Registrar, order: RemoveRole, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    if order.name in BUILT_IN or order.name not in table.roles():
        raise NoSuchUser("no role of yours has this name", order.name, "nothing was done")
    holding = [user.name for user in table.all() if order.name in user.roles]
    if holding:
        raise CannotChange("users have this role", ", ".join(holding[:5]), "give them another one first")
    yield Progress(0, 1)
    registrar.audit.note(events.ROLE_CHANGED, caller, role=order.name, after=None)
    table.remove_role(order.name)
    return {"removed": order.name}


def _note_login(registrar: Registrar, order: NoteLogin, caller: Caller) -> Steps:
    user = UserTable(registrar.catalogue).named(order.user)
    yield Progress(0, 1)
    details: dict[str, Any] = {"login": order.kind, "source": order.source, "factors": list(order.factors)}
    if order.since_us is not None:
        details |= {"count": order.count, "sources": order.sources, "since": rfc3339(order.since_us)}
    # A name that nobody has may be a password typed in the wrong field.
    registrar.audit.note(events.LOGIN, caller, user=user.id if user is not None else "", **details)
    return {}


def _note_token(registrar: Registrar, order: NoteToken, caller: Caller) -> Steps:
    yield Progress(0, 1)
    registrar.audit.note(events.TOKEN_CHANGED, caller, **order.model_dump(mode="json", exclude_defaults=True))
    return {}


def _known(table: UserTable, name: str) -> User:
    found = table.get(name) or table.named(name)
    if found is None:
        raise NoSuchUser("there is no such user", name[:100], "`vittne user list` shows them")
    return found


def _check_roles(table: UserTable, names: tuple[str, ...]) -> None:
    known = table.roles()
    for name in names:
        if name not in known:
            raise NoSuchUser("there is no such role", name[:60], f"there are {', '.join(sorted(known))}")


def _keep_somebody(table: UserTable, before: User, after: User) -> None:
    """Raise CannotChange when nobody would be left who may change users."""
    known = table.roles()
    was, stays = (others_who_may(USERS, "", [one], known) for one in (before, after))
    if was and not stays and not others_who_may(USERS, before.id, table.all(), known):
        raise CannotChange("nobody else may change users", before.name, "let somebody else do so first")


def _keep_somebody_with(table: UserTable, known: dict[str, Profile]) -> None:
    if not others_who_may(USERS, "", table.all(), known):
        raise CannotChange("nobody would be left who may change users", "", "let somebody do so first")


def _told(user: User) -> dict[str, Any]:
    """Return what the trail says of a user."""
    names = ("name", "full_name", "roles", "own", "sites", "language", "origin", "disabled_at")
    shown = user.as_json()
    return {name: shown[name] for name in names}


ADD_USER: Final = Operation("user.add", "adding a user", AddUser, _add, is_brief=True)
CHANGE_USER: Final = Operation("user.change", "changing a user", ChangeUser, _change, is_brief=True)
REMOVE_USER: Final = Operation("user.remove", "removing a user", RemoveUser, _remove, is_brief=True)
INVITE: Final = Operation("user.invite", "inviting a user", Invite, _invite, is_brief=True)
SET_PASSWORD: Final = Operation("user.password", "setting a password", SetPassword, _set_password, is_brief=True)
PUT_ROLE: Final = Operation("role.put", "changing a role", PutRole, _put_role, is_brief=True)
REMOVE_ROLE: Final = Operation("role.remove", "removing a role", RemoveRole, _remove_role, is_brief=True)
NOTE_TOKEN: Final = Operation("token.note", "noting a token", NoteToken, _note_token, is_brief=True, is_note=True)
NOTE_LOGIN: Final = Operation("user.login", "noting a login", NoteLogin, _note_login, is_brief=True, is_note=True)

ACCESS_OPERATIONS: Final[tuple[Operation[Any], ...]] = (
    ADD_USER,
    CHANGE_USER,
    REMOVE_USER,
    INVITE,
    SET_PASSWORD,
    PUT_ROLE,
    REMOVE_ROLE,
    NOTE_TOKEN,
    NOTE_LOGIN,
)
