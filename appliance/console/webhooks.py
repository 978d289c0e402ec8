"""The page of webhooks: which there are, a new one, and what was not delivered."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.scopes import SETTINGS
from vittne.appliance.api.reader import READER
from vittne.appliance.api.webhooks import WEBHOOKS, listed
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.webhooks.table import EVENTS, WebhookTable

_SHOWN: Final = 50


async def webhooks(request: web.Request) -> web.StreamResponse:
    """Show webhooks."""
    hooks, deliveries = await request.app[READER](_read)
    names = {hook["id"]: hook["name"] for hook in hooks}
    return render(
        request,
        "webhooks.html",
        hooks=hooks,
        dead=[one for one in deliveries if one["state"] == "dead"],
        deliveries=deliveries,
        names=names,
        events={name: words for name, words in EVENTS.items() if name != "test"},
        config=request.app[WEBHOOKS],
    )


def _read(catalogue: Catalogue) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    table = WebhookTable(catalogue)
    dead = [one.as_json() for one in table.listed(state="dead", limit=_SHOWN)]
    others = [one.as_json() for one in table.listed(limit=_SHOWN) if one.state != "dead"]
    return listed(catalogue), dead + others


PAGES: Final = (Page("/settings/webhooks", webhooks, scope=SETTINGS, item=Item("Webhooks", "plug", "Settings")),)
