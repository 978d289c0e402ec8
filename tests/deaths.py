"""A process that dies at the n-th time that it asks the kernel to make something last."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

# What stands on the disk changes with these. All that a step between two of them wrote is there, or not.
CALLS = ("rename", "replace", "link", "unlink", "rmdir", "fsync", "fdatasync")


def dying(at: int, work: Callable[[], object]) -> bool:
    """Do work in a child that kills itself right before its at-th such call; return whether it died of it.

    at = 0: it lives. Work that fails otherwise is an AssertionError.
    """
    child = os.fork()
    if not child:
        _counting(at)
        code = 0
        try:
            work()
        except BaseException:
            traceback.print_exc()
            code = 3
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert status == 0 or os.WIFSIGNALED(status), "it failed, see above"
    return os.WIFSIGNALED(status)


def _counting(at: int) -> None:
    count = 0

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        setattr(os, name, watched)

    for name in CALLS:
        watch(name)
