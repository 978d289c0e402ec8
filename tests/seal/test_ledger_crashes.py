"""Whatever moment a ledger's writer dies at: nothing that was confirmed is lost, nothing half done is left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("ledger_crashes.py")
MEMORY = Path("/dev/shm")  # a kill is the same there, and a sync costs nothing


@pytest.mark.sweep
def test_a_writer_that_dies_at_any_step_leaves_a_ledger_that_goes_on(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else tmp_path) as folder:
        done = subprocess.run([sys.executable, str(PROGRAM), folder], capture_output=True, text=True, check=False)

    assert done.stderr == ""
    assert int(done.stdout) > 50
