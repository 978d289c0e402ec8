"""How big a capture ring has to be: the rule of DESIGN 11.2, as arithmetic.

The ring is the hold-back buffer: a block goes back to the kernel only when what it
feeds has been written and synced. So it holds everything that arrives in hold-back +
commit + reserve seconds, in bytes and in blocks: a retired block costs a whole block,
however little is in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20
GIB: Final = 1 << 30

# What the kernel stores beside an Ethernet frame: 82 bytes in front and rounding to 8 (mean 3.5).
FRAME_OVERHEAD: Final = 86
# G.711 with 20 ms in a packet: 160 + RTP 12 + UDP 8 + IPv4 20 + Ethernet 14.
G711_FRAME: Final = 214
# A gigabit full of such frames (with preamble, FCS and gap: 238 bytes each).
GIGABIT_PACKETS: Final = 525_000

# A timer retires at most one block per timeout; this much more than that, for blocks
# that a burst after a quiet moment fills and a scheduler that comes late.
TIMEOUT_RESERVE: Final = 1.5

BLOCK_SIZE: Final = 256 << 10
SMALL_BLOCK_SIZE: Final = 64 << 10
RETIRE_MS: Final = 100

# Above this occupancy the kernel looks only at the block it fills, without a lock, to see whether there is
# room (__packet_rcv_has_room in net/packet/af_packet.c): a packet that another processor receives in the
# moment of a block's change is then dropped though blocks are free. Measured: one or two in a million, all
# above three quarters, none below. Normal occupancy is (hold-back + commit) / seconds, 0.47.
COMFORTABLE: Final = 3 / 4

# Of the memory that is available, what `auto` takes at most for all rings together.
MEMORY_SHARE: Final = 1 / 4


@dataclass(frozen=True, slots=True)
class RingSize:
    """The geometry of a ring. block_size is a multiple of the page size; retire_ms the kernel's timeout."""

    block_size: int
    block_count: int
    retire_ms: int = RETIRE_MS

    @property
    def size_bytes(self) -> int:
        return self.block_size * self.block_count

    def packets_per_s(self, seconds: float, frame_bytes: float = G711_FRAME) -> int:
        """Return the rate that the ring holds for so many seconds, beyond what timeouts waste."""
        usable = self.block_count - _timeouts(seconds, self.retire_ms)
        return max(0, int(usable * _packets_in_block(self.block_size, frame_bytes) / seconds))


def size_for(
    packets_per_s: float,
    *,
    frame_bytes: float = G711_FRAME,
    hold_back_s: float = 5,
    commit_s: float = 2,
    reserve_s: float = 8,
    retire_ms: int = RETIRE_MS,
    block_size: int = BLOCK_SIZE,
) -> RingSize:
    """Return the smallest ring for this rate: bytes and blocks of DESIGN 11.2, added.

    They are added, not the larger one taken: at a rate that just fills a block in one timeout, both
    full blocks and timed-out ones are spent.

    >>> size_for(50).block_count
    227
    >>> size_for(525_000).size_bytes // 2**20
    2311
    """
    seconds = hold_back_s + commit_s + reserve_s
    full = math.ceil(seconds * packets_per_s / _packets_in_block(block_size, frame_bytes))
    return RingSize(block_size, full + _timeouts(seconds, retire_ms), retire_ms)


def auto_size(
    memory_available: int,
    speed_mbit: int | None,
    *,
    rings: int = 1,
    hold_back_s: float = 5,
    commit_s: float = 2,
    reserve_s: float = 8,
) -> RingSize:
    """Return a ring for a link full of G.711, within a quarter of the memory that is available.

    speed_mbit: None when the link tells none (loopback, tap), read as 100 Mbit/s. No more than a gigabit is
    planned for, since that is what one worker carries. rings: how many share the memory. What the result
    can carry is its packets_per_s(hold-back + commit + reserve); with little memory the blocks get smaller.
    """
    rate = GIGABIT_PACKETS * min(speed_mbit or 100, 1000) / 1000
    limit = memory_available * MEMORY_SHARE / rings
    wish = size_for(rate, hold_back_s=hold_back_s, commit_s=commit_s, reserve_s=reserve_s)
    if wish.size_bytes <= limit:
        return wish
    least = size_for(0, hold_back_s=hold_back_s, commit_s=commit_s, reserve_s=reserve_s).block_count
    block_size = BLOCK_SIZE if least * BLOCK_SIZE <= limit else SMALL_BLOCK_SIZE
    return RingSize(block_size, max(least, int(limit) // block_size))


def memory_available(meminfo: str) -> int:
    """Return MemAvailable in bytes from the text of /proc/meminfo, 0 when it is not there.

    >>> memory_available("MemTotal: 100 kB\\nMemAvailable:   64 kB\\n")
    65536
    """
    for line in meminfo.splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            return int(rest.split()[0]) << 10
    return 0


def _packets_in_block(block_size: int, frame_bytes: float) -> int:
    """Return how many frames fit: the block's header goes off, and the last frame must fit whole."""
    block_header = 48
    return max(1, int((block_size - block_header) / (frame_bytes + FRAME_OVERHEAD)))


def _timeouts(seconds: float, retire_ms: int) -> int:
    return math.ceil(TIMEOUT_RESERVE * seconds * 1000 / retire_ms) + 1
