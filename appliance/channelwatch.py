"""Control channels that calls depend on: while one is down, nobody could pause those calls.

Where the profile says shut, matching calls are paused while their channel is down, later ones too, and go on when it
is back. Elsewhere they are recorded, and an alarm says so. What should be is compared with what is once a second,
so that a restart, a failed write or a changed configuration mends itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from vittne.appliance.log import fault
from vittne.appliance.pauseconfig import DependsConfig
from vittne.appliance.pausedesk import PauseDesk, Unconfirmed
from vittne.appliance.pbxlinks import PbxLinks
from vittne.appliance.store.errors import StoreError
from vittne.capture import pausing
from vittne.capture.columns import SECOND
from vittne.capture.pause import Pause
from vittne.capture.pausing import CHANNEL_DOWN, PauseOrder

log = structlog.get_logger()

_EVERY_S: Final = 1.0
_PATIENCE_S: Final = 15.0  # after the start, before a channel that was never up is an alarm
_LEASE_NS: Final = 24 * 3600 * SECOND  # renewed at its half

IsUp = Callable[[DependsConfig], bool]
Wanted = tuple[str, str]  # channel, selector=word: who paused, and what for


@dataclass(slots=True)
class _Channel:
    """What was told of a channel. was_up: None before anything was."""

    was_up: bool | None = None


class ChannelWatch:
    """Keeps the pauses of calls whose control channel is down."""

    def __init__(self, desk: PauseDesk, is_up: IsUp) -> None:
        self._desk = desk
        self._is_up = is_up
        self._begun_s = time.monotonic()
        self._channels = {one.channel: _Channel() for one in desk.config.depends}

    async def run(self) -> None:
        """Watch until cancelled. Also where nothing depends on a channel any more: what is left of it is ended."""
        while True:
            try:
                await self.look()
            except Exception as error:  # the outermost loop: it looks again
                log.error("control channels could not be looked at", reason=fault(error))
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Compare what should be paused with what is, and make them the same."""
        down = [one for one in self._desk.config.depends if not self._is_up(one)]
        self._tell({one.channel for one in down})
        shut = [one for one in down if self._desk.config.shuts(one)]
        wanted = {(one.channel, f"{name}={word}"): {name: word} for one in shut for name, word in one.match.words()}
        live: dict[Wanted, Pause] = {(p.actor, p.external_id): p for p in self._desk.live_by(CHANNEL_DOWN)}
        half_mono = time.monotonic_ns() + _LEASE_NS // 2
        async with asyncio.TaskGroup() as tasks:
            for key in wanted.keys() - live.keys():
                tasks.create_task(self._begin(key, wanted[key]))
            for key, pause in live.items():
                if key not in wanted:
                    tasks.create_task(self._done(self._desk.resume(pause.actor, pause.id)))
                elif pause.lease_mono < half_mono:
                    tasks.create_task(self._done(self._desk.extend(pause.id, _LEASE_NS)))

    async def _begin(self, key: Wanted, select: dict[str, str]) -> None:
        channel, what = key
        order = PauseOrder(
            pausing.new_id(),
            CHANNEL_DOWN,
            channel,
            select,
            time.time_ns(),
            time.monotonic_ns(),
            _LEASE_NS,
            scope="agent",  # whatever matches, also later
            several=True,
            reason="nobody could pause these calls",
            external_id=what,
        )
        await self._done(self._desk.pause(order))

    async def _done(self, asked: Awaitable[object]) -> None:
        with contextlib.suppress(Unconfirmed, StoreError):  # both were told; in a second it is tried again
            await asked

    def _tell(self, down: set[str]) -> None:
        """Say once when a channel is lost, and once when it is back."""
        is_early = time.monotonic() - self._begun_s < _PATIENCE_S
        for name, known in self._channels.items():
            is_up = name not in down
            if known.was_up is None and not is_up and is_early:
                continue
            if known.was_up is not False and not is_up:
                shut = any(self._desk.config.shuts(one) for one in _of(self._desk.config.depends, name))
                then = "they are not recorded" if shut else "they are recorded, and nobody could pause them"
                log.error("alarm: a control channel that calls depend on is down", channel=name, calls=then)
            elif known.was_up is False and is_up:
                log.error("alarm over: a control channel that calls depend on is back", channel=name)
            known.was_up = is_up


def is_up(one: DependsConfig, links: PbxLinks, heard: Mapping[str, float], now_s: float) -> bool:
    """Whether a channel is up: the PBX is followed, or a token of that name was used well in time."""
    if one.on != "api":
        return links.is_up(one.on)
    return now_s - heard.get(one.token, -math.inf) < one.within_s


def _of(depends: Sequence[DependsConfig], channel: str) -> list[DependsConfig]:
    return [one for one in depends if one.channel == channel]
