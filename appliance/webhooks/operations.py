"""Operations on webhooks, done by the one writer; every change is in the trail. A secret is in an answer once."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import replace
from typing import Any, Final, Literal

from pydantic import Field, field_validator

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.webhooks.signing import new_secret, sealed
from vittne.appliance.webhooks.table import EVENTS, Delivery, Webhook, WebhookTable
from vittne.appliance.webhooks.target import check_url

_MOST: Final = 50
_NAME: Final = r"^[^\x00-\x1f\x7f]{1,100}$"


class TooManyWebhooks(StoreError):
    """There are as many as there may be."""


class AddWebhook(Order):
    """A new webhook. owner: the id of the user or token whose rights decide what it is told."""

    name: str = Field(pattern=_NAME)
    url: str = Field(max_length=2000)
    events: tuple[str, ...] = Field(strict=False, min_length=1, max_length=len(EVENTS))
    owner_kind: Literal["user", "token", "terminal", "terminal-full"] = "terminal"
    owner: str = Field(default="", max_length=100)
    networks: tuple[str, ...] = Field(default=(), strict=False, max_length=64)
    plain_http: bool = False

    @field_validator("events")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - set(EVENTS))
        if unknown:
            raise ValueError(f"there is no {unknown[0][:40]!r}; there are {', '.join(EVENTS)}")
        return tuple(dict.fromkeys(names))


class ChangeWebhook(Order):
    """Switch one on or off, or give it a new secret."""

    webhook: str = Field(max_length=100)
    enabled: bool | None = None
    new_secret: bool = False


class RemoveWebhook(Order):
    """Forget one, and what it was to be told."""

    webhook: str = Field(max_length=100)


class TellAgain(Order):
    """Try a delivery again, or try a webhook: delivery or webhook is given."""

    delivery: str = Field(default="", max_length=100)
    webhook: str = Field(default="", max_length=100)


def checked(url: str, config: WebhooksConfig) -> str:
    """Return an address if the configuration lets a webhook go there. Raises NotAllowed."""
    return check_url(url, [ipaddress.ip_network(one) for one in config.networks], config.plain_http)


def _add(registrar: Registrar, order: AddWebhook, caller: Caller) -> Steps:
    table = WebhookTable(registrar.catalogue)
    if len(table.all()) >= _MOST:
        raise TooManyWebhooks("there are too many webhooks", str(_MOST), "remove one")
    networks = [ipaddress.ip_network(one) for one in order.networks]
    url = check_url(order.url, networks, order.plain_http)
    key, secret = f"wh_{secrets.token_hex(8)}", new_secret()
    kept = sealed(registrar.data_dir, key, secret)
    webhook = Webhook(key, order.name, url, order.events, kept, order.owner_kind, order.owner, now_us())
    yield Progress(0, 1)
    registrar.audit.note(events.WEBHOOK_CHANGED, caller, change="add", webhook=key, after=webhook.as_json())
    table.put(webhook)
    return {**webhook.as_json(), "secret": secret}


def _change(registrar: Registrar, order: ChangeWebhook, caller: Caller) -> Steps:
    table = WebhookTable(registrar.catalogue)
    before = table.get(order.webhook)
    after, told = before, {}
    if order.enabled is not None:
        after = replace(after, disabled_us=None if order.enabled else before.disabled_us or now_us())
    if order.new_secret:
        told = {"secret": new_secret()}
        after = replace(after, secret=sealed(registrar.data_dir, before.id, told["secret"]))
    yield Progress(0, 1)
    change = "secret" if order.new_secret else "change"
    registrar.audit.note(events.WEBHOOK_CHANGED, caller, change=change, webhook=before.id, after=after.as_json())
    table.put(after)
    return {**after.as_json(), **told}


def _remove(registrar: Registrar, order: RemoveWebhook, caller: Caller) -> Steps:
    table = WebhookTable(registrar.catalogue)
    webhook = table.get(order.webhook)
    yield Progress(0, 1)
    registrar.audit.note(events.WEBHOOK_CHANGED, caller, change="remove", webhook=webhook.id, before=webhook.as_json())
    table.remove(webhook.id)
    return webhook.as_json()


def _again(registrar: Registrar, order: TellAgain, caller: Caller) -> Steps:
    table = WebhookTable(registrar.catalogue)
    at = now_us()
    yield Progress(0, 1)
    if order.delivery:
        known = table.delivery(order.delivery)
        again = replace(known, state="waiting", attempts=0, next_us=at, done_us=None)
        table.note(again)
    else:
        again = Delivery(f"msg_{secrets.token_hex(12)}", table.get(order.webhook).id, "test", {}, at, next_us=at)
        table.add([again])
    return again.as_json()


ADD_WEBHOOK: Final = Operation("webhook.add", "adding a webhook", AddWebhook, _add)
CHANGE_WEBHOOK: Final = Operation("webhook.change", "changing a webhook", ChangeWebhook, _change)
REMOVE_WEBHOOK: Final = Operation("webhook.remove", "removing a webhook", RemoveWebhook, _remove)
TELL_AGAIN: Final = Operation("webhook.again", "telling a webhook again", TellAgain, _again)
WEBHOOK_OPERATIONS: Final[tuple[Operation[Any], ...]] = (ADD_WEBHOOK, CHANGE_WEBHOOK, REMOVE_WEBHOOK, TELL_AGAIN)
