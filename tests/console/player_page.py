"""A page with nothing but a player, as the page of a recording includes it, and a recorder behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from console.desk import ROUTES as CONSOLE_ROUTES
from jinja2 import ChoiceLoader, DictLoader

from vittne.appliance.api import audio, listening
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.console.pages import Page
from vittne.appliance.console.render import CONSOLE, render
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.seal.capsule import KeyStore

ROUTES: Final = (*CONSOLE_ROUTES, *listening.ROUTES, *audio.ROUTES)
_TEMPLATE: Final = """{% extends "base.html" %}{% block page %}<h1>A call</h1>
<div data-recording="{{ recording }}">{% include "player.html" %}</div>{% endblock %}"""


async def player(request: web.Request) -> web.StreamResponse:
    environment = request.app[CONSOLE].environment("en")
    if not isinstance(environment.loader, ChoiceLoader):
        assert environment.loader is not None
        environment.loader = ChoiceLoader([DictLoader({"player-test.html": _TEMPLATE}), environment.loader])
    return render(request, "player-test.html", recording=request.match_info["id"])


PAGES: Final = (Page("/heard/{id}", player, scope="listen"),)


def with_keys(data: Path) -> Callable[[web.Application], None]:
    """Return what fills an application with a desk to hear at; its archive is unlocked."""
    store = KeyStore(data / "keys.db")
    keys = KeyProcess(data, store)

    async def key(recording: str, part: int) -> bytes:
        if keys.is_dead:
            await keys.start()
            await keys.unlock(None)
        return await keys.data_key(recording, part)

    def fill(app: web.Application) -> None:
        async def close(_: web.Application) -> None:
            await keys.close()
            store.close()

        add_audio(app, AudioDesk(data, app[OPERATOR], key))
        app.on_cleanup.append(close)

    return fill
