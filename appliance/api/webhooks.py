"""Routes about webhooks: what there is, new ones, what was not delivered. A secret is in an answer once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.scopes import SETTINGS
from vittne.appliance.access.users import UserTable
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import ApiModel, answer, body_of, query_of
from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.api.token_rights import rights_of
from vittne.appliance.api.tokens import Tokens
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us
from vittne.appliance.webhooks import operations as ops
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.webhooks.table import EVENTS, NoSuchWebhook, WebhookTable
from vittne.appliance.webhooks.target import NotAllowed

WEBHOOKS: Final = web.AppKey("vittne.webhooks", WebhooksConfig)


class WebhookBody(ApiModel):
    """A new webhook. events: as GET /webhooks lists them."""

    name: str = Field(min_length=1, max_length=100)
    url: str = Field(min_length=8, max_length=2000)
    events: tuple[str, ...] = Field(strict=False, min_length=1, max_length=len(EVENTS))


class ChangeBody(ApiModel):
    """Switch it on or off, or give it a new secret."""

    enabled: bool | None = None
    new_secret: bool = False


class WebhookShown(ApiModel):
    """A webhook. waiting, delivered, dead: its deliveries of the last week; secret: only when it is new."""

    id: str
    name: str
    url: str
    events: list[str]
    owner: str
    owner_kind: str
    created_at: str
    enabled: bool
    waiting: int = 0
    delivered: int = 0
    dead: int = 0
    secret: str | None = None


class WebhooksShown(ApiModel):
    """All webhooks, and what they can be told: name and words."""

    webhooks: list[WebhookShown]
    events: dict[str, str]


class DeliveryShown(ApiModel):
    """Something that a webhook was, is or was to be told. state: waiting, delivered, dead."""

    id: str
    webhook: str
    event: str
    state: str
    attempts: int
    last_status: int | None
    last_error: str
    created_at: str
    next_at: str | None
    done_at: str | None


class DeliveriesShown(ApiModel):
    """Deliveries, the newest first."""

    deliveries: list[DeliveryShown]


class DeliveriesQuery(ApiModel):
    """Which deliveries."""

    webhook: str = Field(default="", max_length=100)
    state: str = Field(default="", max_length=20)
    limit: int = Field(default=100, ge=1, le=1000)


def token_owner(data_dir: Path) -> Callable[[str], Principal | None]:
    """Return what finds a token that may still read, as who owns a webhook."""

    def find(key: str) -> Principal | None:
        database = ApiDatabase(data_dir)
        try:
            token = next((one for one in Tokens(database).all() if one.id == key), None)
        finally:
            database.close()
        if token is None or token.state(now_us()) != "active":
            return None
        with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            found = rights_of(token, UserTable(catalogue))
        return found if found is not None and found.may("read") else None

    return find


def listed(catalogue: Catalogue) -> list[dict[str, Any]]:
    """Return all webhooks with how many deliveries each has."""
    table = WebhookTable(catalogue)
    counts = table.counts()
    none = {"waiting": 0, "delivered": 0, "dead": 0}
    return [{**one.as_json(), **none, **counts.get(one.id, {})} for one in table.all()]


async def webhooks(request: web.Request) -> web.Response:
    """List webhooks."""
    found = await request.app[READER](listed)
    return answer(WebhooksShown(webhooks=[WebhookShown(**one) for one in found], events=EVENTS))


async def add(request: web.Request) -> web.Response:
    """Add a webhook; what it is told is what the one who adds it may see."""
    body = await body_of(request, WebhookBody)
    who, config = principal_of(request), request.app[WEBHOOKS]
    unknown = sorted(set(body.events) - set(EVENTS))
    if unknown:
        raise Problem(422, "/problems/no-such-event", "There is no such event", f"there are {', '.join(EVENTS)}")
    if not who.may("read"):
        raise Problem(403, "/problems/missing-scope", "You may not do this", "a webhook tells what you may read")
    order = ops.AddWebhook(
        name=body.name,
        url=body.url,
        events=body.events,
        owner_kind=who.kind,
        owner=who.id,
        networks=config.networks,
        plain_http=config.plain_http,
    )
    return await _done(request, ops.ADD_WEBHOOK, order, 201)  # no Idempotency-Key: that would keep the secret


async def change(request: web.Request) -> web.Response:
    """Switch a webhook on or off, or give it a new secret."""
    body = await body_of(request, ChangeBody)
    order = ops.ChangeWebhook(webhook=request.match_info["id"], **body.model_dump())
    return await _done(request, ops.CHANGE_WEBHOOK, order)


async def remove(request: web.Request) -> web.Response:
    """Forget a webhook."""
    await _done(request, ops.REMOVE_WEBHOOK, ops.RemoveWebhook(webhook=request.match_info["id"]))
    return web.Response(status=204)


async def test(request: web.Request) -> web.Response:
    """Have a webhook told something harmless, at once and once."""
    return await _again(request, ops.TellAgain(webhook=request.match_info["id"]))


async def again(request: web.Request) -> web.Response:
    """Try a delivery again."""
    return await _again(request, ops.TellAgain(delivery=request.match_info["id"]))


async def deliveries(request: web.Request) -> web.Response:
    """List deliveries."""
    query = query_of(request, DeliveriesQuery)
    found = await request.app[READER](lambda catalogue: WebhookTable(catalogue).listed(**query.model_dump()))
    return answer(DeliveriesShown(deliveries=[DeliveryShown(**one.as_json()) for one in found]))


async def _again(request: web.Request, order: ops.TellAgain) -> web.Response:
    told = await _perform(request, ops.TELL_AGAIN, order)
    return answer(DeliveryShown(**told), 202)


async def _done(request: web.Request, operation: Operation[Any], order: Order, status: int = 200) -> web.Response:
    return answer(WebhookShown(**await _perform(request, operation, order)), status)


async def _perform(request: web.Request, operation: Operation[Any], order: Order) -> dict[str, Any]:
    try:
        return await request.app[OPERATOR].perform(operation, order, principal_of(request).caller)
    except NoSuchWebhook as error:
        raise Problem(404, "/problems/no-such-webhook", error.what, error.next_step) from None
    except NotAllowed as error:
        raise Problem(422, "/problems/address-not-allowed", error.what, str(error.where)) from None
    except ops.TooManyWebhooks as error:
        raise Problem(409, "/problems/too-many-webhooks", error.what, error.next_step) from None


def _about(summary: str, answers: dict[int, Answer], **more: Any) -> About:
    return About(summary, "Webhooks", answers, **more)


_ONE: Final = Answer("The webhook; with its secret when that is new, which is never shown again", WebhookShown)
_TOLD: Final = Answer("It will be tried at once", DeliveryShown)
_MAY: Final = needs(SETTINGS)
_TELLS_SECRET: Final = needs(SETTINGS, is_fresh=True)
ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/webhooks",
        webhooks,
        _MAY,
        _about("Webhooks, and what they can be told", {200: Answer("They", WebhooksShown)}),
    ),
    Route(
        "POST",
        f"{PREFIX}/webhooks",
        add,
        _TELLS_SECRET,
        _about("Add a webhook", {201: _ONE}, body=WebhookBody, problems=(409, 422)),
    ),
    Route(
        "PATCH",
        f"{PREFIX}/webhooks/{{id}}",
        change,
        _TELLS_SECRET,
        _about("Switch a webhook on or off, or give it a new secret", {200: _ONE}, body=ChangeBody, problems=(404,)),
    ),
    Route(
        "DELETE",
        f"{PREFIX}/webhooks/{{id}}",
        remove,
        _MAY,
        _about("Forget a webhook", {204: Answer("It is gone")}, problems=(404,)),
    ),
    Route(
        "POST",
        f"{PREFIX}/webhooks/{{id}}/test",
        test,
        _MAY,
        _about("Have a webhook told something harmless", {202: _TOLD}, problems=(404,)),
    ),
    Route(
        "GET",
        f"{PREFIX}/webhook-deliveries",
        deliveries,
        _MAY,
        _about("What webhooks were told, or not", {200: Answer("They", DeliveriesShown)}, query=DeliveriesQuery),
    ),
    Route(
        "POST",
        f"{PREFIX}/webhook-deliveries/{{id}}/again",
        again,
        _MAY,
        _about("Try a delivery again", {202: _TOLD}, problems=(404,)),
    ),
)
