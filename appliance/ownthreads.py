"""A few threads of one's own for what may hang: a disk, openssl, a name server, a clock's daemon.

asyncio's default threads are few and everybody's: whoever hangs in them starves the others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OwnThreads:
    """Runs work in threads of its own, so many at once; who comes then waits, also for those that hang."""

    def __init__(self, name: str, most: int = 2) -> None:
        self._name = name
        self._most = most
        self._loop: asyncio.AbstractEventLoop | None = None
        self._free = asyncio.Semaphore(most)

    async def run(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        """Do it. Raises what it raises. Cancelled, it goes on, and its thread is free when it is done."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:  # another one than before: commands have one each
            self._loop, self._free = loop, asyncio.Semaphore(self._most)
        free = self._free
        await free.acquire()
        done: asyncio.Future[T] = loop.create_future()

        def settle(found: Any, error: BaseException | None) -> None:
            free.release()
            if not done.done():
                done.set_exception(error) if error is not None else done.set_result(found)

        def act() -> None:
            found: Any = None
            failed: BaseException | None = None
            try:
                found = work(*given, **named)
            except BaseException as error:
                failed = error
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, found, failed)

        # A daemon: what hangs for ever must not keep the recorder from stopping.
        try:
            threading.Thread(target=act, name=self._name, daemon=True).start()
        except RuntimeError:  # no thread to be had just now
            free.release()
            raise
        return await done
