"""Kill a child at every step: before each change of a file's name, and wherever else it says that a step is done."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

_STEPS = ("os.rename", "os.link", "os.remove")


def survives(kill_at: int, action: Callable[[], Iterable[object]]) -> bool:
    """Run an action in a child that is killed at its step number kill_at; say whether it came to its end before.

    A step is the moment before a file gets or loses its name, and each item that the action yields.
    """
    child = os.fork()
    if child == 0:
        _die_at(kill_at, action)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the action failed, see above"
    return not os.WIFSIGNALED(status)


def _die_at(kill_at: int, action: Callable[[], Iterable[object]]) -> None:
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, _: tuple[Any, ...]) -> None:
        if event in _STEPS:
            step()

    try:
        sys.addaudithook(hook)
        for _ in action():
            step()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
