"""The connection to a PBX, whatever it speaks: connect, log in, listen, ask whether it is there, connect again.

What is said on it is a Session's affair, which is pure: bytes in, triggers and bytes to send out.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from vittne.appliance.log import fault
from vittne.appliance.store.errors import StoreError
from vittne.appliance.triggers.model import ConnectionState, TriggerEvent
from vittne.appliance.triggers.settings import LinkSettings

log = structlog.get_logger()

_READ_BYTES: Final = 1 << 16

Tell = Callable[[TriggerEvent], Awaitable[None]]


class LinkRefused(StoreError):
    """The PBX does not let us in; trying again soon would only fill its log."""


class LinkLost(StoreError):
    """The connection can be used no longer."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    connect_s: float = 10.0
    login_s: float = 15.0  # Asterisk waits a second itself before it refuses
    ping_s: float = 20.0  # without a word until it is asked whether it is there
    pings: int = 2  # without an answer until it is given up
    back_off_s: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    refused_s: float = 60.0


@dataclass(slots=True)
class Said:
    """What came of some bytes: triggers in order, how many events they were in, and what to send."""

    triggers: list[TriggerEvent] = field(default_factory=list)
    events: int = 0
    answer: bytes = b""


class Session(Protocol):
    """One connection's conversation."""

    @property
    def is_following(self) -> bool:
        """Whether it has logged in and what it asked for is under way."""
        ...

    def feed(self, data: bytes, at_ns: int) -> Said:
        """Take in what came. Raises LinkRefused, LinkLost."""
        ...

    def ping(self) -> bytes:
        """Return a question that any healthy PBX answers."""
        ...


class Link:
    """Keeps one PBX followed until it is cancelled.

    tell is awaited for each trigger before the next is read: it hands over and returns. What it raises is
    logged and counted as an error of the connection, and the next trigger goes on.
    """

    def __init__(
        self,
        settings: LinkSettings,
        port: int,
        open_session: Callable[[], Session],
        tell: Tell,
        call_ids: Callable[[str], tuple[str, ...]],
        timing: Timing | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.call_ids = call_ids  # of the call that one of the PBX's channels is part of
        self._settings = settings
        self._port = port
        self._open_session = open_session
        self._tell = tell
        self._timing = timing or Timing()
        self._now_ns = now_ns
        self._failures = 0
        self._is_lost_logged = False
        self.state = ConnectionState(settings.name, since_ns=now_ns())

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            pause = await self._once()
            await asyncio.sleep(pause)

    async def _once(self) -> float:
        """Connect and follow until that ends; return how long to wait before the next time, in s."""
        steps = self._timing.back_off_s
        try:
            await self._follow()
        except LinkRefused as error:
            self._lost(str(error))
            return max(self._timing.refused_s, steps[min(self._failures - 1, len(steps) - 1)])
        except TimeoutError:
            self._lost("the PBX does not answer in time")
        except (StoreError, OSError) as error:  # the errors of TLS are OSErrors
            self._lost(str(error) or type(error).__name__)
        except Exception as error:  # a fault of ours: pauses must not end with it
            self._lost(fault(error))
        return steps[min(self._failures - 1, len(steps) - 1)]

    async def _follow(self) -> None:
        session = self._open_session()
        context = _tls(self._settings)
        async with asyncio.timeout(self._timing.connect_s):
            reader, writer = await asyncio.open_connection(self._settings.host, self._port, ssl=context)
        try:
            async with asyncio.timeout(self._timing.login_s):
                while not session.is_following:
                    await self._take(session, await reader.read(_READ_BYTES), writer)
            self._back()
            while True:
                await self._take(session, await self._heard(session, reader, writer), writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _heard(self, session: Session, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        for _ in range(self._timing.pings):
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(reader.read(_READ_BYTES), self._timing.ping_s)
            await self._send(session.ping(), writer)
        async with asyncio.timeout(self._timing.ping_s):
            return await reader.read(_READ_BYTES)

    async def _take(self, session: Session, data: bytes, writer: asyncio.StreamWriter) -> None:
        if not data:
            raise LinkLost("the PBX closed the connection", self._settings.name, "look at its log")
        now_ns = self._now_ns()
        said = session.feed(data, now_ns)
        if said.events:
            self.state.events += said.events
            self.state.last_event_ns = now_ns
        for trigger in said.triggers:
            await self._pass_on(trigger)
        if said.answer:
            await self._send(said.answer, writer)

    async def _send(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        async with asyncio.timeout(self._timing.connect_s):
            await writer.drain()

    async def _pass_on(self, trigger: TriggerEvent) -> None:
        self.state.triggers += 1
        try:
            await self._tell(trigger)
        except Exception as error:  # one trigger that could not be used; the next may end a pause
            self.state.last_error = f"a trigger could not be passed on: {type(error).__name__}"
            log.error("a trigger could not be passed on", pbx=self.state.name, reason=fault(error))

    def _back(self) -> None:
        self.state.connected = True
        self.state.since_ns = self._now_ns()
        self.state.last_error = ""
        self._failures = 0
        self._is_lost_logged = False
        log.info("the PBX is followed", pbx=self.state.name)

    def _lost(self, reason: str) -> None:
        self._failures += 1
        self.state.last_error = reason
        if self.state.connected:
            self.state.connected = False
            self.state.since_ns = self._now_ns()
        if not self._is_lost_logged:
            self._is_lost_logged = True
            log.error("the PBX is not followed", pbx=self.state.name, reason=reason)


def _tls(settings: LinkSettings) -> ssl.SSLContext | None:
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.ca_file)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
