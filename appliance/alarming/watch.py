"""What is looked at every few seconds and has no other place: disk, mirror, calls that should come, the certificate.

It says lines of the log, which are alarms and their ends (events/alarmlist.py). Time and what is seen come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from vittne.appliance.alarming.bounds import Bounds
from vittne.appliance.alarming.hours import begun
from vittne.appliance.alarming.settings import AlarmsConfig

log = structlog.get_logger()

_DISK_FINE: Final = 1.5  # times the bound, free share and days
_HELD_S: Final = 60.0
CERTIFICATE_DAYS: Final = (30, 7)
OWN_CERTIFICATE_DAYS: Final = (7,)  # one of our own is renewed with 30 left


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to see. free_share, days_left: of the disk; cards: packets of each; last_call_us: begin or end.

    certificate_days: left, None without the API. calls: that are up. writes: whether there is room to write audio.
    """

    at_us: int
    now_s: float
    free_share: float = 1.0
    days_left: float | None = None
    cards: Mapping[str, int] = field(default_factory=dict)
    last_call_us: int = 0
    calls: int = 0
    certificate_days: float | None = None
    is_own: bool = False
    writes: bool = True


class Watch:
    """Looks at what is seen, and says what changed."""

    def __init__(self, config: AlarmsConfig, started_us: int, when_full: str = "stop") -> None:
        """when_full: what is done then, by [store]."""
        self._config = config
        self._when_full = when_full
        self._started_us = started_us
        self._disk = Bounds(0, _HELD_S)
        self._full = Bounds()
        self._calls = Bounds()
        self._mirror: dict[str, Bounds] = {}
        self._packets: dict[str, int] = {}
        self._ends = 0  # the bound of days below which the certificate is; 0 for none
        self._ended = Bounds()

    def use(self, config: AlarmsConfig) -> None:
        """Go by other bounds; what stands is over by those."""
        self._config = config
        for bounds in self._mirror.values():
            bounds.wait(config.mirror_silent_s)

    def look(self, seen: Seen) -> None:
        """Raise and end alarms."""
        self._look_at_disk(seen)
        self._look_at_mirror(seen)
        self._look_at_calls(seen)
        if seen.certificate_days is not None:
            self._look_at_certificate(seen.certificate_days, seen)

    def _look_at_disk(self, seen: Seen) -> None:
        share, days = self._config.disk_free_percent / 100, self._config.disk_days
        is_low = seen.free_share < share or (seen.days_left is not None and seen.days_left < days)
        is_fine = seen.free_share > _DISK_FINE * share and (
            seen.days_left is None or seen.days_left > _DISK_FINE * days
        )
        told = {} if seen.days_left is None else {"days": seen.days_left}
        turn = self._disk.look(is_low, is_fine, seen.now_s)
        if turn == "raise":
            percent = round(100 * seen.free_share, 1)
            log.error("alarm: the disk is nearly full", percent=percent, action=self._when_full, **told)
        elif turn == "clear":
            log.info("the disk has room again", percent=round(100 * seen.free_share, 1), **told)
        turn = self._full.look(not seen.writes, seen.writes, seen.now_s)
        if turn == "raise":
            log.error("alarm: the disk is full; calls are not recorded", percent=round(100 * seen.free_share, 1))
        elif turn == "clear":
            log.info("there is room again; calls are recorded", percent=round(100 * seen.free_share, 1))

    def _look_at_mirror(self, seen: Seen) -> None:
        silent_s = self._config.mirror_silent_s
        for name, packets in seen.cards.items():
            bounds = self._mirror.setdefault(name, Bounds(silent_s))
            comes = name in self._packets and packets != self._packets[name]
            turn = bounds.look(silent_s > 0 and not comes and name in self._packets, comes, seen.now_s)
            self._packets[name] = packets
            if turn == "raise":
                log.error("alarm: nothing arrives from the mirror", interface=name)
            elif turn == "clear":
                log.info("packets arrive from the mirror again", interface=name)

    def _look_at_calls(self, seen: Seen) -> None:
        now = datetime.fromtimestamp(seen.at_us / 1e6, UTC)
        since = begun(self._config.calls, now)
        without_us = 60_000_000 * self._config.calls.without_min
        quiet_us = 0
        if since is not None and not seen.calls:
            quiet_us = seen.at_us - max(int(since.timestamp() * 1e6), self._started_us, seen.last_call_us)
        came = seen.calls > 0 or seen.at_us - seen.last_call_us < without_us
        turn = self._calls.look(quiet_us >= without_us, came, seen.now_s)
        if turn == "raise":
            log.error("alarm: no calls in business hours", minutes=quiet_us // 60_000_000)
        elif turn == "clear":
            log.info("there are calls again")

    def _look_at_certificate(self, days: float, seen: Seen) -> None:
        bounds = OWN_CERTIFICATE_DAYS if seen.is_own else CERTIFICATE_DAYS
        ends = min((bound for bound in bounds if days < bound), default=0)
        if ends != self._ends:
            if self._ends:
                log.info("the API's certificate is another one, or ends sooner", within_days=self._ends)
            if ends:
                log.error("alarm: the API's certificate ends soon", within_days=ends, days=round(days, 1))
            self._ends = ends
        turn = self._ended.look(days < 1, days >= 1, seen.now_s)
        if turn == "raise":
            log.error("alarm: the API's certificate ends within a day, or has ended", days=round(days, 1))
        elif turn == "clear":
            log.info("the API's certificate is good again")
