"""Roles over the API: the operations that `vittne role` does, and what a role would see."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access import operations as ops
from vittne.appliance.access.profile import BUILT_IN, FieldClass, Level, Only, Profile
from vittne.appliance.access.sample import preview
from vittne.appliance.access.scopes import USERS
from vittne.appliance.api.access_changes import change
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs


class RoleBody(ApiModel):
    """What a role is, but for its name, which stands in the address."""

    words: str = Field(default="", max_length=200)
    may: frozenset[str] = Field(default=frozenset(), strict=False)
    fields: dict[FieldClass, Level] = Field(default_factory=dict, strict=False)
    only: Only = Only()
    reason_required: bool = False


class RoleShown(ApiModel):
    """A role. may: what it allows, as it was written; is_built_in: it cannot be changed."""

    name: str
    words: str
    may: list[str]
    fields: dict[str, str]
    only: Only
    reason_required: bool
    is_built_in: bool


class RolesShown(ApiModel):
    """All roles."""

    roles: list[RoleShown]


class PreviewShown(ApiModel):
    """What of an invented recording somebody with this role sees. What is not in it is not shown to them."""

    role: str
    sees: dict[str, Any]


def role_shown(role: Profile) -> RoleShown:
    """Return a role as it is shown."""
    whole = role.model_dump()
    whole |= {"may": sorted(role.may), "fields": dict(role.fields), "only": role.only}
    return RoleShown(**whole, is_built_in=role.name in BUILT_IN)


def role_named(request: web.Request) -> Profile:
    """Return the role whose name stands in the address. Raises Problem."""
    found = request.app[GATE].users.roles().get(request.match_info["name"])
    if found is None:
        raise Problem(404, "/problems/no-such-role", "There is no such role", "GET /api/v1/roles lists them")
    return found


async def roles(request: web.Request) -> web.Response:
    """List roles."""
    known = request.app[GATE].users.roles().values()
    return answer(RolesShown(roles=[role_shown(one) for one in known]))


async def put_role(request: web.Request) -> web.Response:
    """Add or change a role of one's own."""
    body = await body_of(request, RoleBody)
    name = request.match_info["name"]
    _not_held(request, name)
    order = ops.PutRole(role={**body.model_dump(mode="json"), "may": sorted(body.may), "name": name})
    await change(request, ops.PUT_ROLE, order)
    return answer(role_shown(role_named(request)))


async def remove_role(request: web.Request) -> web.Response:
    """Forget a role of one's own."""
    await change(request, ops.REMOVE_ROLE, ops.RemoveRole(name=request.match_info["name"]))
    return web.Response(status=204)


async def preview_role(request: web.Request) -> web.Response:
    """Show what a role sees."""
    role = role_named(request)
    return answer(PreviewShown(role=role.name, sees=preview(role)))


def _not_held(request: web.Request, name: str) -> None:
    """Raise Problem when somebody would change a role that they have themselves."""
    if any(role.name == name for role in principal_of(request).profiles):
        detail = "somebody else who may change users can do it, or `vittne role put` on the recorder"
        raise Problem(403, "/problems/not-ones-own", "Nobody changes their own rights", detail)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


_ROLE: Final = Answer("The role", RoleShown)
ROUTES: Final = (
    Route("GET", f"{PREFIX}/roles", roles, needs(USERS), _about("Roles", {200: Answer("All roles", RolesShown)})),
    Route(
        "PUT",
        f"{PREFIX}/roles/{{name}}",
        put_role,
        needs(USERS, is_fresh=True),
        _about("Add or change a role", {200: _ROLE}, body=RoleBody, problems=(409,)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/roles/{{name}}",
        remove_role,
        needs(USERS, is_fresh=True),
        _about("Forget a role", {204: Answer("It is done")}, problems=(404, 409)),
    ),
    Route(
        "GET",
        f"{PREFIX}/roles/{{name}}/preview",
        preview_role,
        needs(USERS),
        _about("What a role sees", {200: Answer("Of an invented recording", PreviewShown)}, problems=(404,)),
    ),
)
