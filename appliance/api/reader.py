"""Reading for the API, away from the recorder's event loop: a few threads of its own, and the catalogue read only.

What takes seconds (a report, the whole trail held against the ledger) has a thread apart, so that searches never wait
for it; who finds it taken by too many is told to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from aiohttp import web

from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue

P = ParamSpec("P")
T = TypeVar("T")
_THREADS: Final = 4
_LONG: Final = 4  # that wait or run at once


class TooBusy(Exception):
    """Too much that takes long is being done already."""


class Reader:
    """Does what only reads. Raises StoreError when the catalogue cannot be opened."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.catalogue = Catalogue(data_dir / CATALOGUE_FILE, read_only=True)
        self._threads = ThreadPoolExecutor(_THREADS, "vittne-api-read")
        self._passwords = ThreadPoolExecutor(1, "vittne-api-passwords")
        self._access = ThreadPoolExecutor(1, "vittne-api-access")
        self._slow = ThreadPoolExecutor(1, "vittne-api-long")
        self._waiting = 0

    async def __call__(self, read: Callable[Concatenate[Catalogue, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function makes of the catalogue, and of these arguments."""
        return await self.work(lambda: read(self.catalogue, *args, **kwargs))

    async def work(self, what: Callable[[], T]) -> T:
        """Return what a function that takes long returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, what)

    async def hash(self, what: Callable[[], T]) -> T:
        """Return what a look at a password returns: it takes long, and does not wait behind searches."""
        return await asyncio.get_running_loop().run_in_executor(self._passwords, what)

    async def access(self, what: Callable[[], T]) -> T:
        """Write a row of a session or a token: behind none of the others, and in none of their turns."""
        return await asyncio.get_running_loop().run_in_executor(self._access, what)

    async def long(self, what: Callable[[], T]) -> T:
        """Return what a function that takes seconds returns, one after the other. Raises TooBusy."""
        if self._waiting >= _LONG:
            raise TooBusy
        self._waiting += 1
        # Who goes away lets nobody else in before what was begun is done.
        return await asyncio.shield(self._done(what))

    async def _done(self, what: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._slow, what)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Take no more work; what is being done ends by itself."""
        self._passwords.shutdown(wait=False, cancel_futures=True)
        self._access.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self.catalogue.close()


READER: Final = web.AppKey("vittne.reader", Reader)
