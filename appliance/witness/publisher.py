"""Publishes the ledger every so often, and carries each new checkpoint to everybody who is configured.

Beside recording, never in its way: a target that fails is tried again with longer and longer pauses, always with
the newest checkpoint, and said once when it is lost and once when it is back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import structlog

from vittne.appliance.log import fault
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.store.errors import StoreError
from vittne.appliance.witness.cosigner import WitnessTarget
from vittne.appliance.witness.folder import DirectoryTarget
from vittne.appliance.witness.mail import MailTarget
from vittne.appliance.witness.settings import LedgerConfig
from vittne.appliance.witness.syslog import SyslogTarget
from vittne.appliance.witness.target import OneThread, Published, Target

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    send_s: float = 60.0
    back_off_s: tuple[float, ...] = (5.0, 15.0, 60.0, 300.0, 900.0)


_STANDARD: Final = Timing()


class Pusher:
    """One target, and what it was last given."""

    def __init__(self, name: str, target: Target, every_s: float, timing: Timing = _STANDARD) -> None:
        self.name = name
        self.sent = 0  # entries of the checkpoint that it took last
        self.last_error = ""
        self._target = target
        self._every_s = every_s
        self._timing = timing
        self._newest: Published | None = None
        self._new = asyncio.Event()
        self._failures = 0

    def offer(self, published: Published) -> None:
        """Have a checkpoint sent; one that was not sent yet gives way to it."""
        self._newest = published
        self._new.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            await self._new.wait()
            self._new.clear()
            await asyncio.sleep(await self._once())

    async def _once(self) -> float:
        """Send the newest; return how long to wait before the next, in s."""
        published = self._newest
        assert published is not None
        try:
            async with asyncio.timeout(self._timing.send_s):
                await self._target.send(published)
        except TimeoutError as error:
            return self._lost(str(error) or "no answer in time")
        except (StoreError, OSError) as error:
            return self._lost(str(error) or type(error).__name__)
        except Exception as error:  # a fault of ours: the other targets and recording go on
            return self._lost(fault(error))
        self.sent = published.checkpoint.size
        if self._failures:
            log.info("checkpoints of the ledger are taken again", by=self.name)
        self._failures, self.last_error = 0, ""
        return self._every_s

    def _lost(self, reason: str) -> float:
        if not self._failures:
            log.error("checkpoints of the ledger are not taken", by=self.name, reason=reason)
        self._failures += 1
        self.last_error = reason
        self._new.set()
        steps = self._timing.back_off_s
        return steps[min(self._failures, len(steps)) - 1]


class CheckpointPublisher:
    """Run beside the recorder: `CheckpointPublisher(ledger, config.ledger).run()`, until it is cancelled."""

    def __init__(self, ledger: Ledger, config: LedgerConfig, timing: Timing = _STANDARD) -> None:
        self._ledger = ledger
        self._publish_s = config.publish_s
        self._thread = OneThread()
        self._is_lost = False
        targets: list[tuple[str, Target, float]] = [
            *((one.name, SyslogTarget(one), one.every_s) for one in config.syslog),
            *((one.name, MailTarget(one), one.every_s) for one in config.mail),
            *((one.name, DirectoryTarget(one), one.every_s) for one in config.directory),
            *((one.name, WitnessTarget(one, ledger), one.every_s) for one in config.witness),
        ]
        self.pushers = [Pusher(name, target, every_s, timing) for name, target, every_s in targets]

    async def run(self) -> None:
        """Publish and push for ever; the first time at once."""
        async with asyncio.TaskGroup() as tasks:
            for pusher in self.pushers:
                tasks.create_task(pusher.run())
            offered = -1
            while True:
                published = await self._publish()
                if published is not None and published.checkpoint.size != offered:
                    offered = published.checkpoint.size
                    for pusher in self.pushers:
                        pusher.offer(published)
                await asyncio.sleep(self._publish_s)

    async def _publish(self) -> Published | None:
        found: list[Published] = []

        def publish() -> None:
            found.append(Published(*self._ledger.publish_note()))

        try:
            await self._thread.run(publish)
        except (StoreError, TimeoutError) as error:
            if not self._is_lost:
                log.error("the ledger cannot be published", reason=str(error))
            self._is_lost = True
            return None
        if self._is_lost:
            log.info("the ledger is published again")
        self._is_lost = False
        return found[0]
