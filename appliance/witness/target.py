"""What a checkpoint is sent to, and how something that may hang is done without hanging with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from vittne.appliance.seal.note import Checkpoint


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint with the note that signs it."""

    checkpoint: Checkpoint
    note: bytes


class Target(Protocol):
    """Where checkpoints go."""

    async def send(self, published: Published) -> None:
        """Hand a checkpoint over. Raises OSError, StoreError, TimeoutError; then it is tried again."""
        ...


class OneThread:
    """Runs what blocks in a thread that nobody waits for at the end, and never two at once."""

    def __init__(self) -> None:
        self._hangs = False

    async def run(self, action: Callable[[], None]) -> None:
        """Do it. Raises what it raises; TimeoutError when the one before it still hangs."""
        if self._hangs:
            raise TimeoutError("the attempt before this one still hangs")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: Exception | None) -> None:
            if not done.done():
                done.set_exception(error) if error is not None else done.set_result(None)

        def work() -> None:
            found: Exception | None = None
            try:
                action()
            except Exception as error:
                found = error
            self._hangs = False  # before anybody hears that it is done, and begins the next
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(settle, found)

        # A daemon: a mount that hangs for ever must not keep the recorder from stopping.
        self._hangs = True
        try:
            threading.Thread(target=work, name="checkpoint", daemon=True).start()
        except RuntimeError:  # no thread to be had just now
            self._hangs = False
            raise
        await done
