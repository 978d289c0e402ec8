"""The pages about users, roles and tokens: read through the functions of the API; changes go to the API."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.factors import FactorTable
from vittne.appliance.access.profile import BUILT_IN, FIELD_CLASSES, LEVELS, Profile
from vittne.appliance.access.sample import SAMPLE, preview
from vittne.appliance.access.scopes import SCOPES, USERS
from vittne.appliance.api.access_changes import user_asked
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.reader import READER
from vittne.appliance.api.roles import role_named, role_shown
from vittne.appliance.api.sources import sources_shown
from vittne.appliance.api.token_rights import told
from vittne.appliance.api.users import all_users, user_shown
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import CONSOLE, render


async def users(request: web.Request) -> web.StreamResponse:
    """Show everybody."""
    found = await request.app[READER](all_users)
    return render(
        request,
        "users.html",
        users=found,
        roles=_roles(request),
        languages=_languages(request),
        sources=sources_shown(request).sources,
        titles=_titles(request),
    )


async def user(request: web.Request) -> web.StreamResponse:
    """Show one user, to change them."""
    gate = request.app[GATE]
    found = user_asked(request)
    factors: list[dict[str, Any]] = await request.app[READER](
        lambda catalogue: [one.as_json() for one in FactorTable(catalogue).of(found.id)]
    )
    return render(
        request,
        "user.html",
        user=user_shown(found.as_json(), [one["kind"] for one in factors]),
        factors=factors,
        roles=_roles(request),
        is_me=principal_of(request).id == found.id,
        sessions=[one.as_json() for one in gate.sessions.of(found.id, gate.now_us())],
        languages=_languages(request),
        title=_titles(request).get(found.origin, ""),
        subject=found.subject,
        rights_from=_titles(request)[found.origin] if gate.sources.rights_come_from(found.origin) else "",
    )


async def roles(request: web.Request) -> web.StreamResponse:
    """Show all roles."""
    return render(request, "roles.html", roles=_roles(request), scopes=SCOPES, fields=FIELD_CLASSES, levels=LEVELS)


async def role(request: web.Request) -> web.StreamResponse:
    """Show one role, and what it sees of an invented recording."""
    found = role_named(request)
    sees, whole = preview(found), SAMPLE.model_dump()
    rows = [(name, sees.get(name), name in sees and sees[name] != value) for name, value in whole.items()]
    everybody = await request.app[READER](all_users)
    return render(
        request,
        "role.html",
        role=_role(found),
        rows=rows,
        reads="read" in found.scopes,
        holders=[one for one in everybody if found.name in one["roles"]],
        is_mine=any(one.name == found.name for one in principal_of(request).profiles),
        scopes=SCOPES,
        fields=FIELD_CLASSES,
        levels=LEVELS,
    )


async def tokens(request: web.Request) -> web.StreamResponse:
    """Show all tokens."""
    gate, who = request.app[GATE], principal_of(request)
    mine = who.scopes | {one for held in who.profiles for one in held.may}
    return render(
        request,
        "tokens.html",
        tokens=[told(one, gate.users, gate.now_us()) for one in reversed(gate.tokens.all())],
        scopes={scope: words for scope, words in SCOPES.items() if scope in mine},
        makers={user.id: user.name for user in gate.users.all()},
        left_out=[scope for scope in SCOPES if scope not in mine],
    )


def _roles(request: web.Request) -> list[dict[str, Any]]:
    return [_role(one) for one in request.app[GATE].users.roles().values()]


def _role(role: Profile) -> dict[str, Any]:
    shown = role_shown(role).model_dump(mode="json")
    return {**shown, "scopes": sorted(role.scopes), "is_built_in": role.name in BUILT_IN}


def _titles(request: web.Request) -> dict[str, str]:
    return {one.name: one.words for one in request.app[GATE].sources.all}


def _languages(request: web.Request) -> list[str]:
    return sorted(request.app[CONSOLE].texts)


PAGES: Final = (
    Page("/settings/users", users, USERS, Item("Users", "users", "Settings")),
    Page("/settings/users/{id}", user, USERS),
    Page("/settings/roles", roles, USERS, Item("Roles", "user-check", "Settings")),
    Page("/settings/roles/{name}", role, USERS),
    Page("/settings/tokens", tokens, USERS, Item("Tokens", "key-round", "Settings")),
)
