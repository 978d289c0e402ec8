"""/metrics: who may read it, that Prometheus' own parser does, and that the page names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from api.harness import Served, run_served
from prometheus_client.parser import text_string_to_metric_families
from rig.desk import pipeline_of, two_calls
from rig.now import Now, now_of, status

from vittne.appliance.api import live
from vittne.appliance.api.metrics import add_metrics, metrics_of
from vittne.appliance.api.reader import READER
from vittne.appliance.canary.shown import canary_shown
from vittne.appliance.canary.table import Run
from vittne.appliance.clock.state import sample_kernel
from vittne.appliance.events.state import ClockShown, RecorderState, Sources, StampState, StateReader
from vittne.appliance.seal.verdict import fails, holds
from vittne.appliance.stamps.standing import Standing

CANARY = Run("r", 1_000_000, 9_000_000, "", 8_500_000, "unwell", (holds("recorded", ""), fails("audio", "")))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


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
        sources = Sources(now.hub, tmp_path, "1", clock=sample_kernel, clock_bound_us=1.0)
        sources.stamps = lambda: [Standing("tsa", 1, 1, 1, 1, late=False)]
        sources.canary, sources.canary_well_us = lambda: canary_shown(CANARY), lambda: 1
        sources.queues.append(lambda: {"webhooks": 1})
        state = await StateReader(sources, served.app[READER]).read()
        disk = state.disk.model_copy(update={"bytes_per_day": 1, "days_left": 1.0})
        state = state.model_copy(update={"disk": disk, "last_backup_at": state.at})
        assert isinstance(state, RecorderState)
        assert isinstance(state.clock, ClockShown)
        assert isinstance(state.stamps[0], StampState)
        ends = {"counter": "_total", "info": "_info"}
        there = {one.name + ends.get(one.type, "") for one in metrics_of(state, [])}
        assert set(re.findall(r"^\| `(vittne_\w+)` \|", PAGE.read_text(), re.MULTILINE)) == there

    run(tmp_path, use)


def test_what_fails_of_a_canary_can_be_told_from_what_holds(tmp_path: Path) -> None:
    async def use(served: Served, now: Now) -> None:
        sources = Sources(now.hub, tmp_path, "1", canary=lambda: canary_shown(CANARY))
        state = await StateReader(sources, served.app[READER]).read()
        found = {one.name: one.samples for one in metrics_of(state, [])}
        assert found["vittne_canary_well"][0].value == 0
        assert found["vittne_canary_sealed_seconds"][0].value == 7.5
        checks = {(one.labels["check"], one.labels["result"]): one.value for one in found["vittne_canary_check"]}
        assert checks["audio", "fails"] == checks["recorded", "holds"] == 1
        assert sum(checks.values()) == 2
        assert "vittne_canary_last_success_time_seconds" not in found

    run(tmp_path, use)
