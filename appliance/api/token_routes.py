"""Tokens over the API: the functions that `vittne token` calls. A token's text is told once.

Nobody gives away what they do not have: a token may do at most what its maker may. Who hears nothing makes no
token that hears.
"""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.operations import NOTE_TOKEN, NoteToken
from vittne.appliance.access.scopes import SCOPES, USERS
from vittne.appliance.api.access_changes import change
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.token_rights import NOT_FOR_SERVICES, told
from vittne.appliance.api.tokens import (
    DAY_US,
    NAME_LIMIT,
    NETWORKS_LIMIT,
    NoSuchToken,
    TokenError,
    checked_name,
    checked_networks,
)


class TokenBody(ApiModel):
    """A new token. days: until it ends; null: never. networks: where it may come from; none: everywhere.

    for_service: it goes on when its maker goes, and sees every recording in full.
    """

    name: str = Field(min_length=1, max_length=NAME_LIMIT)
    scopes: tuple[str, ...] = Field(strict=False, min_length=1, max_length=len(SCOPES))
    days: int | None = Field(default=90, ge=1, le=3650)
    networks: tuple[str, ...] = Field(default=(), strict=False, max_length=NETWORKS_LIMIT)
    for_service: bool = False


class TokenShown(ApiModel):
    """A token, without its secret. state: active, expired, revoked, or orphaned: its maker is gone.

    maker: id of the user with whom it ends; "" for a service's.
    """

    id: str
    name: str
    state: str
    scopes: list[str]
    networks: list[str]
    maker: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    revoked_at: str | None


class TokensShown(ApiModel):
    """All tokens, the oldest first."""

    tokens: list[TokenShown]


class NewToken(TokenShown):
    """A token and its text, which is told now and never again."""

    token: str


async def tokens(request: web.Request) -> web.Response:
    """List tokens."""
    gate = request.app[GATE]
    return answer(TokensShown(tokens=[TokenShown(**told(one, gate.users, gate.now_us())) for one in gate.tokens.all()]))


async def make_token(request: web.Request) -> web.Response:
    """Make a token."""
    body = await body_of(request, TokenBody)
    gate, who = request.app[GATE], principal_of(request)
    unknown = sorted(set(body.scopes) - SCOPES.keys())
    if unknown:
        raise Problem(422, "/problems/no-such-scope", "There is no such scope", f"there are {', '.join(SCOPES)}")
    beyond = sorted(set(body.scopes) - who.scopes - {one for role in who.profiles for one in role.may})
    if beyond:
        detail = f"you may not do this yourself: {', '.join(beyond)}; `vittne token` on the recorder can"
        raise Problem(403, "/problems/not-yours-to-give", "A token may do at most what its maker may", detail)
    is_service = body.for_service or not who.person  # what a service's token makes is a service's too
    if is_service and not NOT_FOR_SERVICES.isdisjoint(body.scopes):
        detail = "a token that changes users has somebody who answers for it; `vittne token` on the recorder can"
        raise Problem(403, "/problems/not-for-services", "Not for a service", detail)
    try:
        name, networks = checked_name(body.name), checked_networks(body.networks)
    except TokenError as error:
        raise Problem(422, "/problems/invalid-request", error.what.capitalize(), error.next_step) from None
    now = gate.now_us()
    expires_us = now + body.days * DAY_US if body.days is not None else None
    noted = NoteToken(
        change="add", name=name, scopes=body.scopes, networks=body.networks, maker="" if is_service else who.person
    )
    await change(request, NOTE_TOKEN, noted)
    made, text = gate.tokens.create(name, body.scopes, now, expires_us, networks, "" if is_service else who.person)
    return answer(NewToken(**made.as_json(now), token=text), 201)


async def revoke_token(request: web.Request) -> web.Response:
    """Refuse a token from now on."""
    gate, key = request.app[GATE], request.match_info["id"]
    found = next((one for one in gate.tokens.all() if one.id == key), None)
    if found is None:
        raise Problem(404, "/problems/no-such-token", "There is no such token", "GET /api/v1/tokens lists them")
    await change(request, NOTE_TOKEN, NoteToken(change="revoke", name=found.name, token=found.id))
    try:
        gate.tokens.revoke(key, gate.now_us())
    except NoSuchToken as error:
        raise Problem(404, "/problems/no-such-token", error.what.capitalize()) from None
    return web.Response(status=204)


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Access", answers, **more)


ROUTES: Final = (
    Route("GET", f"{PREFIX}/tokens", tokens, needs(USERS), _about("Tokens", {200: Answer("All tokens", TokensShown)})),
    Route(
        "POST",
        f"{PREFIX}/tokens",
        make_token,
        needs(USERS, is_fresh=True),
        _about("Make a token", {201: Answer("The token, told once", NewToken)}, body=TokenBody),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/tokens/{{id}}",
        revoke_token,
        needs(USERS, is_fresh=True),
        _about("Revoke a token", {204: Answer("It is refused from now on")}, problems=(404,)),
    ),
)
