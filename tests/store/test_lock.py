"""One writer per data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import DataLock, LockHeld


def test_the_second_one_is_told_who_holds_it(tmp_path: Path) -> None:
    with DataLock(tmp_path, "record on eth0"), pytest.raises(LockHeld) as refused:
        DataLock(tmp_path, "record a.pcap")

    assert f"process {os.getpid()} (record on eth0, since 20" in str(refused.value)
    assert "--data" in refused.value.next_step


def test_a_lock_given_back_can_be_taken_again(tmp_path: Path) -> None:
    DataLock(tmp_path, "first").close()

    with DataLock(tmp_path, "second"):
        assert '"doing": "second"' in (tmp_path / "lock").read_text()


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from vittne.appliance.store.lock import DataLock\n"
        "lock = DataLock(pathlib.Path(sys.argv[1]), 'sleep')\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockHeld, match=rf"process {holder.pid} \(sleep"):
            DataLock(tmp_path, "second")
        holder.kill()

    DataLock(tmp_path, "second").close()


def test_a_child_of_the_holder_keeps_the_directory_closed(tmp_path: Path) -> None:
    lock = DataLock(tmp_path, "parent")
    end_read, end_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end_write)
        os.read(end_read, 1)  # lives until the other end is closed
        os._exit(0)
    os.close(end_read)
    lock.close()

    with pytest.raises(LockHeld):
        DataLock(tmp_path, "second")
    os.close(end_write)
    os.waitpid(child, 0)
    DataLock(tmp_path, "second").close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', "\x00" * 100])
def test_a_lock_file_without_sense_does_no_harm(text: str, tmp_path: Path) -> None:
    with DataLock(tmp_path, "first"):
        (tmp_path / "lock").write_text(text)
        with pytest.raises(LockHeld, match="another process"):
            DataLock(tmp_path, "second")


def test_a_missing_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is nothing here"):
        DataLock(tmp_path / "away", "record")
