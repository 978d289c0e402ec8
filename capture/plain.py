"""Plain packets, recognised and read in one go: IPv4 without options, no fragment, UDP.

Nearly every frame of a voice mirror is one, so they are what speed is decided by: two masked
comparisons of 64 bits, then columns of one gathered matrix, some 20 ns a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.capture.columns import I64, U16, U64, Bytes
from vittne.capture.gather import headers
from vittne.capture.ip import TUNNEL_PORT
from vittne.capture.layers import Fate, Mask

# The fast path's gathered row begins 4 bytes in front of the IP header, so that addresses
# lie on 4-byte borders: 2 bytes of a MAC address or tag, ethertype, IPv4 header, UDP header.
_ROW: Final = 32
BEFORE: Final = 10  # from the start of an Ethernet frame
_IS_IPV4: Final = np.uint64(0x000000FF_FFFF0000), np.uint64(0x00000045_00080000)  # type 0800, version and IHL 45
_IS_UDP: Final = np.uint64(0x0000FF00_FF3F0000), np.uint64(0x00001100_00000000)  # no fragment, protocol 17
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
_MOST_TAGS: Final = 2  # more are left to the slow way


@dataclass(slots=True)
class Plain:
    """Columns of n frames; only rows with ok are UDP and have sense in the others."""

    ok: Mask
    src: U64
    dst: U64
    sport: U16
    dport: U16
    offset: I64
    length: I64
    type: U16  # what lies where the ethertype would be


def read_plain(data: Bytes, at: I64, room: I64) -> Plain:
    """Read frames as if all were plain IPv4 and UDP; `ok` says which are.

    at: (n,) 4 bytes in front of where the IP header should be. room: (n,) bytes captured from there.
    """
    h = headers(data, at, _ROW)
    words, fields, addresses = h.view("<u8"), h.view(">u2"), h.view(">u4")
    ok = (words[:, 0] & _IS_IPV4[0]) == _IS_IPV4[1]
    ok &= (words[:, 1] & _IS_UDP[0]) == _IS_UDP[1]
    length = fields[:, 14].astype(np.int64)
    ok &= length >= 8
    total = fields[:, 3].astype(np.int64)
    ok &= length + 20 <= total
    ok &= total + 4 <= room
    dport = fields[:, 13].astype(np.uint16)
    ok &= TUNNEL_PORT[dport] == Fate.UDP
    return Plain(
        ok=ok,
        src=addresses[:, 4].astype(np.uint64),
        dst=addresses[:, 5].astype(np.uint64),
        sport=fields[:, 12].astype(np.uint16),
        dport=dport,
        offset=at + _ROW,
        length=length - 8,
        type=fields[:, 1],
    )


def read_tagged(data: Bytes, at: I64, room: I64, plain: Plain) -> int:
    """Read the frames that are plain behind one or two VLAN tags; return how many tags there were.

    Arguments as for read_plain(), and what that gave: its columns are filled in, in place.
    """
    rest = np.flatnonzero(~plain.ok)
    kind = plain.type[rest]
    count = 0
    for tags in range(1, _MOST_TAGS + 1):
        rest = rest[np.isin(kind, _TAGS)]
        if not len(rest):
            break
        inner = read_plain(data, at[rest] + 4 * tags, room[rest] - 4 * tags)
        good = rest[inner.ok]
        for name in ("ok", "src", "dst", "sport", "dport", "offset", "length"):
            getattr(plain, name)[good] = getattr(inner, name)[inner.ok]
        count += tags * len(good)
        rest, kind = rest[~inner.ok], inner.type[~inner.ok]
    return count
