"""Calls that may be recorded only while somebody could pause them, and a control channel that comes and goes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from api.harness import Served, run_served
from rig.desk import desk_of, pipeline_of, two_calls, worker_of
from structlog.testing import capture_logs
from triggers.pbxs import Asterisk

from vittne.appliance.api.auth import HEARD
from vittne.appliance.api.pauses import DESK, ROUTES
from vittne.appliance.channelwatch import ChannelWatch, is_up
from vittne.appliance.config import checked
from vittne.appliance.datadir import ConfigError
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pbxlinks import PbxLinks
from vittne.capture.pause import Pause
from vittne.capture.pipeline import Pipeline


def config(called: str, profile: str = "pci-strict", **more: Any) -> PauseConfig:
    depends = {"on": "ami:pbx1", "match": {"called": [called]}, **more}
    return PauseConfig.model_validate({"profile": profile, "depends": [depends]})


@pytest.fixture
def pipeline() -> Pipeline:
    return pipeline_of(two_calls())


def called_in(pipeline: Pipeline) -> str:
    return next(iter(pipeline.book.calls.values())).first.callee.user


def paused(pipeline: Pipeline) -> list[bool]:
    return [pipeline.pauses.is_paused(call) for call in pipeline.book.calls.values()]


def look(watch: ChannelWatch) -> list[str]:
    """Look once; return what was told."""
    with capture_logs() as logs:
        asyncio.run(watch.look())
    return [str(one["event"]) for one in logs if str(one["event"]).startswith("alarm")]


def test_what_depends_on_a_channel_is_shut_while_that_is_down(tmp_path: Path, pipeline: Pipeline) -> None:
    state = {"up": True}
    with desk_of(tmp_path, pipeline, config(called_in(pipeline)[:2] + "*")) as desk:
        watch = ChannelWatch(desk, lambda _: state["up"])

        assert look(watch) == []
        assert paused(pipeline) == [False, False]

        state["up"] = False
        assert look(watch) == ["alarm: a control channel that calls depend on is down"]
        assert look(watch) == []
        assert paused(pipeline) == [True, True]
        (pause,) = pipeline.pauses.live()
        assert (pause.trigger, pause.actor) == ("channel-down", "ami:pbx1")
        assert pipeline.pauses.waiting(pause.lease_mono + 10**15)  # calls that come later as well

        state["up"] = True
        assert look(watch) == ["alarm over: a control channel that calls depend on is back"]
        assert look(watch) == []
        assert paused(pipeline) == [False, False]


def test_other_calls_are_recorded(tmp_path: Path, pipeline: Pipeline) -> None:
    with desk_of(tmp_path, pipeline, config("8500")) as desk:
        look(ChannelWatch(desk, lambda _: False))

    assert paused(pipeline) == [False, False]


@pytest.mark.parametrize(
    ("profile", "then", "is_shut"), [("finance", None, 0), ("standard", None, 0), ("finance", "shut", 2)]
)
def test_elsewhere_the_calls_are_recorded_and_an_alarm_says_so(
    tmp_path: Path, pipeline: Pipeline, profile: str, then: str | None, is_shut: int
) -> None:
    state = {"up": True}
    with desk_of(tmp_path, pipeline, config(called_in(pipeline), profile, then=then)) as desk:
        watch = ChannelWatch(desk, lambda _: state["up"])
        look(watch)
        state["up"] = False

        assert len(look(watch)) == 1

    assert sum(paused(pipeline)) == is_shut


def test_a_restart_while_the_channel_is_down_keeps_the_pause_and_makes_no_second_one(
    tmp_path: Path, pipeline: Pipeline
) -> None:
    settings = config(called_in(pipeline))

    def live(down: bool, settings: PauseConfig = settings) -> list[Pause]:
        with desk_of(tmp_path, pipeline, settings) as desk:
            look(ChannelWatch(desk, lambda _: not down))
            return desk.live_by("channel-down")

    (before,) = live(down=True)
    (after,) = live(down=True)

    assert before.id == after.id
    assert live(down=False) == []
    live(down=True)
    assert live(down=True, settings=PauseConfig()) == []  # no longer configured


def test_a_channel_that_never_was_up_is_an_alarm_only_after_a_while(tmp_path: Path, pipeline: Pipeline) -> None:
    with desk_of(tmp_path, pipeline, config(called_in(pipeline))) as desk:
        watch = ChannelWatch(desk, lambda _: False)

        assert look(watch) == []
        assert paused(pipeline) == [True, True]
        watch._begun_s -= 3600
        assert len(look(watch)) == 1


def test_a_worker_that_is_away_is_asked_again(
    tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vittne.appliance.pausedesk._CONFIRM_S", 0.01)
    with desk_of(tmp_path, None, config(called_in(pipeline), "finance", then="shut")) as desk:
        watch = ChannelWatch(desk, lambda _: False)
        look(watch)
        assert not desk.live_by("channel-down")
        desk.attach(worker_of(desk, pipeline))
        look(watch)

    assert paused(pipeline) == [True, True]


def test_nobody_resumes_over_the_api_what_a_channel_keeps_shut(tmp_path: Path, pipeline: Pipeline) -> None:
    async def use(served: Served) -> None:
        token = served.token("pause", "pause:any")
        call_id = next(iter(pipeline.book.calls.values())).first.call_id
        by_call = await served.post("pauses/resume", token, json={"select": {"sip_call_id": call_id}})
        by_id = await served.post(f"pauses/{pipeline.pauses.live()[0].id}/resume", token)

        assert (by_call.status, by_id.status) == (404, 403)

    with desk_of(tmp_path, pipeline, config(called_in(pipeline))) as desk:
        look(ChannelWatch(desk, lambda _: False))
        run_served(tmp_path, use, routes=ROUTES, fill=lambda app: app.__setitem__(DESK, desk))

    assert paused(pipeline) == [True, True]


def test_a_token_that_is_used_keeps_its_channel_up(tmp_path: Path, pipeline: Pipeline) -> None:
    settings = config(called_in(pipeline), on="api", token="test", within_s=60)
    found: list[bool] = []

    async def use(served: Served) -> None:
        (one,) = settings.depends
        with desk_of(tmp_path, None) as desk:
            links = PbxLinks(desk, (), ())

            def now() -> None:
                heard = served.app[HEARD]
                found.append(is_up(one, links, heard, served.clock.mono_s()))

            now()
            token = served.token("read")
            await served.get("no-such-thing", token)
            now()
            await served.get("whoami", token)
            now()
            served.clock.at_s += 61
            now()

    run_served(tmp_path, use, routes=ROUTES)

    assert found == [False, False, True, False]


def test_a_pbx_is_up_while_it_is_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    secret.chmod(0o600)

    async def work() -> None:
        pbx = Asterisk("s3cret")
        async with pbx.listening() as port:
            values = {"name": "pbx1", "host": "127.0.0.1", "port": port, "username": "v", "secret_file": str(secret)}
            wanted = checked({"triggers": {"ami": [values]}}, "a test").triggers.ami
            with desk_of(tmp_path / "data", None) as desk:
                links = PbxLinks(desk, wanted, ())
                running = asyncio.create_task(links.run())
                assert not links.is_up("ami:pbx1")
                async with asyncio.timeout(10):
                    while not links.is_up("ami:pbx1"):
                        await asyncio.sleep(0.01)
                    pbx.hang_up()
                    while links.is_up("ami:pbx1"):
                        await asyncio.sleep(0.01)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())


@pytest.mark.parametrize(
    "depends",
    [
        {"on": "ami:nobody", "match": {"called": ["8500"]}},
        {"on": "ami:nobody", "match": {}},
        {"on": "api", "match": {"called": ["8500"]}},
        {"on": "api", "token": "crm", "match": {"called": ["8500"]}},
        {"on": "fax", "match": {"called": ["8500"]}},
    ],
)
def test_a_channel_that_cannot_be_known_is_refused(depends: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"pause|depends"):
        checked({"pause": {"depends": [depends]}, "api": {"enabled": False}}, "a test")
