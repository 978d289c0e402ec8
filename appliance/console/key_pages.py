"""The page of the archive's keys: what unlocked means, unlocking and locking, what the keys lack."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.keys import keys_of
from vittne.appliance.api.reader import READER
from vittne.appliance.api.settled import CONFIG, policy_of
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.life import asking
from vittne.appliance.life.table import APPROVED, WAITS, LifeTable, Request


async def keys_page(request: web.Request) -> web.Response:
    """Show how the keys are."""
    who, policy = principal_of(request), policy_of(request.app[CONFIG])
    asked: Request | None = None
    if asking.UNLOCK in policy.operations:
        rows = await request.app[READER](lambda catalogue: LifeTable(catalogue).requests(operation=asking.UNLOCK))
        mine = [row for row in rows if row.state in (WAITS, APPROVED) and asking.is_his_own(row, who.caller)]
        asked = mine[-1] if mine else None
    found = await keys_of(request.app)
    is_two = asking.UNLOCK in policy.operations
    return render(request, "keys.html", keys=found, is_two=is_two, asked=asked)


PAGES: Final = (Page("/settings/keys", keys_page, "keys", Item("Archive keys", "key-round", "Settings"), ("audit",)),)
