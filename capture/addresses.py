"""IP addresses as 64-bit keys, so that a column of them is one column of numbers.

An IPv4 address is its own number. An IPv6 address does not fit: its key is 2**63 plus a
hash of 63 bits, and the address behind a key is remembered here. The hash is keyed with
numbers drawn for each book, so that nobody who chooses addresses can choose keys; two
addresses of a busy network (a million seen) share one with a chance below 2**-24.
"""

from __future__ import annotations

import ipaddress
import secrets
from typing import Final

import numpy as np

from vittne.capture.columns import U8, U64

IPV6: Final = 1 << 63
_HASH: Final = np.uint64(IPV6 - 1)
# RFC 4291 2.5.5.2: 80 bits zero, 16 bits one, then the IPv4 address; here as little-endian halves.
_LOW_HALF: Final = np.uint64(0xFFFFFFFF)
_MAPPED: Final = np.uint64(0xFFFF0000)


class AddressBook:
    """Keys for IP addresses: IPv4 is its number (big-endian value, < 2**32); IPv6 is 2**63 | keyed 63-bit hash.

    generation: how many IPv6 addresses are remembered before the oldest go. Two generations
    are kept and an address that is seen again moves to the younger, so memory is bounded
    (about 150 bytes an address) and only addresses that are no longer heard are forgotten.
    A book can be pickled, and gives the same keys afterwards.
    """

    def __init__(self, generation: int = 1 << 16) -> None:
        self._generation = generation
        self._salt = tuple(secrets.randbits(64) | 1 for _ in range(4))
        self._young: dict[int, bytes] = {}
        self._old: dict[int, bytes] = {}
        # The key that was last entered at key % 4096: most packets need no look into the dict.
        self._recent: U64 = np.zeros(4_096, np.uint64)

    def learn_v6(self, rows: U8) -> U64:
        """Return the keys of addresses, and remember them.

        rows: (n, 16) uint8, network order. An IPv4-mapped address gets the key of the IPv4
        address, because the same phone may be written in both ways.
        """
        if not len(rows):
            return np.zeros(0, np.uint64)
        rows = np.ascontiguousarray(rows)
        high, low = np.ascontiguousarray(rows.view("<u8").T)
        keys = self._hash(high, low)
        mapped = (high == 0) & (low & _LOW_HALF == _MAPPED)
        if mapped.any():
            keys[mapped] = rows[mapped, 12:].copy().view(">u4")[:, 0]
        self._remember(keys, rows)
        return keys

    def key(self, text: str) -> int | None:
        """Return the key of an address as SDP or a person writes it; None when it is no IP literal."""
        try:
            address = ipaddress.ip_address(text.strip().removeprefix("[").removesuffix("]"))
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv4Address):
            return int(address)
        return int(self.learn_v6(np.frombuffer(address.packed, np.uint8).reshape(1, 16))[0])

    def text(self, key: int) -> str:
        """Return the address as text; an IPv6 address that was forgotten is told by its key."""
        if key < 1 << 32:
            return str(ipaddress.IPv4Address(key))
        packed = self._young.get(key) or self._old.get(key)
        return str(ipaddress.IPv6Address(packed)) if packed else f"ipv6-key-{key:016x}"

    def _hash(self, high: U64, low: U64) -> U64:
        """Multiply and shift, twice over: each half is bent by secret numbers before they meet."""
        first, second, third, fourth = (np.uint64(number) for number in self._salt)
        mixed = (high ^ first) * second
        mixed ^= mixed >> np.uint64(32)
        mixed = (mixed + (low ^ third)) * fourth
        mixed ^= mixed >> np.uint64(29)
        mixed *= second
        mixed ^= mixed >> np.uint64(32)
        keys: U64 = (mixed & _HASH) | np.uint64(IPV6)
        return keys

    def _remember(self, keys: U64, rows: U8) -> None:
        """Enter addresses that are not in the young generation; a row of IPv4 needs no entry."""
        place = (keys & np.uint64(len(self._recent) - 1)).astype(np.int64)
        fresh = np.flatnonzero((self._recent[place] != keys) & (keys >= np.uint64(IPV6)))
        if not len(fresh):
            return
        distinct, first = np.unique(keys[fresh], return_index=True)
        for key, row in zip(distinct.tolist(), fresh[first].tolist(), strict=True):
            if key not in self._young:
                if len(self._young) >= self._generation:
                    self._old, self._young = self._young, {}
                    self._recent[:] = 0
                self._young[key] = rows[row].tobytes()
            self._recent[key % len(self._recent)] = key
