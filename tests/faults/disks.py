"""A disk of its own: ext4 in a file, mounted by loop, to be filled, frozen, made read-only and cut off. Root only.

And what is done with one while calls are up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from faults.stage import Result, Stage
from rig.live import load_module, vittne

HANGS_S: Final = 4.0
_STEPS: Final = 6  # of a disk that is slow: as long as it works it stands still


class Disk:
    """One such disk."""

    def __init__(self, folder: Path, size_mb: int = 256, name: str = "disk") -> None:
        self.image, self.place = folder / f"{name}.img", folder / name
        self.place.mkdir()
        with self.image.open("wb") as file:
            file.truncate(size_mb << 20)
        _do("mkfs.ext4", "-q", "-F", str(self.image))

    def mount(self) -> None:
        _do("mount", "-o", "loop", str(self.image), str(self.place))

    def unmount(self) -> None:
        _do("umount", str(self.place))

    def check(self) -> int:
        """Mend it as a start after a power cut does; return what fsck says: 0 clean, 1 mended, more is bad."""
        return subprocess.run(["e2fsck", "-fy", str(self.image)], capture_output=True, check=False).returncode

    def freeze(self) -> None:
        """Let nothing through any more; who writes waits."""
        _do("fsfreeze", "--freeze", str(self.place))

    def thaw(self) -> None:
        _do("fsfreeze", "--unfreeze", str(self.place))

    def fill(self) -> None:
        """Use up all room."""
        with contextlib.suppress(OSError), (self.place / "filling").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 20))

    def empty(self) -> None:
        (self.place / "filling").unlink()

    def make_read_only(self) -> None:
        """Do what the kernel does when a disk fails: no way back but to unmount it and mend it."""
        _do("mount", "-o", "remount,abort", str(self.place))


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


@contextlib.contextmanager
def mounted(folder: Path, size_mb: int = 256, name: str = "disk") -> Iterator[Disk]:
    """Make one, and take it away again: whoever still uses it has ended by then."""
    disk = Disk(folder, size_mb, name)
    disk.mount()
    try:
        yield disk
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", str(disk.place)], capture_output=True, check=False)
        subprocess.run(["umount", "--lazy", str(disk.place)], capture_output=True, check=False)


def on_disk(stage: Stage, disk: Disk) -> Stage:
    """Let a stage's recorder write there."""
    stage.data = disk.place / "data"
    return stage


def disk_full(disk: Disk, stage: Stage) -> None:
    """Fill it for ten seconds."""
    disk.fill()
    time.sleep(10)
    disk.empty()
    time.sleep(4)


def disk_slow(disk: Disk) -> None:
    """Let it work half of the time only, a second now and then."""
    for _ in range(_STEPS):
        disk.freeze()
        time.sleep(1)
        disk.thaw()
        time.sleep(1)


def disk_hangs(disk: Disk) -> None:
    """Let it stand still for some seconds."""
    disk.freeze()
    time.sleep(HANGS_S)
    disk.thaw()
    time.sleep(3)


def read_only(stage: Stage, disk: Disk) -> Result:
    """Let the disk fail while calls are up; then stop, mend, start again, with calls that begin anew."""
    with stage:
        stage.start()
        with stage.talking():
            time.sleep(5)
            disk.make_read_only()
            time.sleep(8)
            stage.wait_for_line("alarm: ")
        with contextlib.suppress(subprocess.TimeoutExpired):
            stage.stop()
        if stage.recorder.process.poll() is None:
            stage.recorder.process.kill()
            stage.recorder.process.wait()
        disk.unmount()
        stage.note = f"fsck {disk.check()}"
        disk.mount()
        finish_what_is_open(stage.data, stage.folder)
        return stage.result(stage.data)


def power_cut(stage: Stage, disk: Disk) -> Result:
    """Take what the disk holds at one moment, while everything runs; mend and start that."""
    copy = Disk(stage.folder, 1, "after")
    with stage:
        stage.start()
        with stage.talking():
            time.sleep(stage.talk_s - 3)
            pids = [stage.pid(), *stage.children("vittne.appliance.worker")]
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            try:
                shutil.copyfile(disk.image, copy.image)
            finally:
                for pid in reversed(pids):
                    os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            stage.stop()
        stage.note = f"fsck {copy.check()}"
        copy.mount()
        try:
            data = copy.place / "data"
            finish_what_is_open(data, stage.folder)
            return stage.result(data)
        finally:
            copy.unmount()


Deed = Callable[[Disk], None]


def finish_what_is_open(data: Path, folder: Path) -> None:
    """Start once more, on a capture that holds nothing."""
    empty = folder / "empty.pcap"
    empty.write_bytes(load_module().PCAP_HEADER)
    done = vittne("record", "--pcap", str(empty), "--data", str(data))
    assert done.returncode == 0, done.stderr
