"""Where command line and recorder meet: DIR/control.sock, and lines of JSON on it.

The command sends one line: {"operation", "order", "name"}. Back come {"progress": [done, total, words]} and at the
end {"answer": ...} or {"error": [what, where, what next]}. Only the directory's owner and root get in: the socket's
mode says so, and the kernel says who is at the other end.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Final

SOCKET_FILE: Final = "control.sock"
LINE_LIMIT: Final = 8 << 20  # bytes
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred of unix(7): process, user, group
_LONGEST_PATH: Final = 100  # of sockaddr_un's 108 bytes


class SocketPath:
    """The socket's path, short enough for the kernel as long as this object lives."""

    def __init__(self, data_dir: Path) -> None:
        self._fd = -1
        self.text = str(data_dir / SOCKET_FILE)
        if len(os.fsencode(self.text)) > _LONGEST_PATH:
            self._fd = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self.text = f"/proc/self/fd/{self._fd}/{SOCKET_FILE}"

    def __enter__(self) -> str:
        return self.text

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def peer_user(connection: socket.socket) -> int:
    """Return the user id at the other end, as the kernel knows it."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])
