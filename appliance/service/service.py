"""This program as a service: what its supervisor asks of, and tells, the service manager. Without one, nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from vittne.appliance.livesettings import LiveSettings
from vittne.appliance.service import kept
from vittne.appliance.service.manager import ServiceManager
from vittne.capture.ringopen import RingHandle

log = structlog.get_logger()


@dataclass(slots=True)
class Service:
    """memory: of the workers of an earlier run, to go on from; settings: theirs, where they are not those of now."""

    manager: ServiceManager = field(default_factory=ServiceManager)
    memory: tuple[int, int] | None = None
    settings: LiveSettings | None = None
    is_kept: bool = False
    _is_ready: bool = False

    def keep(self, data: Path, rings: Sequence[RingHandle], memory: tuple[int, int], settings: LiveSettings) -> None:
        """Have kept what the next start goes on from."""
        # Until a worker closed what was begun with other settings, it is these that its snapshot goes with.
        lasting = self.settings or settings
        self.is_kept = kept.keep(self.manager, data, rings, memory, lasting.as_json())
        if self.manager and not self.is_kept:
            log.warning("the service manager keeps no rings: FileDescriptorStoreMax is too small, or not set")

    def note(self, calls: int, packets: int) -> None:
        """Say that a worker works, and on how much."""
        status = f"STATUS={calls} calls up, {packets} packets seen"
        self.manager.say(*((status,) if self._is_ready else ("READY=1", status)))
        self._is_ready = True

    def reloading(self, mono_us: int) -> None:
        """Say that the configuration is read anew. mono_us: CLOCK_MONOTONIC. Who is not ready yet must not say it."""
        if self._is_ready:
            self.manager.say("RELOADING=1", f"MONOTONIC_USEC={mono_us}")

    def reloaded(self) -> None:
        """Say that this is over."""
        if self._is_ready:
            self.manager.say("READY=1")

    def stopping(self) -> None:
        """Say that the end began."""
        self.manager.say("STOPPING=1")

    def forget(self, rings: int) -> None:
        """Have nothing kept: the end was an orderly one."""
        if self.is_kept:
            kept.forget(self.manager, rings)
            self.is_kept = False

    async def feed_watchdog(self) -> None:
        """Say again and again that the loop turns: it registers every recording, and answers who wants a pause."""
        if self.manager.watchdog_s is None:
            return
        while True:
            self.manager.say("WATCHDOG=1")
            await asyncio.sleep(self.manager.watchdog_s)
