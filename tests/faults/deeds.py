"""What is done to the recorder while calls are up: processes killed and stopped."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from typing import Final

from faults.stage import Stage

STOPPED_S: Final = 3.0
_CHILD: Final = "vittne.appliance.analysis.child"
_KEYS: Final = "vittne.appliance.keyring.process"


def worker_killed(stage: Stage, times: int = 20, seed: int = 7) -> None:
    """Kill the worker again and again, some seconds apart."""
    gaps = random.Random(seed)
    for _ in range(times):
        stage.recorder.worker()
        time.sleep(gaps.uniform(0, 5.0))
        stage.recorder.kill_worker()


def parent_killed(stage: Stage) -> None:
    """Kill the parent; the worker dies with it."""
    stage.kill()


def both_killed(stage: Stage) -> None:
    """Kill the worker, and the parent before it can start another."""
    stage.recorder.kill_worker()
    stage.kill()


def worker_stopped(stage: Stage) -> None:
    """Stop the worker for three seconds."""
    _stopped(stage.recorder.worker())


def parent_stopped(stage: Stage) -> None:
    """Stop the parent for three seconds."""
    _stopped(stage.pid())


def _stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(STOPPED_S)
    finally:
        os.kill(pid, signal.SIGCONT)


def analysis_killed(stage: Stage) -> None:
    """Kill the process that decodes voices, twice."""
    _kill_all(stage, _CHILD)
    time.sleep(3)
    _kill_all(stage, _CHILD)
    time.sleep(3)


def keys_killed(stage: Stage) -> None:
    """Kill the process that holds the archive's key."""
    _kill_all(stage, _KEYS)
    stage.wait_for_line("the key process ended")
    time.sleep(6)


def _kill_all(stage: Stage, module: str) -> None:
    pids = stage.children(module)
    assert pids, f"no process runs {module}"
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
