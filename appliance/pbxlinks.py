"""What PBXs say on their own control channels, done at the pause desk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import structlog

from vittne.appliance.pausedesk import PauseDesk, Unconfirmed
from vittne.appliance.triggers.ami import ami_link
from vittne.appliance.triggers.esl import esl_link
from vittne.appliance.triggers.link import Link
from vittne.appliance.triggers.model import TriggerEvent
from vittne.appliance.triggers.settings import AmiSettings, EslSettings
from vittne.capture import pausing
from vittne.capture.columns import SECOND
from vittne.capture.pausing import PauseOrder

log = structlog.get_logger()

TRIGGER: Final = "pbx"
_WAIT_NS: Final = 10 * SECOND  # the PBX may know of a call before its first packet was heard


class PbxLinks:
    """The connections to all PBXs that are configured."""

    def __init__(self, desk: PauseDesk, ami: Sequence[AmiSettings], esl: Sequence[EslSettings]) -> None:
        self._desk = desk
        self._by_name: dict[str, Link] = {f"ami:{one.name}": ami_link(one, self.tell) for one in ami}
        self._by_name |= {f"esl:{one.name}": esl_link(one, self.tell) for one in esl}
        self.links = list(self._by_name.values())
        desk.channels = self.call_ids

    async def run(self) -> None:
        """Follow all of them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for link in self.links:
                tasks.create_task(link.run())

    def is_up(self, name: str) -> bool:
        """Whether a PBX is followed now; name: ami:NAME or esl:NAME."""
        link = self._by_name.get(name)
        return link is not None and link.state.connected

    def call_ids(self, channel: str) -> tuple[str, ...]:
        """Return the SIP Call-IDs of the call that a PBX's channel is part of; none when no PBX knows it."""
        for link in self.links:
            found = link.call_ids(channel)
            if found:
                return found
        return ()

    async def tell(self, event: TriggerEvent) -> None:
        """Pause or resume what a PBX says."""
        try:
            await (self._pause(event) if event.action == "pause" else self._resume(event))
        except Unconfirmed:
            log.error("alarm: a PBX's trigger was not confirmed", pbx=event.source, action=event.action)

    async def _pause(self, event: TriggerEvent) -> None:
        at, mono = time.time_ns(), time.monotonic_ns()
        config = self._desk.config
        order = PauseOrder(
            pausing.new_id(),
            TRIGGER,
            event.source,
            dict(event.select),
            at,
            mono,
            int(config.lease_s * SECOND),
            min(event.at_ns, at),
            event.scope,
            wait_ns=_WAIT_NS,
            several=True,  # legs of one call, as the PBX says
            also=event.call_ids,
            is_update=True,
            at_lease_end=config.lease_end,
            reason=event.reason,
            external_id=_identity(event),
        )
        done = await self._desk.pause(order)
        if done.state not in (pausing.PAUSED, pausing.ALREADY, pausing.ARMED):
            log.error("alarm: a PBX asked for a pause and nothing was paused", pbx=event.source, why=done.state)

    async def _resume(self, event: TriggerEvent) -> None:
        known = self._desk.live(TRIGGER, event.source, _identity(event))
        if not known:
            log.info("a PBX resumes what is not paused", pbx=event.source)
        for pause in known:
            await self._desk.resume(event.source, pause.id)


def _identity(event: TriggerEvent) -> str:
    """Return what a PBX calls the pause, see triggers/model.py."""
    return event.external_id or " ".join(f"{name}={value}" for name, value in event.select.items())
