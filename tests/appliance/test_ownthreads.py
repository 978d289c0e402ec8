"""What hangs in threads of its own starves nobody else."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from vittne.appliance.ownthreads import OwnThreads


@pytest.fixture
def hanging() -> Iterator[threading.Event]:
    """Something that is waited for until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def test_others_go_on_while_all_threads_of_one_hang(hanging: threading.Event) -> None:
    async def act() -> None:
        slow, other = OwnThreads("slow", 2), OwnThreads("other")
        stuck = [asyncio.create_task(slow.run(hanging.wait)) for _ in range(50)]

        assert await other.run(sum, [1, 2]) == 3
        assert await asyncio.to_thread(sum, [1, 2]) == 3  # the default ones are everybody's, and free
        assert sum(one.name == "slow" for one in threading.enumerate()) == 2
        for one in stuck:
            one.cancel()
        assert sum(one.name == "slow" for one in threading.enumerate()) == 2  # who gave up waiting frees no thread

    asyncio.run(act())  # and the loop ends, though they hang


def test_what_work_raises_comes_back_and_its_thread_is_free_again() -> None:
    async def act() -> None:
        threads = OwnThreads("one", 1)
        for _ in range(2):
            with pytest.raises(ValueError, match="not a number"):
                await threads.run(_fails)
        assert await threads.run(int, "7") == 7

    asyncio.run(act())


def _fails() -> None:
    raise ValueError("not a number")


def test_a_thread_that_cannot_be_started_takes_no_place_from_the_next() -> None:
    threads = OwnThreads("test", 1)

    async def twice() -> str:
        before = threading.stack_size(1 << 46)  # more than there are addresses: no thread can be had
        try:
            with pytest.raises(RuntimeError, match="start new thread"):
                await threads.run(str, "first")
        finally:
            threading.stack_size(before)
        async with asyncio.timeout(10):
            return await threads.run(str, "second")

    assert asyncio.run(twice()) == "second"
