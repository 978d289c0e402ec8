"""Opening a ring: by the edge where there is one, else here."""

from __future__ import annotations

from dataclasses import asdict

from vittne.appliance.edge.wire import EdgeError, ask, edge_address
from vittne.capture import ringopen
from vittne.capture.ringopen import RingError, RingHandle
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
