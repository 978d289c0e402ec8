"""The parent's desk for live listening: who listens to what, what the worker is told of it, and what it sends.

Used from the recorder's loop. What comes from a worker is handed on as it is; only its head is looked at.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from vittne.appliance.live.listening import Listening
from vittne.appliance.live.messages import HEAD, HEARD, LEVELS, MOST_BYTES, STATES, parse_levels
from vittne.appliance.live.settings import LiveListenSettings
from vittne.appliance.protocol import Command, Listener
from vittne.capture.levels import Level

log = structlog.get_logger()

Sender = Callable[[Command], None]
_AT_ONCE: Final = 64  # messages, before others have their turn
_ROOM_BYTES: Final = 1 << 20


class TooMany(Exception):
    """As many listen as may at once."""


class LiveDesk:
    """See the module. told: is called with the levels of calls, about once a second while somebody wants them."""

    def __init__(
        self,
        settings: LiveListenSettings,
        told: Callable[[Sequence[Level]], None] = lambda _: None,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.told = told
        self._now_s = now_s
        self._open: dict[int, Listening] = {}
        self._numbers = 0
        self._send: Sender | None = None
        self._socket: socket.socket | None = None
        self._wants_levels = 0

    # The worker's side

    def pair(self) -> socket.socket:
        """Return what a new worker sends to; ours is read from attach() on."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        for one in (ours, theirs):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM_BYTES)
        self._socket = ours
        return theirs

    def attach(self, send: Sender) -> None:
        """A worker listens to commands: it is told who listens."""
        self._send = send
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket.fileno(), self._take)
        if self._open or self._wants_levels:
            self._order()

    def detach(self) -> None:
        """The worker is gone; who listens waits for the next one."""
        self._send = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _order(self) -> None:
        if self._send is not None:
            listening = [Listener(one.number, one.recording) for one in self._open.values()]
            at, mono = time.time_ns(), time.monotonic_ns()
            self._send(Command(0, "live", at, mono, listening=listening, levels=self._wants_levels > 0))

    def _take(self) -> None:
        assert self._socket is not None
        for _ in range(_AT_ONCE):
            try:
                message = self._socket.recv(MOST_BYTES)
            except BlockingIOError:
                return
            except OSError:
                message = b""
            if not message:  # it died: the supervisor sees to that
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
                return
            self._hand_on(message)

    def _hand_on(self, message: bytes) -> None:
        if len(message) < HEAD.size:
            return
        kind, number, _, state, _ = HEAD.unpack_from(message)
        if kind == HEARD and state < len(STATES):
            listening = self._open.get(number)
            if listening is not None:
                listening.put(message, STATES[state])
        elif kind == LEVELS and self._wants_levels:
            with contextlib.suppress(ValueError):
                self.told(parse_levels(message))

    # Those who listen

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._open)

    def refuse_too_many(self) -> None:
        """Raise TooMany when nobody more may listen."""
        if len(self._open) >= self.settings.listeners:
            raise TooMany

    async def listen(self, recording: str, mute: tuple[bool, bool]) -> Listening:
        """Begin to listen to a call. mute: sides that are not heard. Raises TooMany, NotHeard."""
        self.refuse_too_many()
        self._numbers += 1
        one = Listening(self._numbers, recording, self.settings.hold_ms, mute, self._now_s)
        self._open[one.number] = one
        try:
            await one.start()
        except BaseException:
            await self.end(one)
            raise
        self._order()
        return one

    async def end(self, one: Listening) -> None:
        """End listening: from then on the worker sends nothing of it."""
        if self._open.pop(one.number, None) is not None:
            self._order()
        await one.close()
        if one.dropped:
            log.warning("some of a call could not be heard live in time", turns=one.dropped)

    @contextmanager
    def wanting_levels(self) -> Iterator[None]:
        """Have levels told for a while."""
        self._wants_levels += 1
        if self._wants_levels == 1:
            self._order()
        try:
            yield
        finally:
            self._wants_levels -= 1
            if not self._wants_levels:
                self._order()

    async def close(self) -> None:
        """End all listening."""
        for one in list(self._open.values()):
            await self.end(one)
