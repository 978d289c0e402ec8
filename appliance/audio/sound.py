"""The recorder's side of a sound process: start it, have a recording opened, ask it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any, Final

from vittne.appliance.audio import messages
from vittne.appliance.processes import end_process
from vittne.appliance.store.errors import StoreError

_OPEN_S: Final = 60.0  # a recording of many hours is read through once
_ANSWER_S: Final = 30.0
_STOP_S: Final = 2.0
_KEPT: Final = ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH")


class SoundLost(StoreError):
    """The process that decoded broke off."""


class SoundProcess:
    """One process. Methods may be called at the same time; it answers one by one."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        """Start it, and wait until it has everything loaded. Raises SoundLost."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "vittne.appliance.audio.process",
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env={**{name: os.environ[name] for name in _KEPT if name in os.environ}, "OPENBLAS_NUM_THREADS": "1"},
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        await self._exchange(b"", _OPEN_S)

    async def open(
        self, folder: Path, keys: dict[int, bytes], answered_us: int | None, ended_us: int | None
    ) -> dict[str, Any]:
        """Have a recording opened; return what process.Sound.about() says. Raises StoreError."""
        asked = {
            "folder": str(folder),
            "keys": [[n, b64encode(key).decode()] for n, key in keys.items()],
            "answered_us": answered_us,
            "ended_us": ended_us,
        }
        return (await self._ask(asked, _OPEN_S))[0]

    async def pcm(self, first: int, count: int, party: str, mute: tuple[bool, bool]) -> bytes:
        """Return samples, 16 bits little endian, interleaved when both parties are asked for."""
        asked = {"do": "pcm", "first": first, "count": count, "party": party, "mute": mute}
        return (await self._ask(asked))[1]

    async def peaks(self, from_ms: int, to_ms: int, points: int) -> bytes:
        """Return (n, 4) int16 little endian: lowest and highest sample of the left and of the right side."""
        return (await self._ask({"do": "peaks", "from_ms": from_ms, "to_ms": to_ms, "points": points}))[1]

    async def encoded(self, wanted: dict[str, Any], offset: int, most: int) -> tuple[bytes, int | None]:
        """Return bytes of a file from an offset on, and how many it has, once that is known.

        wanted: {"kind", "party", "first", "end", "mute"}; first, end: samples.
        """
        said, data = await self._ask({"do": "encoded", **wanted, "offset": offset, "most": most})
        return data, said["total"]

    async def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        self._writer.close()
        await end_process(self._process, _STOP_S)

    @property
    def is_dead(self) -> bool:
        """Whether it was started and is gone."""
        return self._process is not None and (self._process.returncode is not None or self._writer.is_closing())

    async def _ask(self, asked: dict[str, Any], within_s: float = _ANSWER_S) -> tuple[dict[str, Any], bytes]:
        # Whoever asked may go away; the answer is taken off the socket all the same, or the next one would get it.
        exchange = asyncio.ensure_future(self._exchange(messages.pack(asked), within_s))
        exchange.add_done_callback(lambda done: done.cancelled() or done.exception())
        said, data = await asyncio.shield(exchange)
        if "error" in said:
            raise StoreError(*said["error"])
        return said, data

    async def _exchange(self, request: bytes, within_s: float) -> tuple[dict[str, Any], bytes]:
        async with self._turn:
            try:
                self._writer.write(request)
                async with asyncio.timeout(within_s):
                    body, data = messages.lengths(await self._reader.readexactly(messages.HEAD.size))
                    said = messages.parse(await self._reader.readexactly(body))
                    return said, await self._reader.readexactly(data)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                self._writer.close()
                next_step = "try again; if it goes on, `vittne verify` says whether the recording is whole"
                raise SoundLost("decoding it broke off", "", next_step) from error
