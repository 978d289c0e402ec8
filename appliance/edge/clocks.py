"""What the kernel knows of its clock: through the edge where there is one, since a sandbox may forbid even to look."""

from __future__ import annotations

from vittne.appliance.clock.kernel import KernelClock, read_kernel_clock
from vittne.appliance.edge.wire import EdgeError, ask, edge_address


def kernel_clock() -> KernelClock | None:
    """Ask the kernel; None where that cannot be found out."""
    address = edge_address()
    if not address:
        return read_kernel_clock()
    try:
        said, _ = ask(address, {"ask": "clock"})
    except EdgeError:
        return None
    return None if said["clock"] is None else KernelClock(**said["clock"])
