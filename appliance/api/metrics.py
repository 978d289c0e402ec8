"""GET /metrics: the recorder's state for Prometheus. Numbers only, no person in them; names in docs/metrics.md.

A token with the scope read, or an address in api.metrics_from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from vittne.appliance.api.auth import admit
from vittne.appliance.api.live import HUB, STATE
from vittne.appliance.api.routes import PUBLIC, Access, needs
from vittne.appliance.events.alarmlist import ALARMS, UNLISTED
from vittne.appliance.events.alarms import Alarm
from vittne.appliance.events.state import RecorderState
from vittne.appliance.store.times import from_rfc3339, now_us

PATH: Final = "/metrics"
NETWORKS: Final = web.AppKey("vittne.metrics_from", list[Any])
_READ: Final = needs("read")


class _Now(Collector):
    """The metrics of one moment."""

    def __init__(self, state: RecorderState, alarms: list[Alarm]) -> None:
        self._state = state
        self._alarms = alarms

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, each with its help."""
        return metrics_of(self._state, self._alarms)


def metrics_of(state: RecorderState, standing: list[Alarm]) -> Iterable[Metric]:
    """Yield the metrics of a state. standing: the alarms that stand."""
    capture = state.capture
    yield InfoMetricFamily("vittne", "The program", {"version": state.version})
    yield _gauge("start_time_seconds", "When the recorder started, since 1970", _seconds(state.since))
    yield _count("packets", "Packets that were read", capture.packets)
    yield _count("rtp_packets", "RTP packets that were stored or counted for a call", capture.rtp_packets)
    yield _gauge("packets_per_second", "Packets read, over the last seconds", capture.packets_per_s)
    yield _count("missed_packets", "Packets lost before they could be read; 0 is what you want", capture.missed)
    yield _by_reason(state)
    up = GaugeMetricFamily("vittne_interface_up", "Whether a capture interface has a link", labels=["interface"])
    for card in capture.interfaces:
        up.add_metric([card.name], 1.0 if card.is_up else 0.0)
    yield up
    yield _gauge("ring_occupancy_ratio", "How full the fullest ring is, 0 to 1", capture.ring_occupancy)
    yield _gauge("hold_back_seconds", "How long packets wait before they are stored", capture.hold_back_s)
    told = capture.told_s_ago
    yield _gauge("worker_silence_seconds", "Since the worker spoke last", float("nan") if told is None else told)
    yield _count("worker_restarts", "Capture workers that were started anew", capture.worker_restarts)
    yield _gauge("calls_up", "Calls whose signalling is followed now", capture.calls_up)
    yield _gauge("calls_recording", "Calls that are being recorded now", capture.calls_recording)
    outcomes = CounterMetricFamily("vittne_calls", "Calls that ended, by outcome", labels=["outcome"])
    for outcome, number in sorted(capture.outcomes.items()):
        outcomes.add_metric([outcome], number)
    yield outcomes
    yield _gauge("gate_calls", "Calls whose audio waits for a decision", capture.gate_calls)
    yield _gauge("gate_bytes", "Locked memory that waiting audio takes", capture.gate_bytes)
    yield _gauge("listening_voices", "Voices that are listened to now", capture.listening)
    yield _count("not_listened_packets", "Packets that nobody listened to in time", capture.not_listened)
    yield _count("analysis_restarts", "Analysis processes that were started anew", capture.analysis_restarts)
    yield _gauge("loop_delay_p99_seconds", "How late the recorder's loop is", capture.loop_delay_p99_ms / 1000)
    yield from _store(state)
    yield from _trust(state)
    waiting = GaugeMetricFamily("vittne_queue_waiting", "Work that waits, by queue", labels=["queue"])
    for queue in state.queues:
        waiting.add_metric([queue.name], queue.waiting)
    yield waiting
    yield _standing(standing)


def _store(state: RecorderState) -> Iterable[Metric]:
    disk = state.disk
    yield _gauge("disk_bytes", "Size of the disk with the recordings", disk.total_bytes)
    yield _gauge("disk_free_bytes", "What is free of it", disk.free_bytes)
    yield _gauge("recordings_bytes", "What recordings take", disk.recordings_bytes)
    if disk.bytes_per_day is not None:
        yield _gauge("recorded_bytes_per_day", "Written each day, by the last seven", disk.bytes_per_day)
    if disk.days_left is not None:
        yield _gauge("disk_days_left", "Days until the disk is full if nothing is erased", disk.days_left)


def _trust(state: RecorderState) -> Iterable[Metric]:
    yield _gauge("archive_unlocked", "Whether recordings can be opened here", 1.0 if state.keys == "unlocked" else 0.0)
    clock = state.clock
    if clock is not None:
        yield _gauge("clock_synchronised", "Whether the clock is kept right", 1.0 if clock.synchronised else 0.0)
        yield _gauge("clock_max_error_seconds", "How far from UTC it may be", clock.max_error_us / 1e6)
    late = GaugeMetricFamily("vittne_stamps_late", "Whether an authority's time stamps are late", labels=["authority"])
    at = GaugeMetricFamily("vittne_stamp_time_seconds", "When it stamped last, since 1970", labels=["authority"])
    for one in state.stamps:
        late.add_metric([one.authority], 1.0 if one.late else 0.0)
        if one.stamped_at:
            at.add_metric([one.authority], _seconds(one.stamped_at))
    yield late
    yield at
    yield from _canary(state)
    if state.last_backup_at:
        yield _gauge("last_backup_time_seconds", "When the last backup ended", _seconds(state.last_backup_at))


def _canary(state: RecorderState) -> Iterable[Metric]:
    """The newest canary call; what could not be checked is neither good nor bad, and its own value."""
    canary = state.canary
    if canary is None:
        return
    yield _gauge("canary_well", "Whether the last canary call was recorded as it should be", canary.result != "unwell")
    yield _gauge("canary_time_seconds", "When the last canary call was placed, since 1970", _seconds(canary.started_at))
    if state.canary_well_at:
        words = "When a canary call was last recorded as it should be, since 1970"
        yield _gauge("canary_last_success_time_seconds", words, _seconds(state.canary_well_at))
    if canary.sealed_after_s is not None:
        yield _gauge("canary_sealed_seconds", "From its first packet to its seal", canary.sealed_after_s)
    words = "What was found of the last canary call: 1 for the result that it is"
    found = GaugeMetricFamily("vittne_canary_check", words, labels=["check", "result"])
    for check in canary.checks:
        for result in ("holds", "fails", "unchecked"):
            found.add_metric([check.name, result], float(check.result == result))
    yield found


def _by_reason(state: RecorderState) -> Metric:
    found = CounterMetricFamily(
        "vittne_dropped_packets", "Packets not recorded, by layer and reason", labels=["layer", "reason", "weight"]
    )
    for one in state.capture.drops:
        found.add_metric([one.layer, one.reason, one.weight], one.packets)
    return found


def _standing(standing: list[Alarm]) -> Metric:
    """Every alarm there is, so that a rule can be written before it first comes."""
    found = GaugeMetricFamily("vittne_alarm", "How many alarms of a name stand", labels=["alarm", "weight"])
    for kind in sorted({*ALARMS.values(), UNLISTED}, key=lambda kind: kind.name):
        number = sum(1 for alarm in standing if alarm.kind.name == kind.name)
        found.add_metric([kind.name, kind.weight], number)
    return found


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vittne_{name}", words, value=value)


def _count(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"vittne_{name}", words, value=value)


def _seconds(at: str) -> float:
    return from_rfc3339(at) / 1e6


async def metrics(request: web.Request) -> web.Response:
    """Say everything in Prometheus' words."""
    if not _is_trusted(request):
        admit(request, _READ)
    state = await request.app[STATE].read()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(state, request.app[HUB].alarms.standing(now_us())))
    response = web.Response(body=generate_latest(registry))
    response.headers["Content-Type"] = CONTENT_TYPE_LATEST
    return response


def _is_trusted(request: web.Request) -> bool:
    try:
        source = ipaddress.ip_address((request.remote or "").partition("%")[0])
    except ValueError:
        return False
    mapped = source.ipv4_mapped if source.version == 6 else None
    return any((mapped or source) in network for network in request.app[NETWORKS])


def add_metrics(app: web.Application, access_of: dict[web.AbstractRoute, Access], networks: Iterable[str] = ()) -> None:
    """Add the route. networks: from where it may be read without a token."""
    app[NETWORKS] = [ipaddress.ip_network(network) for network in networks]
    access_of[app.router.add_get(PATH, metrics)] = PUBLIC
