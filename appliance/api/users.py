"""Users over the API: the operations that `vittne user` does.

A code to set a password with is told once, to who asked for it; it is not kept.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access import operations as ops
from vittne.appliance.access.factor_operations import REMOVE_FACTOR, RemoveFactor
from vittne.appliance.access.factors import FactorTable
from vittne.appliance.access.invitations import DAY_US, DAYS, code_sha256, new_code
from vittne.appliance.access.scopes import USERS
from vittne.appliance.access.users import LOCAL, UserTable
from vittne.appliance.api.access_changes import change, not_oneself, user_asked
from vittne.appliance.api.auth import GATE
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us, rfc3339

_NAMES: Final = Field(default=(), strict=False, max_length=256)


class UserBody(ApiModel):
    """A new user. own: extensions and agent names; sites: recordings of these only; empty: of all."""

    name: str = Field(pattern=r"^[^\s/\\\x00-\x1f\x7f]{1,100}$")
    full_name: str = Field(default="", max_length=200)
    roles: tuple[str, ...] = _NAMES
    own: tuple[str, ...] = _NAMES
    sites: tuple[str, ...] = _NAMES
    language: str = Field(default="", max_length=35)


class UserChange(ApiModel):
    """What is given changes. is_disabled: shut out, and logged out everywhere."""

    full_name: str | None = Field(default=None, max_length=200)
    roles: tuple[str, ...] | None = Field(default=None, strict=False, max_length=256)
    own: tuple[str, ...] | None = Field(default=None, strict=False, max_length=256)
    sites: tuple[str, ...] | None = Field(default=None, strict=False, max_length=256)
    language: str | None = Field(default=None, max_length=35)
    is_disabled: bool | None = None


class UserShown(ApiModel):
    """A user. factors: kinds of second factors that are set up. state: active, invited or disabled."""

    id: str
    name: str
    full_name: str
    roles: list[str]
    own: list[str]
    sites: list[str]
    language: str
    origin: str
    has_password: bool
    created_at: str
    disabled_at: str | None
    factors: list[str]
    state: str


class UsersShown(ApiModel):
    """Everybody, by name."""

    users: list[UserShown]


class CodeShown(ApiModel):
    """A code with which a user sets a password. It is told now and never again."""

    user: str
    name: str
    code: str
    expires_at: str


def all_users(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return everybody, as the API and the console show them."""
    kinds = FactorTable(catalogue).kinds_of_all()
    return [user_shown(user.as_json(), kinds.get(user.id, [])) for user in UserTable(catalogue).all()]


def user_shown(user: dict[str, Any], kinds: list[str]) -> dict[str, Any]:
    """Return a user with what is not in the table."""
    can = user["has_password"] or user["origin"] != LOCAL
    state = "disabled" if user["disabled_at"] else "active" if can else "invited"
    return {**user, "factors": sorted(kinds), "state": state}


async def users(request: web.Request) -> web.Response:
    """List users."""
    found = await request.app[READER](all_users)
    return answer(UsersShown(users=[UserShown(**one) for one in found]))


async def one_user(request: web.Request) -> web.Response:
    """Show a user."""
    user = user_asked(request)
    return answer(UserShown(**user_shown(user.as_json(), list(request.app[GATE].factors.kinds(user.id)))))


async def add_user(request: web.Request) -> web.Response:
    """Add a user, and make a code."""
    body = await body_of(request, UserBody)
    done = await change(request, ops.ADD_USER, ops.AddUser(**body.model_dump()))
    return await _code(request, done["id"], body.name)


async def change_user(request: web.Request) -> web.Response:
    """Change a user."""
    body = await body_of(request, UserChange)
    user = user_asked(request)
    given = body.model_dump(exclude_none=True)
    rights = {name: set(given[name]) - {""} for name in ("roles", "own", "sites") if name in given}
    if body.is_disabled or any(value != set(getattr(user, name)) for name, value in rights.items()):
        not_oneself(request, user)
    source = request.app[GATE].sources.rights_come_from(user.origin)
    if source is not None and "roles" in rights and rights["roles"] != set(user.roles):
        raise roles_come_from(source.words)
    done = await change(request, ops.CHANGE_USER, ops.ChangeUser(user=user.id, **given))
    return answer(UserShown(**user_shown(done, list(request.app[GATE].factors.kinds(user.id)))))


def roles_come_from(source: str) -> Problem:
    """Return the problem of who would give roles that follow the groups of a source."""
    return Problem(409, "/problems/cannot-change", "Their roles come from their groups", f"change them at {source}")


async def remove_user(request: web.Request) -> web.Response:
    """Forget a user."""
    user = user_asked(request)
    not_oneself(request, user)
    await change(request, ops.REMOVE_USER, ops.RemoveUser(user=user.id))
    return web.Response(status=204)


async def invite(request: web.Request) -> web.Response:
    """Make a code with which a user sets a new password."""
    user = user_asked(request)
    return await _code(request, user.id, user.name)


async def _code(request: web.Request, user: str, name: str) -> web.Response:
    code, until = new_code(), now_us() + DAYS * DAY_US
    await change(request, ops.INVITE, ops.Invite(user=user, code_sha256=code_sha256(code), expires_us=until))
    return answer(CodeShown(user=user, name=name, code=code, expires_at=rfc3339(until)), 201)


async def forget_factors(request: web.Request) -> web.Response:
    """Forget a user's second factors, when a telephone was lost."""
    user = user_asked(request)
    not_oneself(request, user)
    await change(request, REMOVE_FACTOR, RemoveFactor(user=user.id))
    return web.Response(status=204)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


_CODE: Final = Answer("The code, told once", CodeShown)
_CHANGES: Final = needs(USERS, is_fresh=True)
ROUTES: Final = (
    Route("GET", f"{PREFIX}/users", users, needs(USERS), _about("Users", {200: Answer("Everybody", UsersShown)})),
    Route(
        "POST",
        f"{PREFIX}/users",
        add_user,
        _CHANGES,
        _about("Add a user", {201: _CODE}, body=UserBody, problems=(404, 409)),
    ),
    Route(
        "GET",
        f"{PREFIX}/users/{{id}}",
        one_user,
        needs(USERS),
        _about("A user", {200: Answer("The user", UserShown)}, problems=(404,)),
    ),
    Route(
        "PATCH",
        f"{PREFIX}/users/{{id}}",
        change_user,
        _CHANGES,
        _about("Change a user", {200: Answer("The user", UserShown)}, body=UserChange, problems=(404, 409)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/users/{{id}}",
        remove_user,
        _CHANGES,
        _about("Forget a user", {204: Answer("It is done")}, problems=(404, 409)),
    ),
    Route(
        "POST",
        f"{PREFIX}/users/{{id}}/invitation",
        invite,
        _CHANGES,
        _about("A code to set a new password with", {201: _CODE}, problems=(404, 409)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/users/{{id}}/factors",
        forget_factors,
        _CHANGES,
        _about("Forget a user's second factors", {204: Answer("It is done")}, problems=(404,)),
    ),
)
