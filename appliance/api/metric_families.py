"""Metrics as Prometheus' library wants them, each with our prefix and its help; labels are words of ours only."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from vittne.appliance.store.times import from_rfc3339

_PREFIX = "vittne_"


def gauge(name: str, words: str, value: float) -> Metric:
    """Return one that goes up and down."""
    return GaugeMetricFamily(_PREFIX + name, words, value=value)


def count(name: str, words: str, value: float) -> Metric:
    """Return one that only goes up; `_total` is put behind its name."""
    return CounterMetricFamily(_PREFIX + name, words, value=value)


def gauges(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return one for each value of a label."""
    found = GaugeMetricFamily(_PREFIX + name, words, labels=[label])
    for word, value in sorted(values.items()):
        found.add_metric([word], value)
    return found


def counts(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return one that only goes up for each value of a label."""
    found = CounterMetricFamily(_PREFIX + name, words, labels=[label])
    for word, value in sorted(values.items()):
        found.add_metric([word], value)
    return found


def seconds(at: str) -> float:
    """Return a time in RFC 3339 as seconds since 1970."""
    return from_rfc3339(at) / 1e6
