"""What only the kernel knows of this machine: through the edge where there is one, since a sandbox hides it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from vittne.appliance.edge.wire import EdgeError, ask, edge_address
from vittne.capture.interfaces import ask_on

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_MEMORY: Final = Path("/proc/meminfo")


def boot_id() -> str:
    """Return what names this boot. Raises OSError."""
    return _said("boot", _BOOT)


def meminfo() -> str:
    """Return the text of /proc/meminfo. Raises OSError."""
    return _said("meminfo", _MEMORY)


def _said(what: str, path: Path) -> str:
    address = edge_address()
    if not address:
        return path.read_text("ascii").strip()
    try:
        said, _ = ask(address, {"ask": "machine"})
    except EdgeError as error:
        raise OSError(str(error)) from error
    return str(said[what])


def look_through_edge() -> None:
    """Have this process ask about interfaces on a socket of the edge, where there is one. Raises OSError."""
    address = edge_address()
    if not address:
        return
    try:
        _, fds = ask(address, {"ask": "netlink"})
    except EdgeError as error:
        raise OSError(str(error)) from error
    ask_on(socket.socket(fileno=fds[0]))
