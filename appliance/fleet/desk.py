"""Searching all recorders for the API: on threads of its own, so that nothing else waits for a database far away.

One that does not answer is left alone for a while: who asks meanwhile is told so at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Final, TypeVar

from aiohttp import web

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.fleet.boxes import BadOrder, BoxSeen, Page, SharedCatalogue
from vittne.appliance.fleet.server import all_of
from vittne.appliance.fleet.settings import CatalogueSettings
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import BadCursor
from vittne.appliance.store.errors import StoreError

T = TypeVar("T")
_THREADS: Final = 2
_WAITING: Final = 8  # that search or wait at once
_ANSWER_S: Final = 8.0
_LEFT_ALONE_S: Final = 10.0


class NotShared(StoreError):
    """This recorder may not search a shared catalogue: none is configured."""


class TooMany(StoreError):
    """More search than are let in."""


class Away(StoreError):
    """The shared catalogue does not answer."""


class FleetDesk:
    """Searches. own: this recorder's schema there. clock_s: of the time for which one that is away is left alone."""

    def __init__(self, settings: CatalogueSettings, own: str, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.own = own
        self.is_shared = bool(settings.url and settings.reader)
        self._settings = settings
        self._clock_s = clock_s
        self._threads = ThreadPoolExecutor(_THREADS, "vittne-fleet")
        self._lock = Lock()
        self._shared: SharedCatalogue | None = None
        self._waiting = 0
        self._away_s = float("-inf")
        self._why = ""

    async def boxes(self) -> list[BoxSeen]:
        """Return all recorders. Raises NotShared, Away, TooMany."""
        return await self._work(lambda shared: shared.boxes())

    async def search(
        self, who: Principal, query: Query, now_us: int, limit: int, cursor: str = "", recorder: str = ""
    ) -> Page:
        """Return a page of what a search finds. Raises Hidden, BadCursor, NotShared, Away, TooMany."""
        return await self._work(lambda shared: shared.search(who, query, now_us, limit, cursor, recorder))

    def close(self) -> None:
        """Take no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            if self._shared is not None:
                self._shared.close()

    async def _work(self, what: Callable[[SharedCatalogue], T]) -> T:
        if not self.is_shared:
            raise NotShared("this recorder searches no shared catalogue", "[catalogue]", "docs/shared-catalogue.md")
        if self._clock_s() - self._away_s < _LEFT_ALONE_S:
            raise Away(self._why, self._settings.url, "it is tried again in some seconds")
        if self._waiting >= _WAITING:
            raise TooMany("too many search all recorders", self._settings.url, "try it again")
        self._waiting += 1
        return await asyncio.shield(self._done(what))

    async def _done(self, what: Callable[[SharedCatalogue], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: what(self._opened()))
        except (Hidden, BadCursor, BadOrder):
            raise
        except StoreError as error:
            self._away_s, self._why = self._clock_s(), error.what
            raise Away(error.what, self._settings.url, "it is tried again in some seconds") from error
        finally:
            self._waiting -= 1

    def _opened(self) -> SharedCatalogue:
        with self._lock:
            if self._shared is None:
                self._shared = SharedCatalogue(replace(all_of(self._settings), answer_s=_ANSWER_S))
            return self._shared


FLEET_DESK: Final = web.AppKey("vittne.fleet_desk", FleetDesk)
