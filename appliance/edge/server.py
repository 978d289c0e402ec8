"""The edge: opens rings and senders, and asks the kernel, for whoever may connect. One question at a time.

It has the one capability that capturing needs (CAP_NET_RAW), no network address, no file of the archive, and it never
looks at a packet: a ring belongs to who asked for it, and collects there.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.clock.kernel import read_kernel_clock
from vittne.appliance.edge.wire import LONGEST
from vittne.capture.interfaces import kernel_socket
from vittne.capture.ringopen import RingError, frame_sender, open_ring
from vittne.capture.ringsize import RingSize

log = structlog.get_logger()

_REQUEST_S: Final = 5.0  # who connects and says nothing holds nobody else up for longer
_BACKLOG: Final = 16
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_MEMORY: Final = Path("/proc/meminfo")


def listen(path: Path) -> socket.socket:
    """Return a socket at a path that only this user may connect to. Raises OSError."""
    with suppress(FileNotFoundError):
        path.unlink()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    sock.bind(str(path))
    path.chmod(0o600)
    sock.listen(_BACKLOG)
    return sock


def serve(sock: socket.socket) -> None:
    """Answer until somebody ends this process."""
    while True:
        connection, _ = sock.accept()
        with connection, suppress(OSError):  # whoever asked went away
            connection.settimeout(_REQUEST_S)
            _answer(connection)


def _answer(connection: socket.socket) -> None:
    said, fd = _done(connection.recv(LONGEST))
    try:
        socket.send_fds(connection, [json.dumps(said).encode()], [] if fd is None else [fd])
    finally:
        if fd is not None:
            os.close(fd)  # who asked has it now; or nobody does


def _done(request: bytes) -> tuple[dict[str, Any], int | None]:
    """Do what is asked; return the answer, and the descriptor that goes with it."""
    try:
        asked = json.loads(request)
        match asked["ask"]:
            case "clock":
                clock = read_kernel_clock()
                return {"clock": None if clock is None else asdict(clock)}, None
            case "ring":
                ring = open_ring(*_ring_asked(asked))
                log.info("a ring is open", interface=ring.interface, blocks=ring.block_count)
                return {"link_type": ring.link_type}, ring.fd
            case "sender":
                if not isinstance(asked["interface"], str):
                    raise ValueError("a name is expected")
                return {}, frame_sender(asked["interface"]).detach()
            case "netlink":
                return {}, kernel_socket().detach()
            case "machine":
                return {"boot": _BOOT.read_text("ascii").strip(), "meminfo": _MEMORY.read_text("ascii")}, None
    except (RingError, OSError) as error:
        return {"error": str(error)}, None
    except (ValueError, KeyError, TypeError, RecursionError):
        log.warning("this was not asked as a recorder asks")
    return {"error": "vittne-edge does not know what is asked: is it of another version?"}, None


def _ring_asked(asked: Mapping[str, Any]) -> tuple[str, RingSize]:
    """Return interface and size. Raises KeyError, TypeError, ValueError."""
    numbers = [asked[name] for name in ("block_size", "block_count", "retire_ms")]
    if not isinstance(asked["interface"], str) or not all(type(one) is int and 0 < one < 1 << 31 for one in numbers):
        raise ValueError("a name and three whole numbers are expected")
    return asked["interface"], RingSize(*numbers)
