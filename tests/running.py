"""What a running recorder offers to commands, without the capturing: the lock, the registrar, the socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vittne.appliance.control.operation import Operation
from vittne.appliance.control.server import ControlServer, Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.lock import DataLock


@contextmanager
def running(
    data: Path,
    operations: Iterable[Operation[Any]] = OPERATIONS,
    prepare: Callable[[Registrar], None] = lambda _: None,
) -> Iterator[None]:
    """Hold a data directory as a recorder does, in a thread with a loop of its own. prepare: is given the registrar."""
    ready = threading.Event()
    done = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        registrar = Registrar(data)
        prepare(registrar)
        server = ControlServer(data, Operator(registrar, operations))
        await server.start()
        ready.set()
        await done.wait()
        await server.stop()
        registrar.close()

    with DataLock(data, "recording"):
        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield
        finally:
            loops[0].call_soon_threadsafe(done.set)
            thread.join(10)
