"""Hearing a call while it lasts, over HTTPS: who may, what is entered of it, and what ends it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import numpy.typing as npt
from api.harness import Served, run_served
from api.test_live_rights import Person
from rig.desk import two_calls
from rig.talking import Talking, talking_of

from vittne.appliance.access import operations as ops
from vittne.appliance.access.profile import Profile
from vittne.appliance.api import live, liveaudio, pauses
from vittne.appliance.api.app import Clock
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.live.settings import LiveListenSettings
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.store.audit import AuditRow, AuditSearch
from vittne.capture.pipeline import Settings
from vittne.capture.recordrules import RecordRule, RecordRules

ROUTES = (*live.ROUTES, *liveaudio.ROUTES, *pauses.ROUTES)
Use = Callable[[Served, Talking], Awaitable[None]]


def run(data: Path, use: Use, live: LiveListenSettings | None = None, settings: Settings | None = None) -> None:
    with talking_of(data, two_calls(), live, settings) as talking:

        async def whole(served: Served) -> None:
            async with talking.talking():
                await use(served, talking)

        run_served(data, whole, routes=ROUTES, fill=talking.fill, clock=Clock())


def rows(talking: Talking, *kinds: str) -> list[AuditRow]:
    found = talking.registrar.audit.table.search(AuditSearch())
    return sorted((row for row in found if row.kind in kinds), key=lambda row: row.at_us)


@asynccontextmanager
async def hearing(
    served: Served, recording: str, token: str = "", **more: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    host, port = served.address
    headers = {"Authorization": f"Bearer {token}"} if token else more.pop("headers")
    url = f"https://{host}:{port}/api/v1/live/{recording}/audio"
    async with served.session.get(url, headers=headers, **more) as found:
        yield found


async def sound(found: aiohttp.ClientResponse, seconds: float) -> npt.NDArray[np.int16]:
    """Read so much sound, (n, 2)."""
    assert found.status == 200, await found.text()
    head = await found.content.readexactly(44)
    assert head[:4] + head[8:16] == b"RIFFWAVEfmt "
    data = await found.content.readexactly(round(seconds * 8000) * 4)
    return np.frombuffer(data, "<i2").reshape(-1, 2)


async def eventually(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.02)


def test_both_parties_are_heard_and_the_trail_says_so_before_and_after(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        recording = talking.recordings[0]
        async with hearing(served, recording, served.token("read", "live", days=None)) as found:
            (look,) = rows(talking, "live")
            assert (look.recording, look.actor, look.details["format"]) == (recording, "test", "wav")
            heard = await sound(found, 2.0)
        assert all(np.abs(heard[:, side]).max() > 1000 for side in (0, 1))
        assert int(found.headers["Vittne-Live-Behind-Ms"]) >= 400
        await eventually(lambda: bool(rows(talking, "play.heard")))
        (after,) = rows(talking, "play.heard")
        assert after.details["look"] == look.id
        assert 2 <= after.details["seconds"] <= 6
        assert after.details["from_at"] < after.details["to_at"]
        assert talking.live.listeners == 0
        await eventually(lambda: talking.pipeline.tapped is None)

    run(tmp_path, use)


def test_nobody_hears_what_cannot_be_entered(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        with sqlite3.connect(tmp_path / "catalogue.db") as trail:
            trail.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
        async with hearing(served, talking.recordings[0], served.token("read", "live", days=None)) as found:
            assert found.status == 503
            assert (await found.json())["type"] == "/problems/not-opened"
        assert talking.live.listeners == 0

    run(tmp_path, use)


async def add_role(talking: Talking, profile: Profile) -> None:
    operator = Operator(talking.registrar, OPERATIONS)
    await operator.perform(
        ops.PUT_ROLE, ops.PutRole(role=profile.model_dump(mode="json", exclude_defaults=True)), Caller("test")
    )


def test_what_a_role_shows_of_a_call_is_what_is_heard_of_it(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        recording = talking.recordings[0]
        one_side = Profile(name="one-side", may=frozenset(["read", "live"]), fields={"audio-callee": "full"})
        asks = Profile(
            name="asks",
            may=frozenset(["read", "live"]),
            fields={"audio-caller": "full", "audio-callee": "full"},
            reason_required=True,
        )
        deaf = Profile(name="deaf", may=frozenset(["read", "live"]))
        for profile in (one_side, asks, deaf):
            await add_role(talking, profile)
        for role, status, kind in (
            ("compliance", 403, "/problems/missing-scope"),
            ("administrator", 403, "/problems/missing-scope"),
            ("deaf", 403, "/problems/party-hidden"),
            ("asks", 403, "/problems/ground-needed"),
        ):
            refused = await Person(served, role, role).ask("GET", f"live/{recording}/audio")
            assert (refused.status, refused.problem["type"]) == (status, kind)
        gone = await Person(served, "boss", "supervisor").ask("GET", f"live/{'0' * 36}/audio")
        assert gone.status == 404
        assert not rows(talking, "live")
        who = Person(served, "half", "one-side")
        async with hearing(served, recording, headers=who._cookie) as found:
            heard = await sound(found, 1.5)
        assert not heard[:, 0].any()
        assert heard[:, 1].any()
        why = Person(served, "why", "asks")
        async with hearing(served, recording, headers=why._cookie, params={"reason": "training"}) as found:
            await sound(found, 0.1)
        assert [row.details.get("reason") for row in rows(talking, "live")] == [None, "training"]

    run(tmp_path, use)


def test_it_ends_when_the_token_does_and_with_the_call(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        token = served.token("read", "live", days=None)
        async with hearing(served, talking.recordings[0], token) as found:
            await sound(found, 0.5)
            (held,) = served.tokens.all()
            served.tokens.revoke(held.id, Clock().now_us())
            async with asyncio.timeout(20):
                await found.content.read()
        await eventually(lambda: talking.live.listeners == 0)
        async with hearing(served, talking.recordings[0], served.token("read", "live", days=None)) as found:
            await sound(found, 0.5)
            for call in talking.pipeline.book.calls.values():
                for session in call.sessions:
                    talking.pipeline.book.end(session, time.monotonic_ns(), time.time_ns(), "test")
            async with asyncio.timeout(20):
                await found.content.read()
        await eventually(lambda: talking.live.listeners == 0)

    run(tmp_path, use)


def test_a_decoder_that_breaks_ends_one_stream_and_nothing_else(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        token, (first, second) = served.token("read", "live", days=None), talking.recordings
        async with hearing(served, first, token) as broken, hearing(served, second, token) as other:
            await sound(broken, 0.2)
            await sound(other, 0.2)
            decoder = next(one for one in talking.live._open.values() if one.recording == first)._process
            assert decoder is not None
            decoder.kill()
            async with asyncio.timeout(20):
                await broken.content.read()
            assert len(await other.content.readexactly(8000 * 4)) == 8000 * 4
        await eventually(lambda: len(rows(talking, "play.heard")) == 2)
        assert not talking.pipeline.faults

    run(tmp_path, use)


def test_no_more_listen_than_may(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        token, (first, second) = served.token("read", "live", days=None), talking.recordings
        async with hearing(served, first, token) as found:
            await sound(found, 0.2)
            async with hearing(served, second, token) as refused:
                assert refused.status == 429
                assert (await refused.json())["type"] == "/problems/too-many-listeners"

    run(tmp_path, use, LiveListenSettings(listeners=1))


def test_configuration_and_rules_let_nobody_listen(tmp_path: Path) -> None:
    async def private(served: Served, talking: Talking) -> None:
        async with hearing(served, talking.recordings[0], served.token("read", "live", days=None)) as found:
            assert (found.status, (await found.json())["type"]) == (403, "/problems/not-live")
        assert not rows(talking, "live")

    run(tmp_path / "off", private, LiveListenSettings(enabled=False))
    rule = RecordRule("board", live=False)
    run(tmp_path / "rule", private, settings=Settings(recording=RecordRules((rule,))))


def test_who_does_not_read_is_dropped_and_holds_nothing_up(tmp_path: Path) -> None:
    """The client reads nothing: its stream ends, the worker goes on turning and never waits."""

    async def use(served: Served, talking: Talking) -> None:
        listening = await talking.live.listen(talking.recordings[0], (False, False))
        await eventually(lambda: bool(listening._waiting))
        async with asyncio.timeout(40):
            while not listening.ended:
                begun = time.monotonic()
                talking.hear()
                assert time.monotonic() - begun < 5
                await asyncio.sleep(0.05)
        assert listening.ended == "slow"
        await talking.live.end(listening)

    run(tmp_path, use)


def test_a_socket_that_nobody_reads_costs_the_listener_and_not_the_worker(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        async with hearing(served, talking.recordings[0], served.token("read", "live", days=None)) as found:
            await sound(found, 0.2)
            assert talking.live._socket is not None
            asyncio.get_running_loop().remove_reader(talking.live._socket.fileno())  # the parent has no time
            frames = talking.pipeline.counters["frames"]
            await eventually(lambda: talking.tapping.dropped > 0)
            assert talking.pipeline.counters["frames"] > frames
            assert not talking.pipeline.faults

    with_small_room(tmp_path, use)


def with_small_room(data: Path, use: Use) -> None:
    async def small(served: Served, talking: Talking) -> None:
        assert talking.tapping._socket is not None
        talking.tapping._socket.setsockopt(1, 7, 4096)  # SOL_SOCKET, SO_SNDBUF
        await use(served, talking)

    run(data, small)


def test_levels_are_told_to_who_may_hear_the_party(tmp_path: Path) -> None:
    async def use(served: Served, talking: Talking) -> None:
        await add_role(talking, Profile(name="caller-only", may=frozenset(["read"]), fields={"audio-caller": "full"}))
        half = Person(served, "half", "caller-only")
        for headers, sides in (
            ({"Authorization": f"Bearer {served.token('read', days=None)}"}, (True, True)),
            (half._cookie, (True, False)),
        ):
            told = await first_levels(served, headers)
            assert {one["recording"] for one in told} == set(talking.recordings)
            for one in told:
                assert (one["caller"] is not None, one["callee"] is not None) == sides
                assert -60 < one["caller"] < 0
        made = await served.post(
            "pauses", served.token("pause", days=None), json={"select": {"recording": talking.recordings[0]}}
        )
        assert made.status == 201
        told = await first_levels(served, {"Authorization": f"Bearer {served.token('read', days=None)}"})
        assert {one["recording"] for one in told} == {talking.recordings[1]}

    run(tmp_path, use)


async def first_levels(served: Served, headers: dict[str, str]) -> list[dict[str, Any]]:
    """Return the levels that are told first of any call."""
    host, port = served.address
    async with (
        asyncio.timeout(20),
        served.session.get(f"https://{host}:{port}/api/v1/events?kinds=level", headers=headers) as found,
    ):
        while True:
            line = (await found.content.readline()).decode()
            if line.startswith("data: ") and (told := json.loads(line[6:])["level"]["levels"]):
                assert isinstance(told, list)
                return told
