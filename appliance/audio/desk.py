"""What the API hears with: recordings that are open, players that are open, and what keeps both tidy."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from aiohttp import web

from vittne.appliance.audio.listening import Listenings
from vittne.appliance.audio.sounds import DataKey, Sounds, no_keys
from vittne.appliance.control.server import Operator


class AudioDesk:
    """Sounds and players of one recorder."""

    def __init__(self, data_dir: Path, operator: Operator, key: DataKey = no_keys) -> None:
        self.sounds = Sounds(data_dir, key)
        self.listenings = Listenings(operator, time.monotonic)

    async def running(self, _: web.Application) -> AsyncIterator[None]:
        """Keep both tidy while an application runs: one of its cleanup_ctx."""
        tasks = [asyncio.create_task(one.run()) for one in (self.listenings, self.sounds)]
        yield
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


AUDIO: Final = web.AppKey("vittne.audio", AudioDesk)


def add_audio(app: web.Application, desk: AudioDesk) -> None:
    """Give an application what it hears with; before it is started."""
    app[AUDIO] = desk
    app.cleanup_ctx.append(desk.running)
