"""How capturing goes, from what the worker says every second or two: rates, and alarms that do not come and go.

An alarm has two limits: it is raised above one and over below another, or after a while without what raised it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from vittne.appliance.events.alarmlist import PACKETS_LOST, RING_FULL, WRITE_FAILED
from vittne.appliance.events.alarms import Alarms
from vittne.appliance.protocol import Status
from vittne.capture.interfaces import Interface, look_up

log = structlog.get_logger()

LOSING: Final = ("kernel", "network card")  # layers of Status.drops where something is lost that nobody has seen
RING_HIGH: Final = 0.8
RING_LOW: Final = 0.5
_CALM_S: Final = 300.0  # without a lost packet
_WRITTEN_S: Final = 30.0  # without a write that failed
_RATE_S: Final = 3.0  # a rate is of so long at least


class CaptureWatch:
    """Sees every status of the worker, and the cards' counters."""

    def __init__(self, alarms: Alarms, interfaces: tuple[str, ...] = ()) -> None:
        self._alarms = alarms
        self.interfaces = interfaces
        self.status: Status | None = None
        self.at_s = 0.0
        self.grew_s = 0.0  # when a packet had come, last
        self.packets_per_s = 0.0
        self.rates: dict[str, float] = {}  # of each card, packets/s
        self._frames: tuple[float, int] | None = None
        self._cards: tuple[float, dict[str, int]] | None = None
        self._lost = 0
        self._lost_s: float | None = None
        self._failed = 0
        self._failed_s: float | None = None

    def note(self, status: Status, now_s: float) -> None:
        """Take a status. now_s: monotonic seconds."""
        if self.status is None or status.frames != self.status.frames:
            self.grew_s = now_s
        self.status, self.at_s = status, now_s
        if self._frames is None or status.frames < self._frames[1]:
            self._frames = now_s, status.frames
        elif now_s - self._frames[0] >= _RATE_S:
            self.packets_per_s = (status.frames - self._frames[1]) / (now_s - self._frames[0])
            self._frames = now_s, status.frames
        self._look_at_losses(lost(status.drops), now_s)
        self._look_at_writes(status.drops.get("media", {}).get("write failed", 0), now_s)
        self._look_at_ring(status.occupancy)
        self._look_at_cards(now_s)

    def _look_at_losses(self, sum_: int, now_s: float) -> None:
        if sum_ > self._lost:
            if self._lost_s is None:
                log.error("alarm: packets were lost before they could be read", packets=sum_ - self._lost)
            self._lost_s = now_s
        elif self._lost_s is not None and now_s - self._lost_s > _CALM_S:
            self._lost_s = None
            self._alarms.clear(PACKETS_LOST.name)
        self._lost = sum_

    def _look_at_writes(self, failed: int, now_s: float) -> None:
        if failed > self._failed:
            if self._failed_s is None:
                log.error("alarm: recordings cannot be written", times=failed - self._failed)
            self._failed_s = now_s
        elif self._failed_s is not None and now_s - self._failed_s > _WRITTEN_S:
            self._failed_s = None
            self._alarms.clear(WRITE_FAILED.name)
        self._failed = failed

    def _look_at_ring(self, occupancy: float) -> None:
        stands = any(alarm.kind is RING_FULL and alarm.cleared_us is None for alarm in self._alarms.all())
        if occupancy > RING_HIGH and not stands:
            log.error("alarm: the capture ring is nearly full", percent=round(100 * occupancy))
        elif occupancy < RING_LOW and stands:
            self._alarms.clear(RING_FULL.name)

    def _look_at_cards(self, now_s: float) -> None:
        found = {name: known.packets for name in self.interfaces if (known := card(name)) is not None}
        if self._cards is None:
            self._cards = now_s, found
        elif (passed := now_s - self._cards[0]) >= _RATE_S:
            before = self._cards[1]
            self.rates = {name: max(0.0, (n - before.get(name, n)) / passed) for name, n in found.items()}
            self._cards = now_s, found


def lost(drops: Mapping[str, Mapping[str, int]]) -> int:
    """Return how many packets were lost before they could be read.

    >>> lost({"kernel": {"eth1": 3}, "network card": {"eth1 missed": 2}, "sip": {"too long": 9}})
    5
    """
    return sum(sum(drops.get(layer, {}).values()) for layer in LOSING)


def card(name: str) -> Interface | None:
    """Return what the kernel knows of a network card; None where there is none of this name."""
    try:
        return look_up(name)
    except OSError:  # a sandbox without AF_NETLINK
        return None
