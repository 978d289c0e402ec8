"""Operations on users that a source knows, done by the one writer; every change is in the trail.

A user is who the source's subject names, whatever anybody is called. Roles that come from groups follow the source,
also those of the last one who may change users: at a terminal another one can be made.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from vittne.appliance.access.users import LOCAL, User, UserTable, folded
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.signon.identity import NotLetIn
from vittne.appliance.store.times import now_us

_ROLES: Final = Field(default=None, strict=False, max_length=256)


class LetIn(Order):
    """Somebody whom a source knows, and who may come in. roles: what their groups give; None: they are given here.

    name: what they are called here, if that is free.
    """

    origin: str = Field(min_length=1, max_length=40)
    subject: str = Field(min_length=1, max_length=300)
    name: str = Field(pattern=r"^[^\s/\\\x00-\x1f\x7f]{1,100}$")
    full_name: str = Field(default="", max_length=200)
    roles: tuple[str, ...] | None = _ROLES


class FollowSource(Order):
    """What a source says of a user who is logged in. is_gone: nothing good; they are logged out everywhere."""

    user: str
    roles: tuple[str, ...] | None = _ROLES
    is_gone: bool = False


def _let_in(registrar: Registrar, order: LetIn, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    before = table.known(order.origin, order.subject) or _invited(table, order)
    if before is None and order.roles is None:
        raise NotLetIn("nobody has added you here", order.origin, "ask who runs the recorder")
    if before is not None and before.disabled_us is not None:
        raise NotLetIn("you are shut out here", order.origin, "ask who runs the recorder")
    roles = order.roles if order.roles is not None else before.roles if before is not None else ()
    roles = tuple(one for one in roles if one in table.roles())
    if not roles:
        raise NotLetIn("you have no role here", order.origin, "ask who runs the recorder")
    yield Progress(0, 1)
    if before is None:
        after = _new(table, order, roles)
        registrar.audit.note(events.USER_CHANGED, caller, change="add", user=after.id, after=_told(after))
    else:
        after = replace(before, subject=order.subject, full_name=order.full_name or before.full_name, roles=roles)
        _note_change(registrar, caller, before, after)
    if after != before:
        table.put(after)
    return {"user": after.id}


def _follow(registrar: Registrar, order: FollowSource, caller: Caller) -> Steps:
    table = UserTable(registrar.catalogue)
    before = table.get(order.user)
    if before is None or before.origin == LOCAL:
        return {"out": True}
    roles = () if order.is_gone and order.roles is not None else order.roles
    known = table.roles()
    after = replace(before, roles=tuple(one for one in roles if one in known)) if roles is not None else before
    is_out = order.is_gone or not after.roles
    yield Progress(0, 1)
    _note_change(registrar, caller, before, after)
    if after != before:
        table.put(after)
    if is_out:
        registrar.audit.note(events.LOGIN, caller, user=after.id, login="out", source="", factors=[])
        table.end_sessions(after.id)
    return {"out": is_out}


def _invited(table: UserTable, order: LetIn) -> User | None:
    """Return the user who was added for this source by name, and has not come before."""
    found = table.named(order.name)
    return found if found is not None and found.origin == order.origin and not found.subject else None


def _new(table: UserTable, order: LetIn, roles: tuple[str, ...]) -> User:
    taken = {folded(user.name) for user in table.all()}
    login, _, source = order.name.rpartition("@")
    names = (order.name, *(f"{login[:80]}{number}@{source}" for number in range(2, 10_000)))
    return User(
        id=secrets.token_hex(8),
        name=next(one for one in names if folded(one) not in taken),
        full_name=order.full_name,
        roles=roles,
        own=(),
        sites=(),
        language="",
        origin=order.origin,
        subject=order.subject,
        password="",
        password_us=None,
        created_us=now_us(),
    )


def _note_change(registrar: Registrar, caller: Caller, before: User, after: User) -> None:
    was, now = _told(before), _told(after)
    changed = [name for name in now if now[name] != was[name]]
    if changed:
        told: dict[str, Any] = {"before": {name: was[name] for name in changed}}
        told["after"] = {name: now[name] for name in changed}
        registrar.audit.note(events.USER_CHANGED, caller, change="source", user=after.id, **told)


def _told(user: User) -> dict[str, Any]:
    """Return what the trail says of a user; of the subject only that there is one."""
    names = ("name", "full_name", "roles", "origin")
    shown = user.as_json()
    return {**{name: shown[name] for name in names}, "known": bool(user.subject)}


LET_IN: Final = Operation("user.let-in", "letting somebody in", LetIn, _let_in, is_brief=True)
FOLLOW_SOURCE: Final = Operation("user.follow", "following a source", FollowSource, _follow, is_brief=True)
SIGN_ON_OPERATIONS: Final[tuple[Operation[Any], ...]] = (LET_IN, FOLLOW_SOURCE)
