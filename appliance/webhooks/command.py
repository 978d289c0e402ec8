"""`vittne webhook`: who is told what happens. Beside a running recorder too; only that one tells."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vittne.appliance.control.client import perform
from vittne.appliance.show import json_array
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.terminal import Column, clean, table
from vittne.appliance.webhooks import operations as ops
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.webhooks.table import EVENTS, WebhookTable

_LISTED = 1000


class NoSuchEvent(StoreError):
    """A webhook was to be told what there is not."""


def add(data: Path, config: WebhooksConfig, name: str, url: str, events: Sequence[str], is_full: bool) -> int:
    """Add a webhook and print its secret."""
    unknown = sorted(set(events) - set(EVENTS))
    if unknown:
        raise NoSuchEvent("there is no such event", clean(unknown[0], 60), f"there are {', '.join(EVENTS)}")
    order = ops.AddWebhook(
        name=name,
        url=url,
        events=tuple(events),
        owner_kind="terminal-full" if is_full else "terminal",
        networks=config.networks,
        plain_http=config.plain_http,
    )
    _print_secret(perform(data, ops.ADD_WEBHOOK, order))
    return 0


def renew(data: Path, webhook: str) -> int:
    """Print a new secret; the one before ends."""
    _print_secret(perform(data, ops.CHANGE_WEBHOOK, ops.ChangeWebhook(webhook=webhook, new_secret=True)))
    return 0


def _print_secret(told: dict[str, Any]) -> None:
    print(f"{clean(told['name'])} ({told['id']}) signs with this secret; it cannot be shown again", file=sys.stderr)
    print(told["secret"])


def switch(data: Path, webhook: str, is_on: bool) -> int:
    """Switch a webhook on or off."""
    told = perform(data, ops.CHANGE_WEBHOOK, ops.ChangeWebhook(webhook=webhook, enabled=is_on))
    print(f"{clean(told['name'])} is {'on' if is_on else 'off'}", file=sys.stderr)
    return 0


def remove(data: Path, webhook: str) -> int:
    """Forget a webhook."""
    told = perform(data, ops.REMOVE_WEBHOOK, ops.RemoveWebhook(webhook=webhook))
    print(f"{clean(told['name'])} is forgotten", file=sys.stderr)
    return 0


def again(data: Path, delivery: str = "", webhook: str = "") -> int:
    """Have a delivery tried again, or a webhook tried."""
    told = perform(data, ops.TELL_AGAIN, ops.TellAgain(delivery=delivery, webhook=webhook))
    print(f"{told['id']} is tried as soon as a recorder runs: `vittne webhook deliveries`", file=sys.stderr)
    return 0


def list_all(data: Path, as_json: bool) -> int:
    """Print all webhooks."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = [one.as_json() for one in WebhookTable(catalogue).all()]
    if as_json:
        sys.stdout.writelines(json_array(found))
        return 0
    columns = [Column("id"), Column("name"), Column("state"), Column("address"), Column("events")]
    rows = [
        [one["id"], one["name"], "on" if one["enabled"] else "off", one["url"], " ".join(one["events"])]
        for one in found
    ]
    for line in table(columns, rows):
        print(line)
    return 0


def deliveries(data: Path, state: str, as_json: bool) -> int:
    """Print deliveries, the newest first."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = [one.as_json() for one in WebhookTable(catalogue).listed(state=state, limit=_LISTED)]
    if as_json:
        sys.stdout.writelines(json_array(found))
        return 0
    columns = [Column("id"), Column("at"), Column("event"), Column("state"), Column("tries"), Column("last answer")]
    rows = [
        [one["id"], one["created_at"], one["event"], one["state"], str(one["attempts"]), one["last_error"]]
        for one in found
    ]
    for line in table(columns, rows):
        print(line)
    return 0
