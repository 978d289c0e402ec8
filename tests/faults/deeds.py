"""What is done to the recorder while calls are up: processes killed and stopped, a broken configuration."""

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


def config_broken(stage: Stage) -> None:
    """Reload with a configuration that is none, then with one that is good."""
    good = stage.config.read_text()
    stage.config.write_text(f"{good}[alarms\n")
    os.kill(stage.pid(), signal.SIGHUP)
    stage.wait_for_line("alarm: the configuration cannot be used")
    stage.config.write_text(f"{good}[alarms]\ndisk_days = 3.0\n")
    os.kill(stage.pid(), signal.SIGHUP)
    stage.wait_for_line("the configuration can be used again")
    assert [one for one in stage.keeper.said if one.startswith("RELOADING=1")], stage.keeper.said


def _kill_all(stage: Stage, module: str) -> None:
    pids = stage.children(module)
    assert pids, f"no process runs {module}"
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
