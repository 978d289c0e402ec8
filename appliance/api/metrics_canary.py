"""Metrics of the newest canary call; what could not be checked is neither good nor bad, and its own value."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily, Metric

from vittne.appliance.api.metric_families import gauge, seconds
from vittne.appliance.events.state import RecorderState


def canary_metrics(state: RecorderState) -> Iterable[Metric]:
    """Yield them; nothing where there was no canary call yet."""
    canary = state.canary
    if canary is None:
        return
    words = "Whether the last canary call was recorded as it should be"
    yield gauge("canary_well", words, float(canary.result != "unwell"))
    words = "When the last canary call was placed, since 1970"
    yield gauge("canary_time_seconds", words, seconds(canary.started_at))
    if state.canary_well_at:
        words = "When a canary call was last recorded as it should be, since 1970"
        yield gauge("canary_last_success_time_seconds", words, seconds(state.canary_well_at))
    if canary.sealed_after_s is not None:
        yield gauge("canary_sealed_seconds", "From its first packet to its seal", canary.sealed_after_s)
    words = "What was found of the last canary call: 1 for the result that it is"
    found = GaugeMetricFamily("vittne_canary_check", words, labels=["check", "result"])
    for check in canary.checks:
        for result in ("holds", "fails", "unchecked"):
            found.add_metric([check.name, result], float(check.result == result))
    yield found
