"""A recorder that somebody started at a terminal, and the browser of that machine."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from console.browsing import chromium
from rig.namespaces import Room

CODE: Final = re.compile(r"^ {4}((?:[A-Z0-9]{5}-){4}[A-Z0-9]{5})\s*$", re.MULTILINE)
_WAIT_S: Final = 120.0  # a start takes two seconds; a machine may be busy


@dataclass
class Terminal:
    """A program that runs at a terminal, and what it wrote there."""

    process: subprocess.Popen[bytes]
    _master: int
    _said: list[bytes] = field(default_factory=list)

    @property
    def text(self) -> str:
        return b"".join(self._said).decode(errors="replace").replace("\r\n", "\n")

    def read(self) -> None:
        """Read until the program closes the terminal."""
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while piece := os.read(self._master, 4096):
                self._said.append(piece)

    def code(self) -> str:
        """Return the code for the first administrator, once it is told."""
        deadline = time.monotonic() + _WAIT_S
        while (found := CODE.search(self.text)) is None:
            assert time.monotonic() < deadline, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.1)
        return found[1]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(_WAIT_S) == 0, self.text


@contextlib.contextmanager
def recording_at_a_terminal(room: Room, data: Path, *options: str) -> Iterator[Terminal]:
    """Run `vittne record` in a room as somebody does who sits in front of it."""
    master, ours = pty.openpty()
    command = [sys.executable, "-m", "vittne.appliance", "record", "--data", str(data), *options]
    with room.process(*command, stdin=ours, stdout=ours, stderr=ours, grace_s=20) as process:
        os.close(ours)
        terminal = Terminal(process, master)
        reading = threading.Thread(target=terminal.read, daemon=True)
        reading.start()
        yield terminal
    reading.join(5)
    os.close(master)


def browser_in(room: Room, folder: Path) -> Path:
    """Write a program that starts the browser in a room; return its path."""
    program = folder / "chromium"
    enter = " ".join(room._enter())
    program.write_text(f'#!/bin/sh\nexec {enter} {chromium()} "$@"\n')
    program.chmod(0o755)
    return program
