"""/metrics: who may read it, that Prometheus' own parser does, and that the page names what there is."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from api.harness import Served, run_served
from prometheus_client.core import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from rig.desk import pipeline_of, two_calls
from rig.now import Now, now_of, status

from vittne.appliance.api import live
from vittne.appliance.api.metrics import Moment, add_metrics, metrics_of, written
from vittne.appliance.api.metrics_requests import REQUESTS
from vittne.appliance.api.reader import READER
from vittne.appliance.canary.shown import canary_shown
from vittne.appliance.canary.table import Run
from vittne.appliance.clock.state import sample_kernel
from vittne.appliance.events.figures import ArchiveFigures
from vittne.appliance.events.livecalls import Side
from vittne.appliance.events.state import Sources, StateReader
from vittne.appliance.seal.verdict import fails, holds
from vittne.appliance.stamps.standing import Standing
from vittne.appliance.storage.table import Sums
from vittne.appliance.workerfigures import CommitTimes, RingFigures, WorkerFigures, own_use

CANARY = Run("r", 1_000_000, 9_000_000, "", 8_500_000, "unwell", (holds("recorded", ""), fails("audio", "")))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
ENDS = {"counter": "_total", "info": "_info"}


def by_name(found: Iterable[Metric]) -> dict[str, list[Any]]:
    return {one.name: one.samples for one in found}


async def full(served: Served, now: Now, data: Path) -> Moment:
    """A moment in which there is something to say about everything."""
    times = CommitTimes()
    times.note(0.02)
    times.note(9.0)
    rings = [RingFigures("eth1", 100, 1, 3, 64, 1 << 18)]
    now.hub.note(status(figures=WorkerFigures(rings, times, [own_use("worker")])))
    now.hub.pauses_begun["api"] += 1
    sources = Sources(now.hub, data, "1", clock=sample_kernel, clock_bound_us=1.0)
    standing = Standing("tsa", 1, 1, 1, 1, late=False)
    sources.stamps = lambda: [standing]
    sources.canary, sources.canary_well_us = lambda: canary_shown(CANARY), lambda: 1
    sources.queues.append(lambda: {"webhooks": 1})
    state = await StateReader(sources, served.app[READER]).read()
    disk = state.disk.model_copy(update={"bytes_per_day": 1, "days_left": 1.0})
    state = state.model_copy(update={"disk": disk, "last_backup_at": state.at})
    figures = ArchiveFigures({"finished": 1}, {"erased": 0}, {"full": 1}, 1, 1, {"cellar": Sums()}, {"keys": 1}, 1)
    return Moment(state, now.hub, figures, [standing], served.app[REQUESTS])


async def read(served: Served, token: str = "") -> tuple[int, str]:
    host, port = served.address
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with served.session.get(f"https://{host}:{port}/metrics", headers=headers, allow_redirects=False) as found:
        return found.status, await found.text()


def run(data: Path, use: object, networks: tuple[str, ...] = ()) -> None:
    with now_of(data, pipeline_of(two_calls())) as now:

        async def whole(served: Served) -> None:
            await use(served, now)  # type: ignore[operator]

        run_served(
            data,
            whole,
            routes=live.ROUTES,
            fill=now.fill,
            more=lambda app, access_of: add_metrics(app, access_of, networks),
        )


def test_a_token_that_may_read_gets_them_and_nobody_else(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        now.hub.note(status(frames=5, drops={"kernel": {"eth1": 3}}, outcomes={"recorded": 2}))
        assert (await read(served))[0] == 401
        assert (await read(served, served.token("pause")))[0] == 403
        code, text = await read(served, served.token("read"))
        assert code == 200
        found = {one.name: one for one in text_string_to_metric_families(text)}
        assert found["vittne_missed_packets"].samples[0].value == 3
        assert found["vittne_calls_recording"].samples[0].value == 2
        (dropped,) = found["vittne_dropped_packets"].samples
        assert dropped.labels == {"layer": "kernel", "reason": "eth1", "weight": "lost"}
        labels = [value for family in found.values() for one in family.samples for value in one.labels.values()]
        assert not any("1001" in value for value in labels)  # nobody's number

    run(tmp_path, use)


def test_an_address_that_is_configured_needs_no_token(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        assert (await read(served))[0] == 200
        assert (await served.get("state")).status == 401

    run(tmp_path, use, networks=("127.0.0.0/8",))


def test_the_page_names_all_metrics_and_no_other(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        there = {one.name + ENDS.get(one.type, "") for one in metrics_of(await full(served, now, tmp_path))}
        assert set(re.findall(r"^\| `(vittne_\w+)` \|", PAGE.read_text(), re.MULTILINE)) == there

    run(tmp_path, use)


def test_promtool_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        text, _ = written(await full(served, now, tmp_path))
        found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")

    run(tmp_path, use)


def test_who_asks_for_openmetrics_gets_it(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        text, kind = written(await full(served, now, tmp_path), "application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith(b"# EOF\n")
        parse: Any = openmetrics.text_string_to_metric_families
        assert "vittne_packets" in {one.name for one in parse(text.decode())}

    run(tmp_path, use)


def test_the_quality_of_voices_is_told_by_site(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        call = now.hub.calls.all()[0]
        sides = (Side("caller", "PCMU", 4.4, 0.0, 1.0), Side("callee", "PCMU", 2.0, 10.0, 30.0))
        now.hub.calls._calls[call.recording] = replace(call, site="Oslo", sides=sides)
        found = by_name(metrics_of(await full(served, now, tmp_path)))
        there = {name: [one for one in rows if one.labels.get("site") == "Oslo"] for name, rows in found.items()}
        voices = {one.labels["quality"]: one.value for one in there["vittne_live_voices"]}
        assert voices == {"good": 1, "fair": 0, "bad": 1, "unknown": 0}
        mos = {one.labels["stat"]: one.value for one in there["vittne_live_mos"]}
        assert mos == {"mean": 3.2, "worst": 2.0}
        assert [one.value for one in there["vittne_live_loss_ratio"] if one.labels["stat"] == "worst"] == [0.1]

    run(tmp_path, use)


def test_requests_are_counted_by_route_and_never_by_what_was_asked(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        token = served.token("read")
        await served.get("calls/secret-4711", token=token)
        await served.get("state", token=token)
        _, text = await read(served, token)
        found = by_name(text_string_to_metric_families(text))
        routes = {(one.labels["route"], one.labels["code"]) for one in found["vittne_api_requests"]}
        assert ("/api/v1/state", "200") in routes
        assert "secret" not in text
        (count,) = [one.value for one in found["vittne_api_request_duration_seconds"] if one.name.endswith("_count")]
        assert count >= 2

    run(tmp_path, use)


def test_a_workers_rings_commits_and_memory_are_told(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        found = by_name(metrics_of(await full(served, now, tmp_path)))
        assert [(one.labels["interface"], one.value) for one in found["vittne_ring_blocks_held"]] == [("eth1", 3)]
        commits = {one.labels["le"]: one.value for one in found["vittne_commit_duration_seconds"] if "le" in one.labels}
        assert commits["0.01"] == 0
        assert commits["0.025"] == 1
        assert commits["+Inf"] == 2
        (used,) = [one.value for one in found["vittne_worker_resident_bytes"] if one.labels == {"process": "worker"}]
        assert used > 1 << 20  # what this process takes, and not nothing

    run(tmp_path, use)


def test_what_fails_of_a_canary_can_be_told_from_what_holds(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        sources = Sources(now.hub, tmp_path, "1", canary=lambda: canary_shown(CANARY))
        state = await StateReader(sources, served.app[READER]).read()
        found = by_name(metrics_of(Moment(state, now.hub)))
        assert found["vittne_canary_well"][0].value == 0
        assert found["vittne_canary_sealed_seconds"][0].value == 7.5
        checks = {(one.labels["check"], one.labels["result"]): one.value for one in found["vittne_canary_check"]}
        assert checks["audio", "fails"] == checks["recorded", "holds"] == 1
        assert sum(checks.values()) == 2
        assert "vittne_canary_last_success_time_seconds" not in found

    run(tmp_path, use)
