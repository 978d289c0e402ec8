"""Metrics of capturing: cards, rings, commits, what was lost and why, calls that are up, the processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Final, get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from vittne.appliance.api.metric_families import count, counts, gauge, gauges
from vittne.appliance.events.capture import card
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.livecalls import FAIR_MOS, GOOD_MOS, LiveCall, Side
from vittne.appliance.events.state import CaptureState, Verdict
from vittne.appliance.workerfigures import COMMIT_BOUNDS_S, CommitTimes, RingFigures, WorkerFigures

_QUALITIES: Final = ("good", "fair", "bad", "unknown")


def capture_metrics(capture: CaptureState, hub: Hub) -> Iterable[Metric]:
    """Yield them."""
    verdicts = {word: float(word == capture.verdict) for word in get_args(Verdict)}
    yield gauges("capture_verdict", "1 for how capturing goes as a whole, 0 for the other words", "verdict", verdicts)
    yield count("packets", "Packets that were read", capture.packets)
    yield count("rtp_packets", "RTP packets that were stored or counted for a call", capture.rtp_packets)
    yield gauge("packets_per_second", "Packets read, over the last seconds", capture.packets_per_s)
    yield count("missed_packets", "Packets lost before they could be read; 0 is what you want", capture.missed)
    yield _by_reason(capture)
    yield gauge("ring_occupancy_ratio", "How full the fullest ring is, 0 to 1", capture.ring_occupancy)
    yield gauge("hold_back_seconds", "How long packets wait before they are stored", capture.hold_back_s)
    told = capture.told_s_ago
    yield gauge("worker_silence_seconds", "Since the worker spoke last", float("nan") if told is None else told)
    yield count("worker_restarts", "Capture workers that were started anew", capture.worker_restarts)
    yield gauge("gate_calls", "Calls whose audio waits for a decision", capture.gate_calls)
    yield gauge("gate_bytes", "Locked memory that waiting audio takes", capture.gate_bytes)
    yield gauge("listening_voices", "Voices that are listened to now", capture.listening)
    yield count("not_listened_packets", "Packets that nobody listened to in time", capture.not_listened)
    yield count("analysis_restarts", "Analysis processes that were started anew", capture.analysis_restarts)
    yield gauge("loop_delay_p99_seconds", "How late the recorder's loop is", capture.loop_delay_p99_ms / 1000)
    status = hub.capture.status
    yield count("listened_voices", "Voices that were listened to", status.listened if status else 0)
    yield count("live_dropped_messages", "Sound for live listeners without room", status.live_dropped if status else 0)
    yield from _cards(hub.capture.interfaces)
    yield from _worker(status.figures if status else WorkerFigures())


def call_metrics(capture: CaptureState, hub: Hub) -> Iterable[Metric]:
    """Yield what is known of calls and pauses."""
    yield gauge("calls_up", "Calls whose signalling is followed now", capture.calls_up)
    yield gauge("calls_recording", "Calls that are being recorded now", capture.calls_recording)
    yield counts("calls", "Calls that ended, by outcome", "outcome", capture.outcomes)
    live = Counter(pause.trigger for pause in hub.pauses.values())
    words = live | Counter(dict.fromkeys(hub.pauses_begun, 0))
    triggers = {word: float(words[word]) for word in {*live, *hub.pauses_begun, "api"}}
    yield gauges("pauses", "Pauses that hold now, by what asked for them", "trigger", triggers)
    yield gauge("pauses_overdue", "Pauses that outlived their lease", sum(p.overdue for p in hub.pauses.values()))
    begun = {word: float(hub.pauses_begun[word]) for word in triggers}
    yield counts("pauses_begun", "Pauses that began, by what asked for them", "trigger", begun)
    yield from _quality(hub.calls.all())


def _by_reason(capture: CaptureState) -> Metric:
    words = "Packets not recorded, by layer and reason"
    found = CounterMetricFamily("vittne_dropped_packets", words, labels=["layer", "reason", "weight"])
    for one in capture.drops:
        found.add_metric([one.layer, one.reason, one.weight], one.packets)
    return found


def _cards(names: Sequence[str]) -> Iterable[Metric]:
    known = {name: card(name) for name in names}
    up = {name: float(one is not None and one.is_up and one.has_link) for name, one in known.items()}
    yield gauges("interface_up", "Whether a capture interface has a link", "interface", up)
    there = {name: one for name, one in known.items() if one is not None}
    packets = {name: float(one.packets) for name, one in there.items()}
    yield counts("interface_packets", "Packets that came in at a network card", "interface", packets)
    received = {name: float(one.received_bytes) for name, one in there.items()}
    yield counts("interface_bytes", "Bytes that came in at a network card", "interface", received)
    drops = CounterMetricFamily(
        "vittne_interface_drops", "Packets that a network card or its driver lost", labels=["interface", "cause"]
    )
    for name, one in there.items():
        for cause in ("dropped", "missed", "fifo", "errors"):
            drops.add_metric([name, cause], getattr(one.drops, cause))
    yield drops


def _worker(figures: WorkerFigures) -> Iterable[Metric]:
    rings = figures.rings
    yield gauges("ring_blocks", "Blocks of a capture ring", "interface", _each(rings, lambda one: one.blocks))
    yield gauges("ring_blocks_held", "Of them those that are in use", "interface", _each(rings, lambda one: one.held))
    size = _each(rings, lambda one: one.blocks * one.block_bytes)
    yield gauges("ring_bytes", "Size of a capture ring", "interface", size)
    seen = _each(rings, lambda one: one.packets)
    yield counts("ring_packets", "Packets that a ring's socket saw, dropped ones included", "interface", seen)
    dropped = _each(rings, lambda one: one.drops)
    yield counts("ring_drops", "Packets that found a ring full", "interface", dropped)
    yield _commits(figures.commits)
    yield gauge("commit_behind_seconds", "How long ago that came in which was committed last", figures.behind_s)
    yield gauge("recordings_open", "Recordings that are being written", figures.recordings_open)
    yield gauge("recordings_closing", "Recordings that are written and wait to be sealed", figures.closing)
    yield gauge("unsignalled_streams", "Streams of this run that no signalling explains", figures.unsignalled)
    uses = figures.processes
    cpu: dict[str, float] = {one.name: one.cpu_s for one in uses}
    yield counts("worker_cpu_seconds", "CPU time of the worker and those that it started", "process", cpu)
    memory: dict[str, float] = {one.name: float(one.resident_bytes) for one in uses}
    yield gauges("worker_resident_bytes", "Memory of the worker and those that it started", "process", memory)
    files: dict[str, float] = {one.name: float(one.open_files) for one in uses if one.open_files}
    yield gauges("worker_open_files", "Files that the worker has open", "process", files)


def _each(rings: Sequence[RingFigures], what: Callable[[RingFigures], int]) -> dict[str, float]:
    return {one.interface: float(what(one)) for one in rings}


def _commits(times: CommitTimes) -> Metric:
    sums = list(accumulate(times.counts))
    bounds = [*(str(bound) for bound in COMMIT_BOUNDS_S), "+Inf"]
    found = HistogramMetricFamily("vittne_commit_duration_seconds", "How long it took to write and sync what was due")
    found.add_metric([], buckets=list(zip(bounds, map(float, sums), strict=True)), sum_value=times.sum_s)
    return found


def _quality(calls: Iterable[LiveCall]) -> Iterable[Metric]:
    """The voices of calls that are up, by site: how many are good, and mean and worst."""
    by_site: dict[str, list[Side]] = {}
    for call in calls:
        by_site.setdefault(call.site, []).extend(call.sides)
    voices = GaugeMetricFamily("vittne_live_voices", "Voices of calls that are up", labels=["site", "quality"])
    mos = GaugeMetricFamily("vittne_live_mos", "Estimated MOS of voices that are up, 1 to 4.5", labels=["site", "stat"])
    loss = GaugeMetricFamily("vittne_live_loss_ratio", "Share of their packets lost, 0 to 1", labels=["site", "stat"])
    jitter = GaugeMetricFamily("vittne_live_jitter_seconds", "Their jitter (RFC 3550)", labels=["site", "stat"])
    for site, sides in sorted(by_site.items()):
        judged = Counter(_judged(side.mos) for side in sides)
        for word in _QUALITIES:
            voices.add_metric([site, word], judged[word])
        known = [side.mos for side in sides if side.mos is not None]
        for family, values, worst in (
            (mos, known, min),
            (loss, [side.loss_percent / 100 for side in sides], max),
            (jitter, [side.jitter_ms / 1000 for side in sides], max),
        ):
            if values:
                family.add_metric([site, "mean"], sum(values) / len(values))
                family.add_metric([site, "worst"], worst(values))
    return voices, mos, loss, jitter


def _judged(mos: float | None) -> str:
    if mos is None:
        return "unknown"
    return "good" if mos >= GOOD_MOS else "fair" if mos >= FAIR_MOS else "bad"
