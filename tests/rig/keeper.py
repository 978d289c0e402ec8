"""A service manager in small: what systemd keeps for a service over its restarts, and how it starts it."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from pathlib import Path

# Moves descriptors to 3, 4, ... and becomes the program, as sd_listen_fds(3) wants to find them.
_SHIM = """
import fcntl, os, sys
fds = [fcntl.fcntl(int(fd), fcntl.F_DUPFD, 400) for fd in sys.argv[1].split(",") if fd]
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number, inheritable=True)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


class Keeper:
    """Listens for one service, and keeps what it is given until it is told to forget it."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self.said: list[str] = []
        self.store: dict[str, int] = {}
        self.changed = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._ours, self._theirs = os.pipe()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._theirs)
        self._thread.join()
        os.close(self._ours)
        self._socket.close()
        for fd in self.store.values():
            os.close(fd)

    def environment(self, watchdog_s: float = 0) -> dict[str, str]:
        wanted = {"NOTIFY_SOCKET": self.address}
        if watchdog_s:
            wanted["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        return {**os.environ, **wanted}

    def command(self, *arguments: str, more: dict[str, int] | None = None) -> tuple[list[str], tuple[int, ...]]:
        """Return how Python is started with what is kept (and more descriptors by name), and what is to be passed."""
        given = {**self.store, **(more or {})}
        fds = ",".join(str(fd) for fd in given.values())
        return [sys.executable, "-c", _SHIM, fds, ":".join(given), *arguments], tuple(given.values())

    def wait_for(self, line: str, timeout_s: float = 30) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: line in self.said, timeout_s), self.said

    def wait_for_store(self, name: str, timeout_s: float = 30) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: name in self.store, timeout_s), sorted(self.store)

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._socket.fileno(), self._ours], [], [])
            if self._ours in ready:
                return
            data, fds, _, _ = socket.recv_fds(self._socket, 1 << 16, 16)
            with self.changed:
                self._take(data.decode().split("\n"), list(fds))
                self.changed.notify_all()

    def _take(self, lines: list[str], fds: list[int]) -> None:
        self.said += lines
        name = next((line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")), "stored")
        if "FDSTOREREMOVE=1" in lines and name in self.store:
            os.close(self.store.pop(name))
        if "FDSTORE=1" in lines:
            if name in self.store:  # what is kept already stays; the same again is closed
                os.close(self.store.pop(name))
            self.store[name] = fds.pop()
        for fd in fds:
            os.close(fd)
