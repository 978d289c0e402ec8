"""How a recorder and its edge talk: a Unix socket, a message each way (SOCK_SEQPACKET), descriptors beside it.

The recorder asks with an object of JSON; the answer is one too, {"error": words} when nothing came of it. Where the
edge is stands in VITTNE_EDGE, which the recorder's unit sets: without it a process does by itself what it may.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

ADDRESS: Final = "VITTNE_EDGE"
LONGEST: Final = 16384  # bytes of a message
ANSWER_S: Final = 10.0  # a large ring takes the kernel a while


class EdgeError(Exception):
    """The edge did not do what was asked; the text says why."""


def edge_address() -> str:
    """Return the socket's path; "" where there is no edge."""
    return os.environ.get(ADDRESS, "")


def ask(address: str, request: Mapping[str, Any]) -> tuple[dict[str, Any], list[int]]:
    """Ask for something; return what is said, and the descriptors that came. Raises EdgeError."""
    fds: list[int] = []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(ANSWER_S)
            sock.connect(address)
            sock.sendall(json.dumps(request).encode())
            data, fds, _, _ = socket.recv_fds(sock, LONGEST, 1, socket.MSG_CMSG_CLOEXEC)
        answer = json.loads(data) if data else {"error": "it ended without an answer"}
        if "error" in answer:
            raise EdgeError(str(answer["error"]))
    except (OSError, ValueError, EdgeError) as error:
        for fd in fds:
            with suppress(OSError):
                os.close(fd)
        if isinstance(error, EdgeError):
            raise
        raise EdgeError(f"vittne-edge does not answer at {address} ({error}): systemctl status vittne-edge") from error
    return answer, fds
