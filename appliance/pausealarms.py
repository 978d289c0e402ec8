"""An alarm, once a day and agent, when somebody's pauses are more or longer than is configured."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

from vittne.appliance.log import fault
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausequeries import pauses_between, talks_of
from vittne.appliance.pausereport import Bounds, Group, groups_of
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_EVERY_S: Final = 300.0
_DAY_US: Final = 24 * 3600 * 1_000_000


class PauseAlarms:
    """Looks at the pauses of today (UTC), again and again."""

    def __init__(self, data: Path, config: PauseConfig) -> None:
        self._data = data
        self._bounds = Bounds(config.report_longest_s, config.report_most_per_day)
        self._told: set[tuple[int, str]] = set()  # day, agent

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await asyncio.to_thread(self.look, now_us())
            except Exception as error:  # the outermost loop: it looks again
                log.error("pauses could not be looked at", reason=fault(error))

    def look(self, now: int) -> None:
        """Raise the alarms that the pauses of the day so far ask for, each once. now: microseconds UTC."""
        day = now // _DAY_US
        self._told = {told for told in self._told if told[0] == day}
        for group in self._groups(day * _DAY_US, now):
            if group.by == "agent" and group.over and (day, group.name) not in self._told:
                self._told.add((day, group.name))
                log.error(
                    "alarm: pauses of an agent are over what is configured",
                    agent=group.name or "unknown",
                    over=group.over,
                    pauses=group.pauses,
                    longest_s=round(group.longest_s),
                )

    def _groups(self, since_us: int, now: int) -> list[Group]:
        with Catalogue(self._data / CATALOGUE_FILE, read_only=True) as catalogue:
            pauses = pauses_between(catalogue, since_us, None)
            talks = talks_of(catalogue, since_us, None, pauses, now * 1000)
        return groups_of(pauses, talks, self._bounds, now * 1000)
