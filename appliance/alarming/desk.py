"""All channels for alarms beside a recorder: they hear what is raised and what is over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from vittne.appliance.alarming.mail import MailCarrier
from vittne.appliance.alarming.notice import Notice, What, Words, notice_of, trial
from vittne.appliance.alarming.settings import AlarmsConfig
from vittne.appliance.alarming.snmp import SnmpCarrier, engine_id
from vittne.appliance.alarming.way import Pace, Way
from vittne.appliance.config import Config
from vittne.appliance.events.alarmlist import UNTOLD
from vittne.appliance.events.alarms import Alarm, Alarms
from vittne.appliance.events.bus import News
from vittne.appliance.store.times import now_us

_TRAPS_PER_HOUR = 3600


class AlarmDesk:
    """Used from the recorder's loop; only what is asked about it comes from other threads."""

    def __init__(self, alarms: Alarms, ways: Sequence[Way] = (), config: AlarmsConfig | None = None) -> None:
        self.alarms = alarms
        self.ways = list(ways)
        self.config = config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return what has a configuration's channels told from now on: what waits for one goes to that of its name."""
        if config.alarms == self.config:
            return lambda: None
        ways = ways_of(config.alarms)

        def use() -> None:
            before = {way.name: way for way in self.ways}
            for way in ways:
                if way.name in before:
                    way.take_over(before.pop(way.name))
            for name in before:
                self.alarms.clear(UNTOLD.name, name)
            self.ways, self.config = ways, config.alarms
            self._changed.set()

        return use

    def hear(self, news: News) -> None:
        """Take news; quick, and raises nothing. What comes again while it stands was told."""
        if news.kind != "alarm" or not isinstance(news.told, Alarm):
            return
        what: What = "raised" if news.what == "raised" else "cleared"
        if what == "cleared" or news.told.times == 1:
            self._offer(notice_of(what, news.told))

    def _offer(self, notice: Notice) -> None:
        for way in self.ways:
            way.offer(notice)

    def test(self) -> None:
        """Have every channel tried; may be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._offer, trial(now_us()))

    def channels(self) -> list[dict[str, Any]]:
        """Return how each channel stands."""
        return [way.as_json() for way in self.ways]

    async def run(self) -> None:
        """Tell until cancelled; first what was raised before anybody listened."""
        is_first = self._loop is None
        self._loop = asyncio.get_running_loop()
        if is_first:
            for alarm in reversed(self.alarms.standing(now_us())):
                self._offer(notice_of("raised", alarm))
        while True:
            self._changed.clear()
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(way.run()) for way in self.ways]
                await self._changed.wait()
                for task in tasks:
                    task.cancel()


def desk_of(alarms: Alarms, config: AlarmsConfig) -> AlarmDesk:
    """Return who tells of alarms."""
    return AlarmDesk(alarms, ways_of(config), config)


def ways_of(config: AlarmsConfig) -> list[Way]:
    """Return the channels that are configured."""
    say = _language(config) if config.mail else str
    by_mail = Pace(config.gather_s, config.mails_per_hour)
    ways = [Way("mail", one, MailCarrier(one, say), by_mail) for one in config.mail]
    by_trap, name = Pace(per_hour=_TRAPS_PER_HOUR), {"engine_id": f"0x{engine_id(socket.gethostname()).hex()}"}
    return [*ways, *(Way("snmp", one, SnmpCarrier(one), by_trap, name) for one in config.snmp)]


def _language(config: AlarmsConfig) -> Words:
    from vittne.appliance.console.texts import read_texts  # noqa: PLC0415 - only where mails are written

    return read_texts()[config.language].gettext
