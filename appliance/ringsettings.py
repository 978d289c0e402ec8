"""How big the ring of an interface is, by the configuration: for who opens it, and who asks whether it suffices."""

from __future__ import annotations

from vittne.appliance.config import Config
from vittne.appliance.edge.machine import meminfo
from vittne.capture.offloads import speed_mbit
from vittne.capture.ringsize import RingSize, auto_size, memory_available, size_for


def ring_size(config: Config, name: str, interfaces: int = 0) -> RingSize:
    """Return the ring of an interface. interfaces: how many share the memory; 0: those of the configuration."""
    if config.ring.packets_per_s is not None:
        return size_for(config.ring.packets_per_s, hold_back_s=config.hold_back_s, commit_s=config.commit_s)
    return auto_size(
        memory_available(meminfo()),
        speed_mbit(name),
        rings=interfaces or len(config.interfaces) or 1,
        hold_back_s=config.hold_back_s,
        commit_s=config.commit_s,
    )
