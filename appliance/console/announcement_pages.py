"""Pages about announcements: what is listened for, one with its versions, and trying one before it counts."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api import announcement_tries, announcements
from vittne.appliance.api.bodies import ApiModel, query_of
from vittne.appliance.api.moments import DAY_US
from vittne.appliance.api.reader import READER
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.store.times import now_us, rfc3339

_HERE: Final = "/compliance/announcements"
_DAYS: Final = 7


class TryQuery(ApiModel):
    """What the page begins with: an announcement, and one of its versions."""

    name: str = Field(default="", max_length=64)
    version: str = Field(default="", max_length=10)


async def announcements_page(request: web.Request) -> web.Response:
    """List announcements, and those that are too much alike."""
    query = query_of(request, announcements.ListQuery)
    found = await request.app[READER](announcements.announcements_of, query.retired)
    values: dict[str, Any] = {"announcements": found.announcements, "retired": query.retired}
    pairs = [announcement_tries.alike_shown(one) for one in await announcement_tries.pairs_of(request)]
    return render(request, "compliance/announcements.html", pairs=pairs, **values)


async def announcement_page(request: web.Request) -> web.Response:
    """Show an announcement with its versions."""
    found = await announcements.versions_of(request)
    return render(request, "compliance/announcement.html", one=found, here=_HERE)


async def try_page(request: web.Request) -> web.Response:
    """Choose what to look for and where, and see what is found."""
    query = query_of(request, TryQuery)
    known = (await request.app[READER](announcements.announcements_of, False)).announcements
    at = now_us()
    days: dict[str, Any] = {"since": rfc3339(at - _DAYS * DAY_US)[:10], "until": rfc3339(at + DAY_US)[:10]}
    return render(request, "compliance/announcement_try.html", known=known, query=query, here=_HERE, **days)


PAGES: Final = (
    Page(_HERE, announcements_page, "announcements", Item("Announcements", "volume-2", "Compliance"), ("audit",)),
    Page("/compliance/announcement-try", try_page, "announcements"),
    Page(f"{_HERE}/{{name}}", announcement_page, "announcements", None, ("audit",)),
)
