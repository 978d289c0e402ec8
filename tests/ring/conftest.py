"""The ring is tested on real interfaces, in network namespaces."""

from rig.wire import house, wire

__all__ = ["house", "wire"]
