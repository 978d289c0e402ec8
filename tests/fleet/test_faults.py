"""The server is away, or hangs, or the sender dies: recording does not notice, and everything is there afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from lives import archive, erasing
from rig.boxes import Box, box, call
from rig.postgres import Cluster, cluster
from structlog.testing import capture_logs

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError

LATE = "alarm: the shared catalogue is late"


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    """A server that may be stopped: nobody else uses it."""
    with cluster() as found:
        yield found


@asynccontextmanager
async def sending(berlin: Box) -> AsyncIterator[None]:
    task = asyncio.create_task(berlin.runner.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(what):
            await asyncio.sleep(0.2)


def is_same(berlin: Box) -> bool:
    try:
        return berlin.there == berlin.here
    except StoreError:
        return False


def holding(cluster: Cluster, word: str) -> None:
    """Stop all processes of a server amid what they do, or let them go on."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, ValueError):
                continue
            if parent == cluster.pid and "postgres" in words:
                os.kill(int(entry.name), getattr(signal, word))
    os.kill(cluster.pid, getattr(signal, word))


@pytest.mark.parametrize("how", ["stopped", "hangs"])
def test_a_server_that_is_away_keeps_nobody_waiting_and_gets_everything_later(
    tmp_path: Path, server: Cluster, how: str
) -> None:
    async def story(berlin: Box) -> None:
        async with sending(berlin):
            berlin.catalogue.upsert_calls([call(n) for n in range(5)])
            await until(lambda: is_same(berlin))
            server.stop() if how == "stopped" else holding(server, "SIGSTOP")
            try:
                for n in range(5, 40):
                    await asyncio.to_thread(berlin.catalogue.upsert_call, call(n))
                await asyncio.to_thread(berlin.catalogue.upsert_call, call(2, outcome="partial"))
                await until(lambda: late(berlin))
            finally:
                server.start() if how == "stopped" else holding(server, "SIGCONT")
            await until(lambda: is_same(berlin))
            await until(lambda: not late(berlin))

    def late(berlin: Box) -> bool:
        berlin.runner.look()
        return bool(berlin.runner.queues()["shared catalogue"]) and LATE in [one["event"] for one in logs]

    with (
        capture_logs() as logs,
        box(tmp_path / "b", server, every_s=0.2, late_after_minutes=0.01) as berlin,
    ):
        asyncio.run(story(berlin))
        assert len(berlin.there["calls"]) == 40

    events = [one["event"] for one in logs]
    assert events.count(LATE) == 1
    assert "the shared catalogue is up to date again" in events[events.index(LATE) :]


def test_senders_that_are_killed_again_and_again_lose_nothing_and_double_nothing(berlin: Box) -> None:
    async def story() -> None:
        async with sending(berlin):
            for n in range(4):
                for m in range(0, 60, 10):
                    berlin.catalogue.upsert_calls([call(n * 60 + m + one) for one in range(10)])
                await until(partial(has_arrived, n * 60))
                for one in senders():
                    os.kill(one, signal.SIGKILL)
            await until(lambda: is_same(berlin))

    def has_arrived(number: int) -> bool:
        try:
            return len(berlin.there["calls"]) > number
        except StoreError:
            return False

    def senders() -> list[int]:
        """Return the processes that this one started to send."""
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        lines = {int(one): Path(f"/proc/{one}/cmdline") for one in children}
        return [one for one, line in lines.items() if line.exists() and b"vittne.appliance.fleet" in line.read_bytes()]

    asyncio.run(story())

    assert len(berlin.there["calls"]) == 240


def test_what_is_erased_leaves_the_shared_catalogue_too(tmp_path: Path, postgres: Cluster) -> None:
    archive(tmp_path / "b")
    with box(tmp_path / "b", postgres) as before:
        before.send()
        name, schema = "Hedda Gabler", before.schema
        assert name in repr(before.there)
    for _ in erasing(tmp_path / "b"):
        pass

    with box(tmp_path / "b", postgres) as berlin:
        berlin.send()

        assert berlin.there == berlin.here
        assert name not in repr(berlin.there)
        assert "4930555123" not in repr(berlin.there)
        assert postgres.sql(f"SELECT count(*) FROM {schema}.erasures") == [(1,)]


def test_without_a_shared_catalogue_nothing_is_noted(berlin: Box, tmp_path: Path, postgres: Cluster) -> None:
    berlin.send()
    berlin.runner._settings = berlin.settings.model_copy(update={"url": ""})

    asyncio.run(berlin.runner.run())
    berlin.catalogue.upsert_call(call(1))

    with Catalogue(berlin.registrar.data_dir / "catalogue.db", read_only=True) as found:
        berlin.runner.look()
        assert berlin.runner.waiting == 0
        assert len(list(found.list_calls())) == 1
