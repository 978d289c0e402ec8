"""Opening a ring, or a socket that sends frames: by the edge where there is one, else here."""

from __future__ import annotations

import socket
from dataclasses import asdict

from vittne.appliance.edge.wire import EdgeError, ask, edge_address
from vittne.capture import ringopen
from vittne.capture.ringopen import RingError, RingHandle, frame_sender
from vittne.capture.ringsize import RingSize


def open_ring(interface: str, size: RingSize) -> RingHandle:
    """Open a ring on an interface; packets are collected from now on. Raises RingError."""
    address = edge_address()
    if not address:
        return ringopen.open_ring(interface, size)
    try:
        said, fds = ask(address, {"ask": "ring", "interface": interface, **asdict(size)})
    except EdgeError as error:
        raise RingError(str(error)) from error
    if len(fds) != 1:
        raise RingError(f"{interface}: vittne-edge sent no ring")
    return RingHandle(fds[0], size.block_size, size.block_count, interface, int(said["link_type"]))


def open_sender(interface: str) -> socket.socket:
    """Open a socket that sends whole frames out of an interface, and takes none in. Raises OSError."""
    address = edge_address()
    if not address:
        return frame_sender(interface)
    try:
        _, fds = ask(address, {"ask": "sender", "interface": interface})
    except EdgeError as error:
        raise OSError(0, str(error)) from error
    return socket.socket(fileno=fds[0])
