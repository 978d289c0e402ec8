"""One who hears a call while it lasts: its decoder, what waits to be heard, and why it ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from vittne.appliance.analysis.narrow import RATE
from vittne.appliance.live.messages import MOST_BYTES, READY, SoundBlock
from vittne.appliance.processes import end_process
from vittne.appliance.store.errors import StoreError
from vittne.capture.tap import State

Ended = Literal["", "call", "gate", "rule", "unknown", "slow", "decoder", "closed"]

_START_S: Final = 30.0
_STOP_S: Final = 2.0
_MOST_WAITING: Final = 10 * RATE  # samples: who is so far behind hears nothing live
_UNKNOWN_S: Final = 8.0  # a worker that begins anew does not know a call at once
_LAST_S: Final = 0.3  # beyond the hold, for what is under way when a call ends
_ENDS: Final[dict[State, Ended]] = {"ended": "call", "shut": "gate", "private": "rule", "unknown": "unknown"}
_KEPT: Final = ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH")


class NotHeard(StoreError):
    """Listening could not begin."""


class Listening:
    """See the module. now_s: a clock that never goes back."""

    def __init__(self, number: int, recording: str, hold_ms: int, mute: tuple[bool, bool], now_s: Callable[[], float]):
        self.number = number
        self.recording = recording
        self.ended: Ended = ""
        self.dropped = 0  # turns that the decoder had no room for
        self._hold_ms = hold_ms
        self._mute = mute
        self._now_s = now_s
        self._process: asyncio.subprocess.Process | None = None
        self._socket: socket.socket | None = None
        self._waiting: deque[SoundBlock] = deque()
        self._samples = 0
        self._wake = asyncio.Event()
        self._ends_at_s: float | None = None
        self._ends_as: Ended = ""

    async def start(self) -> None:
        """Start the decoder, and wait until it has everything loaded. Raises NotHeard."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._socket = ours
        mute = "".join(str(int(one)) for one in self._mute)
        arguments = "-m", "vittne.appliance.live.process", str(theirs.fileno()), str(self._hold_ms), mute
        loop = asyncio.get_running_loop()
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *arguments,
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    env={**{n: os.environ[n] for n in _KEPT if n in os.environ}, "OPENBLAS_NUM_THREADS": "1"},
                )
            async with asyncio.timeout(_START_S):
                if await loop.sock_recv(ours, len(READY)) != READY:
                    raise NotHeard("the decoder did not start", "live listening", "try again; the log says more")
        except (OSError, TimeoutError) as error:
            raise NotHeard("the decoder did not start", "live listening", "try again; the log says more") from error
        loop.add_reader(ours.fileno(), self._take)

    # From the worker

    def put(self, message: bytes, state: State) -> None:
        """Hand a turn on; what the decoder has no room for is dropped."""
        if self._socket is None or self.ended:
            return
        try:
            self._socket.send(message)
        except BlockingIOError:
            self.dropped += 1
        except OSError:
            self._end("decoder")
        ends = _ENDS.get(state, "")
        if not ends:
            self._ends_at_s = None
        elif self._ends_at_s is None or ends != self._ends_as:
            wait_s = {"call": self._hold_ms / 1000 + _LAST_S, "unknown": _UNKNOWN_S}.get(ends, 0.0)
            self._ends_at_s, self._ends_as = self._now_s() + wait_s, ends
        if self._ends_at_s is not None and self._now_s() >= self._ends_at_s:
            self._end(self._ends_as)

    # From the decoder

    def _take(self) -> None:
        assert self._socket is not None
        try:
            message = self._socket.recv(MOST_BYTES)
            block = SoundBlock.parse(message) if message else None
        except BlockingIOError:
            return
        except (OSError, ValueError):
            block = None
        if block is None:
            self._end("decoder")
            return
        self._waiting.append(block)
        self._samples += block.samples
        if self._samples > _MOST_WAITING:
            self._end("slow")
        self._wake.set()

    async def block(self, timeout_s: float) -> SoundBlock | None:
        """Return what is to be heard next; None when nothing came in time, or it ended."""
        if not self._waiting and not self.ended:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return None
        if not self._waiting or self.ended not in ("", "call"):
            return None
        block = self._waiting.popleft()
        self._samples -= block.samples
        return block

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be heard."""
        return bool(self.ended) and (self.ended != "call" or not self._waiting)

    def _end(self, why: Ended) -> None:
        self.ended = self.ended or why
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._wake.set()

    async def close(self) -> None:
        """End it, and its decoder."""
        self._end("closed")
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            await end_process(self._process, _STOP_S)
