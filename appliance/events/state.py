"""How the recorder is doing, as a value: for API, console and metrics. Nothing in it is about a person.

What takes long (the disk, the catalogue, files) is read away from the loop, and kept for some seconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from vittne.appliance.backup.standing import last_backup_us
from vittne.appliance.canary.shown import CanaryShown
from vittne.appliance.clock.state import ClockState
from vittne.appliance.events.capture import card, lost
from vittne.appliance.events.dropwords import Weight, drop_words
from vittne.appliance.events.figures import ArchiveFigures, archive_figures
from vittne.appliance.events.hub import Hub
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import calls
from vittne.appliance.store.times import now_us, rfc3339

if TYPE_CHECKING:
    from vittne.appliance.api.reader import Reader

_DAY_US: Final = 24 * 3600 * 1_000_000
_RATE_DAYS: Final = 7
_LEAST_US: Final = _DAY_US // 24  # an archive younger than that says nothing about days
_KEPT_S: Final = 15.0
_FIGURES_KEPT_S: Final = 60.0
STALE_S: Final = 20.0  # a worker that has said nothing for so long is not well

Verdict = Literal["good", "look", "bad", "starting"]
KeysState = Literal["unlocked", "locked", "elsewhere", "unknown"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)


class InterfaceState(_Model):
    """is_up: with a link. packets_per_s: that came in, whatever they are."""

    name: str
    is_up: bool
    packets_per_s: float
    dropped: int


class DropState(_Model):
    """Packets that were not recorded since the start. weight: lost, look or fine."""

    layer: str
    reason: str
    packets: int
    weight: Weight
    words: str
    remedy: str


class CaptureState(_Model):
    """What capturing does. missed: packets that were lost before anybody saw them. told_s_ago: the worker's words."""

    verdict: Verdict
    interfaces: list[InterfaceState]
    packets: int
    rtp_packets: int
    packets_per_s: float
    missed: int
    drops: list[DropState]
    ring_occupancy: float
    hold_back_s: float
    told_s_ago: float | None
    worker_restarts: int
    calls_up: int
    calls_recording: int
    outcomes: dict[str, int]
    gate_calls: int
    gate_bytes: int
    listening: int
    not_listened: int
    analysis_restarts: int
    loop_delay_p99_ms: float


class DiskState(_Model):
    """bytes_per_day: written, by the last days; days_left: until it is full if nothing is erased; null: unknown."""

    total_bytes: int
    free_bytes: int
    bytes_per_day: int | None
    days_left: float | None
    recordings_bytes: int


class ClockShown(_Model):
    """The machine's clock, as far as it can say. max_error_us: how far from UTC it may be."""

    source: str
    synchronised: bool
    offset_us: int
    max_error_us: int
    is_good: bool


class StampState(_Model):
    """A time stamping authority."""

    authority: str
    stamped_at: str | None
    late: bool


class QueueState(_Model):
    """Work that waits, by name."""

    name: str
    waiting: int


class RecorderState(_Model):
    """All of it. keys: unlocked, locked, or elsewhere (this machine has no private key of the archive)."""

    at: str
    since: str
    version: str
    capture: CaptureState
    disk: DiskState
    keys: KeysState
    clock: ClockShown | None
    stamps: list[StampState]
    canary: CanaryShown | None
    canary_well_at: str | None
    last_backup_at: str | None
    queues: list[QueueState]
    alarms_standing: int


@dataclass(slots=True)
class Sources:
    """Whom to ask. Each may be missing: then that part says nothing."""

    hub: Hub
    data_dir: Path
    version: str = ""
    hold_back_s: float = 0.0
    clock: Callable[[], ClockState] | None = None
    clock_bound_us: float = 0.0
    stamps: Callable[[], list[Standing]] | None = None
    canary: Callable[[], CanaryShown | None] = lambda: None  # the newest that is over
    canary_well_us: Callable[[], int | None] = lambda: None  # when one was last recorded as it should be
    keys: Callable[[], Awaitable[dict[str, Any]]] | None = None  # status of the key process
    queues: list[Callable[[], dict[str, int]]] = field(default_factory=list)
    targets: tuple[str, ...] = ()  # storage targets by name


@dataclass(frozen=True, slots=True)
class _Slow:
    disk: DiskState
    standings: list[Standing]
    backup_us: int | None


class StateReader:
    """Makes the recorder's state, not oftener than every few seconds for what takes long."""

    def __init__(self, sources: Sources, reader: Reader) -> None:
        self.sources = sources
        self._reader = reader
        self._slow: _Slow | None = None
        self._slow_s = 0.0
        self._keys: KeysState = "elsewhere" if sources.keys is None else "unknown"
        self._asking: asyncio.Task[None] | None = None
        self._figures: ArchiveFigures | None = None
        self._figures_s = 0.0
        self.standings: list[Standing] = []  # of authorities, as they were when read() looked last

    async def figures(self) -> ArchiveFigures:
        """Return sums over the archive, not older than a minute. Raises StoreError."""
        now_s = time.monotonic()
        if self._figures is None or now_s - self._figures_s > _FIGURES_KEPT_S:
            sources = self.sources
            self._figures_s = now_s  # who asks meanwhile gets those from before
            self._figures = await self._reader(archive_figures, sources.data_dir, sources.targets, now_us())
        return self._figures

    async def read(self) -> RecorderState:
        """Return how things stand. Raises StoreError."""
        sources = self.sources
        now_s = time.monotonic()
        if self._slow is None or now_s - self._slow_s > _KEPT_S:
            self._slow = await self._reader(_read_slow, sources)
            self._slow_s = now_s
            self.standings = self._slow.standings
            self._ask_keys()
        return self._made(self._slow, now_s)

    def now(self, catalogue: Catalogue) -> RecorderState:
        """Return how things stand, read here and now by a thread that may wait. Raises StoreError."""
        return self._made(_read_slow(catalogue, self.sources), time.monotonic())

    def _made(self, slow: _Slow, now_s: float) -> RecorderState:
        sources, at = self.sources, now_us()
        waiting = {name: number for ask in sources.queues for name, number in ask().items()}
        return RecorderState(
            at=rfc3339(at),
            since=rfc3339(sources.hub.started_us),
            version=sources.version,
            capture=capture_state(sources.hub, sources.hold_back_s, now_s),
            disk=slow.disk,
            keys=self._keys,
            clock=_clock(sources),
            stamps=[_stamp(one) for one in slow.standings],
            canary=sources.canary(),
            canary_well_at=None if (well := sources.canary_well_us()) is None else rfc3339(well),
            last_backup_at=None if slow.backup_us is None else rfc3339(slow.backup_us),
            queues=[QueueState(name=name, waiting=number) for name, number in waiting.items()],
            alarms_standing=len(sources.hub.alarms.standing(at)),
        )

    @property
    def keys(self) -> KeysState:
        """How the archive's key stood when it was asked last."""
        return self._keys

    def _ask_keys(self) -> None:
        """Ask the key process, which may be at work for long: its answer counts from when it comes."""
        if self.sources.keys is not None and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._note_keys(self.sources.keys))

    async def _note_keys(self, ask: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        try:
            self._keys = "unlocked" if (await ask())["unlocked"] else "locked"
        except StoreError:
            self._keys = "locked"


def capture_state(hub: Hub, hold_back_s: float, now_s: float) -> CaptureState:
    """Return what is known of capturing. now_s: monotonic."""
    watch, status = hub.capture, hub.capture.status
    drops = [] if status is None else drops_shown(status.drops)
    cards = [_interface(name, watch.rates.get(name, 0.0)) for name in watch.interfaces]
    told_s = None if status is None else round(now_s - watch.at_s, 1)
    restarts = max(0, hub.workers - 1)
    return CaptureState(
        verdict=_verdict(drops, told_s, cards),
        interfaces=cards,
        packets=status.frames if status else 0,
        rtp_packets=status.packets if status else 0,
        packets_per_s=round(watch.packets_per_s, 1),
        missed=lost(status.drops) if status else 0,
        drops=drops,
        ring_occupancy=round(status.occupancy, 4) if status else 0.0,
        hold_back_s=hold_back_s,
        told_s_ago=told_s,
        worker_restarts=restarts,
        calls_up=status.live_calls if status else 0,
        calls_recording=len(hub.calls),
        outcomes=dict(status.outcomes) if status else {},
        gate_calls=status.gate_calls if status else 0,
        gate_bytes=status.gate_bytes if status else 0,
        listening=status.listening if status else 0,
        not_listened=status.not_listened if status else 0,
        analysis_restarts=status.analysis_restarts if status else 0,
        loop_delay_p99_ms=round(hub.loop_delay_p99_ms(), 2),
    )


def _interface(name: str, rate: float) -> InterfaceState:
    found = card(name)
    return InterfaceState(
        name=name,
        is_up=found is not None and found.is_up and found.has_link,
        packets_per_s=round(rate, 1),
        dropped=found.drops.dropped if found is not None else 0,
    )


def drops_shown(drops: dict[str, dict[str, int]]) -> list[DropState]:
    """Return reasons with their words: what is lost first, then by number."""
    found = []
    for layer, reasons in drops.items():
        for reason, packets in reasons.items():
            said = drop_words(layer, reason)
            found.append(
                DropState(
                    layer=layer,
                    reason=reason,
                    packets=packets,
                    weight=said.weight,
                    words=said.words,
                    remedy=said.remedy,
                )
            )
    order = ("lost", "look", "fine")
    return sorted(found, key=lambda one: (order.index(one.weight), -one.packets))


def _verdict(drops: list[DropState], told_s: float | None, cards: list[InterfaceState]) -> Verdict:
    """Green means that nothing was missed."""
    if told_s is None:
        return "starting"
    if told_s > STALE_S or any(one.weight == "lost" for one in drops):
        return "bad"
    if any(one.weight == "look" for one in drops) or any(not one.is_up for one in cards):
        return "look"
    return "good"


def _read_slow(catalogue: Catalogue, sources: Sources) -> _Slow:
    try:
        stamps = sources.stamps() if sources.stamps is not None else []
    except StoreError:
        stamps = []
    return _Slow(disk_state(catalogue, sources.data_dir, now_us()), stamps, last_backup_us(sources.data_dir))


def _stamp(one: Standing) -> StampState:
    at = rfc3339(one.stamped_us) if one.stamped_us else None
    return StampState(authority=one.authority, stamped_at=at, late=one.late)


def disk_state(catalogue: Catalogue, data_dir: Path, at_us: int) -> DiskState:
    """Return what the disk has left, and for how long at the pace of the last days. Raises StoreError."""
    found = os.statvfs(data_dir)
    free = found.f_bavail * found.f_frsize
    since = at_us - _RATE_DAYS * _DAY_US
    size = func.coalesce(func.sum(calls.c.size_bytes), 0)
    with catalogue.reading() as connection:
        lately, first_us = connection.execute(
            select(size, func.min(calls.c.started_us)).where(calls.c.started_us >= since)
        ).one()
        whole = connection.execute(select(size)).scalar_one()
    passed = 0 if first_us is None else at_us - max(first_us, since)
    per_day = int(lately * _DAY_US / passed) if passed >= _LEAST_US and lately else None
    return DiskState(
        total_bytes=found.f_blocks * found.f_frsize,
        free_bytes=free,
        bytes_per_day=per_day,
        days_left=round(free / per_day, 1) if per_day else None,
        recordings_bytes=int(whole),
    )


def _clock(sources: Sources) -> ClockShown | None:
    if sources.clock is None:
        return None
    state = sources.clock()
    return ClockShown(
        source=state.source,
        synchronised=state.synchronised,
        offset_us=state.offset_us,
        max_error_us=state.max_error_us,
        is_good=not state.exceeds(sources.clock_bound_us),
    )
