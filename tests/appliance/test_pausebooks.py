"""Pauses that are written down together: one sync for many, each answered only when it is on the disk."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import ledgers
import pytest
from rig.desk import registrar_of

from vittne.appliance.pausebooks import PauseBooks
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.errors import StoreError
from vittne.capture.columns import SECOND
from vittne.capture.pause import Pause


def a_pause(number: int, **more: Any) -> Pause:
    at = number * SECOND
    return Pause(f"pause-{number}", "api", "tester", at, at, at, at + SECOND, at + SECOND, **more)


def entries(data: Path) -> list[dict[str, Any]]:
    """The entries of pauses that a signed checkpoint covers, read anew from the disk."""
    return [entry for entry in ledgers.entries(data) if entry["t"] in ("pause", "resume", "pause.change")]


class Held:
    """A registrar's disk that is slow: while it is held, every write waits."""

    def __init__(self, registrar: Registrar, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushes = 0
        self.gate = threading.Event()
        real = registrar.ledger.flush

        def flush() -> Any:
            self.flushes += 1
            assert self.gate.wait(10)
            return real()

        monkeypatch.setattr(registrar.ledger, "flush", flush)


def test_who_comes_while_a_write_runs_shares_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with registrar_of(tmp_path) as registrar:
        books, disk = PauseBooks(registrar), Held(registrar, monkeypatch)

        async def work() -> None:
            first = asyncio.create_task(books.keep([a_pause(0)]))
            while not disk.flushes:
                await asyncio.sleep(0.001)
            others = [asyncio.create_task(books.keep([a_pause(number)])) for number in range(1, 50)]
            await asyncio.sleep(0.01)
            assert not any(task.done() for task in (first, *others))
            assert not entries(tmp_path)
            disk.gate.set()
            await asyncio.gather(first, *others)

        asyncio.run(work())
        assert disk.flushes == 2
        assert [entry["pause"] for entry in entries(tmp_path)] == [f"pause-{number}" for number in range(50)]
        assert len(registrar.catalogue.live_pauses()) == 50
        books.close()


def test_a_pause_that_begins_and_ends_in_one_write_is_entered_as_both(tmp_path: Path) -> None:
    with registrar_of(tmp_path) as registrar:
        books = PauseBooks(registrar)

        async def work() -> None:
            begun, ended = a_pause(1), a_pause(1, ended_by="tester", to_at=2 * SECOND)
            await asyncio.gather(books.keep([begun]), books.keep([ended]))

        asyncio.run(work())
        assert [entry["t"] for entry in entries(tmp_path)] == ["pause", "resume"]
        assert not registrar.catalogue.live_pauses()
        books.close()


def test_what_could_not_be_written_is_an_error_for_all_and_written_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with registrar_of(tmp_path) as registrar:
        books = PauseBooks(registrar)
        real = registrar.catalogue.put_pauses

        def full(_: Any) -> None:
            raise StoreError("no space left on the disk", tmp_path, "free space")

        async def work() -> None:
            monkeypatch.setattr(registrar.catalogue, "put_pauses", full)
            tried = await asyncio.gather(*(books.keep([a_pause(n)]) for n in range(2)), return_exceptions=True)
            assert [type(one) for one in tried] == [StoreError, StoreError]
            monkeypatch.setattr(registrar.catalogue, "put_pauses", real)
            await books.keep([a_pause(2)])

        asyncio.run(work())
        assert [entry["pause"] for entry in entries(tmp_path)] == ["pause-0", "pause-1", "pause-2"]
        assert len(registrar.catalogue.live_pauses()) == 3
        books.close()


def test_who_asked_and_went_away_leaves_nothing_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with registrar_of(tmp_path) as registrar:
        books, disk = PauseBooks(registrar), Held(registrar, monkeypatch)

        async def work() -> None:
            gone = asyncio.create_task(books.keep([a_pause(0)], [{"t": "pause.refuse", "by": "x", "reason": "y"}]))
            stays = asyncio.create_task(books.keep([a_pause(1)]))
            while not disk.flushes:
                await asyncio.sleep(0.001)
            gone.cancel()
            await asyncio.sleep(0)
            disk.gate.set()
            await stays

        asyncio.run(work())
        assert [entry["pause"] for entry in entries(tmp_path)] == ["pause-0", "pause-1"]
        assert [entry["t"] for entry in ledgers.entries(tmp_path)].count("pause.refuse") == 1
        books.close()
