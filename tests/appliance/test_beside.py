"""What runs beside recording: a fault of one of its pieces, or a stop amid a step, is nobody else's."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from rig.desk import registrar_of

from vittne.appliance.beside import keep_up
from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.control.server import Operator
from vittne.appliance.life.retention import RUN_RETENTION
from vittne.appliance.life.settings import ExpiryConfig
from vittne.appliance.life.timer import RetentionTimer
from vittne.appliance.pausebooks import PauseBooks
from vittne.appliance.registrar import Registrar


def test_what_fails_is_begun_anew_and_takes_nobody_along() -> None:
    begun: list[int] = []

    async def fails_twice() -> None:
        begun.append(1)
        if len(begun) < 3:
            raise RuntimeError("a fault of ours")

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            other = tasks.create_task(asyncio.sleep(0.01, "done"))
            tasks.create_task(keep_up("test", fails_twice, 0.0))
        assert other.result() == "done"

    asyncio.run(work())
    assert len(begun) == 3


def test_what_is_cancelled_is_not_begun_anew() -> None:
    async def work() -> None:
        task = asyncio.create_task(keep_up("test", asyncio.Event().wait))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())


class SlowDisk:
    """An operation whose step hangs in the thread that writes, as on a slow disk."""

    def __init__(self, name: str) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.steps = 0
        self.operation = Operation(name, "waiting", Order, self._do)

    def _do(self, _registrar: Registrar, _order: Order, _caller: Caller) -> Steps:
        for _ in range(2):
            self.begun.set()
            assert self.may_end.wait(10)
            self.steps += 1
            yield Progress(1, 2)
        return {"due": 0, "rules": {}, "next": None}


def test_an_operation_that_is_cancelled_amid_a_step_ends_with_that_step(tmp_path: Path) -> None:
    with registrar_of(tmp_path) as registrar:
        books, slow = PauseBooks(registrar), SlowDisk("slow")

        async def work() -> None:
            operator = Operator(registrar, [slow.operation], books.do)
            task = asyncio.create_task(operator.perform(slow.operation, Order(), VITTNE))
            await asyncio.to_thread(slow.begun.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            slow.may_end.set()

        asyncio.run(work())
        books.close()
        assert slow.steps == 1


def test_a_recorder_can_stop_amid_the_nightly_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = SlowDisk(RUN_RETENTION.name)
    monkeypatch.setattr("vittne.appliance.life.timer.RUN_RETENTION", slow.operation)
    with registrar_of(tmp_path) as registrar:
        books = PauseBooks(registrar)

        async def work() -> None:
            timer = RetentionTimer(Operator(registrar, [slow.operation], books.do), registrar, ExpiryConfig())
            night = asyncio.create_task(timer.once())
            await asyncio.to_thread(slow.begun.wait, 10)
            night.cancel()
            await asyncio.wait([night])
            assert night.cancelled()  # else run() would go on, and the recorder wait for it for ever
            slow.may_end.set()

        asyncio.run(work())
        books.close()
