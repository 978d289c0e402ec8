"""Sources that users sign in at, as they are configured, and trying them. Secrets are nowhere in it."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.operations import ADD_USER, AddUser
from vittne.appliance.access.scopes import USERS
from vittne.appliance.api.access_changes import change
from vittne.appliance.api.auth import GATE, too_many
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.elsewhere import LDAP, OIDC
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.users import UserShown, roles_come_from, user_shown
from vittne.appliance.signon.settings import LdapSource, OidcSource, Source
from vittne.appliance.signon.trying import try_directory, try_provider


class SourceShown(ApiModel):
    """A source. where: its issuer, or its servers in order. groups: what gives which roles. back, logout: addresses
    that a provider has to know of; null for a directory."""

    name: str
    title: str
    kind: str
    where: list[str]
    let_in: str
    groups: dict[str, list[str]]
    only_users: list[str]
    own_second_factor: bool
    counts_second: bool
    check_min: int
    trust_min: int
    can_check: bool
    back: str | None
    logout: str | None


class SourcesShown(ApiModel):
    """All sources. local_users: who may log in with a user of the recorder's own; empty: everybody who has one."""

    sources: list[SourceShown]
    local_users: list[str]


class InvitedBody(ApiModel):
    """Somebody of a source who may come in. login: their name there; subject: what names them for good, if known."""

    login: str = Field(pattern=r"^[^\s/\\\x00-\x1f\x7f]{1,60}$")
    subject: str = Field(default="", max_length=300)
    full_name: str = Field(default="", max_length=200)
    roles: tuple[str, ...] = Field(default=(), strict=False, max_length=256)


class TryBody(ApiModel):
    """login: somebody to look up as well, at a directory."""

    login: str = Field(default="", max_length=200)


class TriedShown(ApiModel):
    """A step. step: reach, trust, document, keys, account, place, mapping or person; state: good, warn or bad."""

    step: str
    state: str
    words: str
    where: str


class TriesShown(ApiModel):
    """What was tried, in order."""

    is_good: bool
    tried: list[TriedShown]


def sources_shown(request: web.Request) -> SourcesShown:
    """Return what is configured."""
    found = request.app[GATE].sources
    address = found.settings.address or ""
    return SourcesShown(
        sources=[_shown(one, address) for one in found.all], local_users=list(found.settings.local_users)
    )


def _shown(source: Source, address: str) -> SourceShown:
    is_provider = isinstance(source, OidcSource)
    return SourceShown(
        name=source.name,
        title=source.words,
        kind=OIDC if is_provider else LDAP,
        where=[source.issuer] if isinstance(source, OidcSource) else _servers(source),
        let_in=source.let_in,
        groups={group: list(roles) for group, roles in source.roles.items()},
        only_users=list(source.only_users),
        own_second_factor=source.own_second_factor,
        counts_second=isinstance(source, OidcSource) and bool(source.second_factor_acr or source.second_factor_amr),
        check_min=source.check_min,
        trust_min=source.trust_min,
        can_check=not isinstance(source, LdapSource) or bool(source.bind_dn),
        back=f"{address}/sign-on/{source.name}/callback" if is_provider else None,
        logout=f"{address}{PREFIX}/sign-on/{source.name}/logout" if is_provider else None,
    )


def _servers(source: Source) -> list[str]:
    return list(source.servers) if isinstance(source, LdapSource) else []


async def sources(request: web.Request) -> web.Response:
    """List what is configured."""
    return answer(sources_shown(request))


async def try_source(request: web.Request) -> web.Response:
    """Try a source's settings."""
    body = await body_of(request, TryBody, or_empty=True)
    found = request.app[GATE].sources
    name = request.match_info["name"]
    if found.named(name) is None:
        raise Problem(404, "/problems/no-such-source", "There is no such source", "the configuration names them")
    if found.trying.locked():
        raise too_many(1.0, "a source is being tried just now")
    roles = await request.app[READER].work(request.app[GATE].users.roles)
    async with found.trying:
        if name in found.providers:
            tried = await try_provider(found.providers[name], roles)
        else:
            tried = await try_directory(found.directories[name], roles, body.login.strip())
    shown = [TriedShown(step=one.step, state=one.state, words=one.words, where=one.where) for one in tried]
    return answer(TriesShown(is_good=all(one.state != "bad" for one in tried), tried=shown))


async def invite(request: web.Request) -> web.Response:
    """Add somebody of a source, who comes in when they sign in there."""
    body = await body_of(request, InvitedBody)
    source = request.app[GATE].sources.named(request.match_info["name"])
    if source is None:
        raise Problem(404, "/problems/no-such-source", "There is no such source", "the configuration names them")
    if body.roles and source.let_in == "mapped":
        raise roles_come_from(source.words)
    order = AddUser(
        name=f"{body.login}@{source.name}",
        full_name=body.full_name,
        roles=body.roles,
        origin=source.name,
        subject=body.subject,
    )
    done = await change(request, ADD_USER, order)
    return answer(UserShown(**user_shown(done, [])), 201)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/sign-on/sources",
        sources,
        needs(USERS),
        _about("Sources that users sign in at", {200: Answer("As they are configured", SourcesShown)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/sign-on/{{name}}/users",
        invite,
        needs(USERS, is_fresh=True),
        _about("Add somebody of a source", {201: Answer("The user", UserShown)}, body=InvitedBody, problems=(404, 409)),
    ),
    Route(
        "POST",
        f"{PREFIX}/sign-on/{{name}}/try",
        try_source,
        needs(USERS, is_fresh=True),
        _about("Try a source's settings", {200: Answer("What was tried", TriesShown)}, body=TryBody, problems=(404,)),
    ),
)
