"""GET /metrics: the recorder's state for Prometheus. Numbers only, no person in them; names in docs/metrics.md.

A token with the scope read, or an address in api.metrics_from. OpenMetrics for who asks for it, else Prometheus' text.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from vittne.appliance.api.auth import admit
from vittne.appliance.api.live import STATE
from vittne.appliance.api.metric_families import gauge, seconds
from vittne.appliance.api.metrics_archive import archive_metrics, store_metrics, trust_metrics
from vittne.appliance.api.metrics_canary import canary_metrics
from vittne.appliance.api.metrics_capture import call_metrics, capture_metrics
from vittne.appliance.api.metrics_requests import REQUESTS, Requests
from vittne.appliance.api.routes import PUBLIC, Access, needs
from vittne.appliance.events.alarmlist import ALARMS, UNLISTED
from vittne.appliance.events.alarms import Alarm
from vittne.appliance.events.figures import ArchiveFigures
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.state import RecorderState, StateReader
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.store.times import now_us

PATH: Final = "/metrics"
NETWORKS: Final = web.AppKey("vittne.metrics_from", list[Any])
_READ: Final = needs("read")


@dataclass(frozen=True, slots=True)
class Moment:
    """What all metrics of one moment are made of."""

    state: RecorderState
    hub: Hub
    figures: ArchiveFigures = field(default_factory=ArchiveFigures)
    standings: Sequence[Standing] = ()
    requests: Requests = field(default_factory=Requests)


class _Now(Collector):
    """The metrics of one moment."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics, each with its help."""
        return metrics_of(self._moment)


async def moment_of(state: StateReader, requests: Requests) -> Moment:
    """Return what there is to say now. Raises StoreError."""
    now = await state.read()
    return Moment(now, state.sources.hub, await state.figures(), state.standings, requests)


def metrics_of(moment: Moment) -> Iterable[Metric]:
    """Yield the metrics of a moment."""
    state, hub = moment.state, moment.hub
    yield InfoMetricFamily("vittne", "The program", {"version": state.version})
    yield gauge("start_time_seconds", "When the recorder started, since 1970", seconds(state.since))
    yield from capture_metrics(state.capture, hub)
    yield from call_metrics(state.capture, hub)
    yield from store_metrics(state)
    yield from trust_metrics(state, moment.standings, moment.figures.entries)
    yield from archive_metrics(state, moment.figures)
    yield from canary_metrics(state)
    yield _standing(hub.alarms.standing(now_us()))
    yield from moment.requests.collect()


def _standing(standing: list[Alarm]) -> Metric:
    """Every alarm there is, so that a rule can be written before it first comes."""
    found = GaugeMetricFamily("vittne_alarm", "How many alarms of a name stand", labels=["alarm", "weight"])
    for kind in sorted({*ALARMS.values(), UNLISTED}, key=lambda kind: kind.name):
        number = sum(1 for alarm in standing if alarm.kind.name == kind.name)
        found.add_metric([kind.name, kind.weight], number)
    return found


def written(moment: Moment, accept: str = "") -> tuple[bytes, str]:
    """Return all metrics as text, and its type. accept: what a client would rather have, as HTTP says it."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Now(moment))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(accept)
    return encode(registry), kind


async def metrics(request: web.Request) -> web.Response:
    """Say everything in Prometheus' words."""
    if not _is_trusted(request):
        admit(request, _READ)
    moment = await moment_of(request.app[STATE], request.app[REQUESTS])
    body, kind = written(moment, request.headers.get("Accept", ""))
    response = web.Response(body=body)
    response.headers["Content-Type"] = kind
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
