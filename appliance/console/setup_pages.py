"""The guided first start, and settings that may be changed here. Each step says what is there; none is a must."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from vittne.appliance.access.scopes import SETTINGS
from vittne.appliance.api.setup import SET_UP, interfaces_of, settings_of, steps_of
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.policy.classes import PRESETS


async def set_up(request: web.Request) -> web.StreamResponse:
    """Show how far the recorder is set up."""
    found = await steps_of(request)
    config = request.app[SET_UP].config
    return render(
        request,
        "setup.html",
        steps={one.name: one for one in found},
        done=sum(one.state == "done" for one in found),
        interfaces=interfaces_of(request),
        settings={one.name: one for one in settings_of(request)},
        presets=PRESETS.values(),
        data=str(config.data),
        erases_at=config.expiry.hour,
    )


async def traffic(request: web.Request) -> web.StreamResponse:
    """Show what the interfaces receive; the page asks for it every other second."""
    return render(request, "traffic.html", interfaces=interfaces_of(request))


async def settings(request: web.Request) -> web.StreamResponse:
    """Show what may be changed here."""
    return render(request, "settings.html", settings={one.name: one for one in settings_of(request)})


PAGES: Final = (
    Page("/setup", set_up, SETTINGS, Item("Set-up", "clipboard-check", "Settings")),
    Page("/settings/general", settings, SETTINGS, Item("General", "settings", "Settings")),
    Page("/setup/traffic", traffic, SETTINGS),
)
