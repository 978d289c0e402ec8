"""Whatever moment everything dies at: nothing is half done, all of it is told, and the backup can be gone on from."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")  # a kill is the same there, and a sync costs nothing


def deaths(program: str, folder: Path, *more: object) -> int:
    """Run a program that kills its children; return how many died."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else folder) as place:
        command = [sys.executable, str(HERE / program), place, *map(str, more)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.sweep
def test_a_backup_that_dies_anywhere_leaves_one_that_can_be_restored(tmp_path: Path) -> None:
    assert deaths("backup_crashes.py", tmp_path) > 20


@pytest.mark.sweep
@pytest.mark.parametrize("seed", [2, 7])  # these found faults once
def test_sealing_cutting_erasing_and_backing_up_with_kills_in_between(tmp_path: Path, seed: int) -> None:
    assert deaths("mixture.py", tmp_path, seed, 14) > 3
