"""Metrics of the API and the console: how many requests, by route, and how long until an answer begins."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric

_BEGAN: Final = web.RequestKey("vittne.began_s", float)
_METHODS: Final = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Requests:
    """Counts them. A route is its pattern: nothing that somebody asked for is in a label."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._counts = Counter(
            "vittne_api_requests",
            "Requests that were answered, by route and status",
            ["method", "route", "code"],
            registry=self._registry,
        )
        self._times = Histogram(
            "vittne_api_request_duration_seconds",
            "From a request's head to the head of its answer",
            buckets=_BOUNDS_S,
            registry=self._registry,
        )

    def begin(self, request: web.Request) -> None:
        """Take note of a request's begin."""
        request[_BEGAN] = time.monotonic()

    async def answered(self, request: web.Request, response: web.StreamResponse) -> None:
        """Count a request whose answer begins now; streams of news end when somebody goes away."""
        began = request.get(_BEGAN)
        if began is None:
            return
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "none"
        method = request.method if request.method in _METHODS else "other"
        self._counts.labels(method, route, str(response.status)).inc()
        self._times.observe(time.monotonic() - began)

    def collect(self) -> Iterable[Metric]:
        """Yield what was counted; nothing of when counting began."""
        for found in self._registry.collect():
            found.samples = [one for one in found.samples if not one.name.endswith("_created")]
            yield found


REQUESTS: Final = web.AppKey("vittne.requests", Requests)
