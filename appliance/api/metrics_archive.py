"""Metrics of what is kept: disk, recordings, announcements, time stamps, storage targets, clock, keys, queues."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily, Metric

from vittne.appliance.api.metric_families import gauge, gauges, seconds
from vittne.appliance.events.figures import ArchiveFigures
from vittne.appliance.events.state import RecorderState
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.store.times import from_rfc3339

_DAY_S = 24 * 3600


def store_metrics(state: RecorderState) -> Iterable[Metric]:
    """Yield what is known of the disk."""
    disk = state.disk
    yield gauge("disk_bytes", "Size of the disk with the recordings", disk.total_bytes)
    yield gauge("disk_free_bytes", "What is free of it", disk.free_bytes)
    yield gauge("recordings_bytes", "What recordings take", disk.recordings_bytes)
    if disk.bytes_per_day is not None:
        yield gauge("recorded_bytes_per_second", "Written, by the last seven days", disk.bytes_per_day / _DAY_S)
    if disk.days_left is not None:
        words = "Until the disk is full if nothing is erased"
        yield gauge("disk_full_in_seconds", words, disk.days_left * _DAY_S)


def trust_metrics(state: RecorderState, standings: Sequence[Standing], entries: int) -> Iterable[Metric]:
    """Yield what proofs depend on. entries: of the ledger."""
    yield gauge("archive_unlocked", "Whether recordings can be opened here", 1.0 if state.keys == "unlocked" else 0.0)
    clock = state.clock
    if clock is not None:
        yield gauge("clock_synchronised", "Whether the clock is kept right", 1.0 if clock.synchronised else 0.0)
        yield gauge("clock_good", "Whether it is within the limit that is set", 1.0 if clock.is_good else 0.0)
        yield gauge("clock_offset_seconds", "How far from UTC it says it is", clock.offset_us / 1e6)
        yield gauge("clock_max_error_seconds", "How far from UTC it may be", clock.max_error_us / 1e6)
    yield gauge("ledger_entries", "Entries of the ledger", entries)
    late = {one.authority: 1.0 if one.late else 0.0 for one in standings}
    yield gauges("stamps_late", "Whether an authority's time stamps are late", "authority", late)
    at = {one.authority: one.stamped_us / 1e6 for one in standings if one.stamped_us}
    yield gauges("stamp_time_seconds", "When it stamped last, since 1970", "authority", at)
    waiting = {one.authority: float(max(0, entries - one.size)) for one in standings}
    yield gauges("stamp_entries_waiting", "Entries of the ledger that it has not stamped yet", "authority", waiting)
    if state.last_backup_at:
        yield gauge("last_backup_time_seconds", "When the last backup ended", seconds(state.last_backup_at))


def archive_metrics(state: RecorderState, figures: ArchiveFigures) -> Iterable[Metric]:
    """Yield sums over the archive."""
    states = {word: float(number) for word, number in figures.states.items()}
    yield gauges("recordings", "Calls in the catalogue, by state", "state", states)
    marks = {word: float(number) for word, number in figures.marks.items()}
    yield gauges("recordings_marked", "Of them those with a mark", "mark", marks)
    words = {word or "unknown": float(number) for word, number in figures.announced.items()}
    yield gauges("announced_calls", "Answered calls of the last 24 hours, by verdict", "verdict", words)
    yield gauge("announcement_expected_calls", "Of them those that a rule wanted announced", figures.expected)
    yield gauge("announcement_proven_calls", "Of these those that were", figures.proven)
    files = {what: float(size) for what, size in figures.file_bytes.items()}
    yield gauges("database_bytes", "Size of a database, with what it has not merged yet", "database", files)
    yield from _targets(state, figures)
    queues = {queue.name: float(queue.waiting) for queue in state.queues}
    yield gauges("queue_waiting", "Work that waits, by queue", "queue", queues)


def _targets(state: RecorderState, figures: ArchiveFigures) -> Iterable[Metric]:
    now_us = from_rfc3339(state.at)
    stored = GaugeMetricFamily("vittne_storage_recordings", "Copies at a target, by state", labels=["target", "state"])
    size, lag = {}, {}
    for name, sums in figures.targets.items():
        for word in ("stored", "waiting", "leaving", "damaged"):
            stored.add_metric([name, word], getattr(sums, word))
        size[name] = float(sums.bytes)
        since = sums.waiting_since_us
        lag[name] = 0.0 if since is None else max(0, now_us - since) / 1e6
    yield stored
    yield gauges("storage_bytes", "What copies at a target take", "target", size)
    yield gauges("storage_lag_seconds", "How long the oldest recording has waited for a target", "target", lag)
