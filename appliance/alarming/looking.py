"""Looks every few seconds at what watch.py judges: disk, cards, calls, the certificate of the API."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from vittne.appliance.alarming.watch import Seen, Watch
from vittne.appliance.api.tls import days_left, files_of
from vittne.appliance.config import Config
from vittne.appliance.events.bus import News
from vittne.appliance.events.capture import card
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.state import disk_state
from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.files import room_of_books
from vittne.appliance.store.times import now_us

_THREADS = OwnThreads("alarms", 1)
_EVERY_S: Final = 5.0
_FORECAST_S: Final = 60.0


class AlarmWatch:
    """What is seen of a running recorder. hear: is to be called with all news."""

    def __init__(self, config: Config, hub: Hub, every_s: float = _EVERY_S) -> None:
        self._config = config
        self._hub = hub
        self._every_s = every_s
        self._last_call_us = 0
        self._days: float | None = None
        self._forecast_s: float | None = None
        self._was_full = False
        self._watch = Watch(config.alarms, hub.started_us, config.store.when_full)

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return what makes it go by a configuration's bounds."""
        return lambda: self._watch.use(config.alarms)

    def hear(self, news: News) -> None:
        """Take notice of calls."""
        if news.kind == "call" and news.what in ("begun", "ended"):
            self._last_call_us = news.at_us

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._watch.look(await _THREADS.run(self._see, time.monotonic()))
            await asyncio.sleep(self._every_s)

    def _see(self, now_s: float) -> Seen:
        free, total = self._disk(now_s)
        api = self._config.api
        days, is_own = None, False
        if api.enabled:
            files = files_of(self._config.data, api)
            days, is_own = days_left(files.certificate, datetime.now(UTC)), bool(files.names)
        cards = {name: known.packets for name in self._hub.capture.interfaces if (known := card(name)) is not None}
        books = room_of_books(total) * (1.5 if self._was_full else 1)
        self._was_full = free < books
        return Seen(
            at_us=now_us(),
            now_s=now_s,
            free_share=free / max(1, total),
            days_left=self._days,
            cards=cards,
            last_call_us=self._last_call_us,
            calls=len(self._hub.calls),
            certificate_days=days,
            is_own=is_own,
            writes=not self._was_full,
        )

    def _disk(self, now_s: float) -> tuple[int, int]:
        """Return what is free, and the whole; now and then also see for how many days that is."""
        if self._forecast_s is None or now_s - self._forecast_s >= _FORECAST_S:
            with Catalogue(self._config.data / CATALOGUE_FILE, read_only=True) as catalogue:
                self._days = disk_state(catalogue, self._config.data, now_us()).days_left
            self._forecast_s = now_s
        found = os.statvfs(self._config.data)
        return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
