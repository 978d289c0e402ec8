"""Receive offloads that merge packets, what a driver counts as lost, and the speed of a link: ethtool's ioctl.

A card or kernel that merges received packets (GRO, LRO) shows the recorder frames that
were never on the wire. Source: include/uapi/linux/ethtool.h. An edge: it asks the
kernel, and changes nothing.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import re
import socket
import struct
from typing import Final

from vittne.capture.interfaces import look_up

_SIOCETHTOOL: Final = 0x8946
_GSTRINGS: Final = 0x1B
_GSTATS: Final = 0x1D
_GSSET_INFO: Final = 0x37
_GFEATURES: Final = 0x3A
_GLINKSETTINGS: Final = 0x4C
_SET_OF_STATISTICS: Final = 1  # ETH_SS_STATS
_SET_OF_FEATURES: Final = 4  # ETH_SS_FEATURES
_NAME_SIZE: Final = 32  # ETH_GSTRING_LEN
_FEATURES_MAX: Final = 1024
_STATISTICS_MAX: Final = 8192
_SPEED_UNKNOWN: Final = 0xFFFFFFFF

# Names are the drivers' own; these words are in those of packets that came and found no room. Broken frames are others.
_LOST: Final = re.compile(
    r"drop|discard|miss(?!es)|no_?buf|no_?dma|out_of_buffer|fifo|overflow|overrun|over_err|no_desc"
)
_SENT: Final = re.compile(r"(^|[^a-z])tx|xdp")

# The kernel's names of what merges, and what ethtool(8) calls them.
MERGING: Final = {
    "rx-gro": "gro",
    "rx-lro": "lro",
    "rx-gro-hw": "rx-gro-hw",
    "rx-gro-list": "rx-gro-list",
    "rx-udp-gro-forwarding": "rx-udp-gro-forwarding",
}


def merging_offloads(name: str) -> list[str]:
    """Return what is on and merges received packets, as ethtool calls it, sorted; [] when nobody knows.

    An interface whose driver answers no ethtool question is one without such offloads.
    """
    with _ask() as kernel, contextlib.suppress(OSError):
        active = _active_features(kernel, name)
        return sorted(word for feature, word in MERGING.items() if feature in active)
    return []


def offload_warning(name: str) -> str | None:
    """Return what to tell the operator when packets are merged before they are seen, with the remedy.

    Loopback has no wire to be true to, and is left alone.

    >>> offload_warning("no such interface")
    """
    interface = look_up(name)
    found = merging_offloads(name)
    if interface is None or interface.is_loopback or not found:
        return None
    switches = " ".join(f"{word} off" for word in found)
    return (
        f"{name} merges received packets ({', '.join(found)}), so frames are recorded that were never"
        f" on the wire; turn it off with: ethtool -K {name} {switches}"
    )


def speed_mbit(name: str) -> int | None:
    """Return the link's speed in Mbit/s, None when it has none (loopback, tun) or no link."""
    # struct ethtool_link_settings, then three bit maps; the first call tells how long these are.
    question = array.array("B", bytes(48 + 3 * 4 * 128))
    struct.pack_into("=I", question, 0, _GLINKSETTINGS)
    with _ask() as kernel, contextlib.suppress(OSError):
        _call(kernel, name, question)
        (words,) = struct.unpack_from("=b", question, 15)
        struct.pack_into("=I", question, 0, _GLINKSETTINGS)
        struct.pack_into("=b", question, 15, -words)
        _call(kernel, name, question)
        speed = int(struct.unpack_from("=I", question, 4)[0])
        return speed if 0 < speed < _SPEED_UNKNOWN else None
    return None


def tells_of_loss(name: str) -> bool:
    """Say whether a driver's counter is of packets that came and found no room.

    >>> [tells_of_loss(name) for name in ("rx_missed_errors", "rx_no_buffer_count", "port.rx_dropped", "rx_fifo")]
    [True, True, True, True]
    >>> [tells_of_loss(name) for name in ("rx_packets", "tx_dropped", "rx_queue_0_xdp_drops", "rx_crc_errors")]
    [False, False, False, False]
    """
    return bool(_LOST.search(name)) and not _SENT.search(name)


def lost_by_driver(name: str) -> dict[str, int]:
    """Return what `ethtool -S` counts of packets that came and were lost, without zeros; {} when nobody knows."""
    with _ask() as kernel, contextlib.suppress(OSError):
        names = _names_of(kernel, name, _SET_OF_STATISTICS, _STATISTICS_MAX)
        count = len(names)
        values = array.array("B", struct.pack("=II", _GSTATS, count))
        values.frombytes(bytes(count * 8))
        _call(kernel, name, values)
        found = zip(names, struct.unpack_from(f"={count}Q", values, 8), strict=True)
        return {what: number for what, number in found if number and tells_of_loss(what)}
    return {}


def _active_features(kernel: socket.socket, name: str) -> set[str]:
    names = _names_of(kernel, name, _SET_OF_FEATURES, _FEATURES_MAX)
    words = -(-len(names) // 32)
    features = array.array("B", struct.pack("=II", _GFEATURES, words))
    features.frombytes(bytes(words * 16))
    _call(kernel, name, features)
    active = [struct.unpack_from("=4I", features, 8 + 16 * word)[2] for word in range(words)]
    return {feature for number, feature in enumerate(names) if active[number // 32] >> number % 32 & 1}


def _names_of(kernel: socket.socket, name: str, which: int, most: int) -> list[str]:
    """Return a set of names that a driver has, at most so many."""
    question = array.array("B", struct.pack("=IIQI", _GSSET_INFO, 0, 1 << which, 0))
    _call(kernel, name, question)
    count = min(int(struct.unpack_from("=I", question, 16)[0]), most)
    strings = array.array("B", struct.pack("=III", _GSTRINGS, which, count))
    strings.frombytes(bytes(count * _NAME_SIZE))
    _call(kernel, name, strings)
    text = strings[12:].tobytes()
    found = [text[at : at + _NAME_SIZE] for at in range(0, count * _NAME_SIZE, _NAME_SIZE)]
    return [one.split(b"\0", 1)[0].decode("ascii", "replace") for one in found]


def _ask() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _call(kernel: socket.socket, name: str, data: array.array[int]) -> None:
    """Give the kernel a struct ifreq that points to data, which it fills in."""
    address, _ = data.buffer_info()
    fcntl.ioctl(kernel, _SIOCETHTOOL, struct.pack("16sP16x", os.fsencode(name)[:15], address))
