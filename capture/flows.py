"""Which flow a row belongs to: a hash table that a whole column goes through at once.

A flow is everything that shares source, destination, both ports and SSRC. Flows get small
numbers in order of appearance, so that whatever is known of one can be kept in arrays.
Nothing here runs once a packet.
"""

from __future__ import annotations

import secrets
from typing import Final

import numpy as np
import numpy.typing as npt

from vittne.capture.columns import U16, U32, U64

Flow = npt.NDArray[np.int32]

_PROBES: Final = 8


def _odd() -> np.uint64:
    return np.uint64(secrets.randbits(64) | 1)


class FlowTable:
    """Numbers for flows.

    The key is a 64-bit hash under constants drawn anew for every table, so a sender cannot
    aim at a collision; two flows of one table share a hash with probability 2**-64 a pair.
    limit: flows known at once; rows of flows beyond it get -1 and are counted by the caller.
    """

    def __init__(self, limit: int = 1 << 17) -> None:
        self._mix = tuple(_odd() for _ in range(4))
        self._limit = limit
        self._free: list[int] = []
        self._detached: set[int] = set()  # numbers whose flows got another one
        self._resize(1 << 12)
        self.capacity = 0  # numbers given out so far, freed ones included
        self._key = np.zeros(1 << 10, np.uint64)  # by flow number

    def _resize(self, slots: int) -> None:
        self._slots = slots
        self._slot_key = np.zeros(slots, np.uint64)
        self._slot_flow = np.full(slots, -1, np.int32)
        self._used = 0

    def keys(self, src: U64, dst: U64, sport: U16, dport: U16, ssrc: U32) -> U64:
        """Return the (n,) hash of each row; never 0, which marks an empty slot."""
        a, b, c, d = self._mix
        ports = (sport.astype(np.uint64) << np.uint64(16)) | dport
        key = src * a
        key += dst * b
        key += ((ports << np.uint64(32)) | ssrc) * c
        key ^= key >> np.uint64(29)
        key *= d
        key ^= key >> np.uint64(32)
        key |= np.uint64(1)
        return key

    def number(self, keys: U64) -> tuple[Flow, Flow]:
        """Return the flow number of each row (-1 when the table is full), and the numbers that are new."""
        flow = self._find(keys)
        missing = np.flatnonzero(flow < 0)
        if not len(missing):
            return flow, np.empty(0, np.int32)
        fresh, first = np.unique(keys[missing], return_index=True)
        fresh = fresh[np.argsort(first)]
        numbers = np.fromiter((self._add(key) for key in fresh.tolist()), np.int32, len(fresh))
        flow[missing] = self._find(keys[missing])
        return flow, numbers[numbers >= 0]

    def keys_of(self, numbers: Flow) -> U64:
        """Return the key that each number was given for."""
        return self._key[numbers]

    def find(self, keys: U64) -> Flow:
        """Return the flow number of each row; -1 where none was given yet."""
        return self._find(keys)

    def _find(self, keys: U64) -> Flow:
        mask = np.uint64(self._slots - 1)
        slot = (keys >> np.uint64(20)) & mask
        flow = np.where(self._slot_key[slot] == keys, self._slot_flow[slot], np.int32(-1))
        rest = np.flatnonzero(flow < 0)
        for probe in range(1, _PROBES):
            if not len(rest):
                break
            wanted = keys[rest]
            slot = ((wanted >> np.uint64(20)) + np.uint64(probe)) & mask
            hit = self._slot_key[slot] == wanted
            flow[rest[hit]] = self._slot_flow[slot[hit]]
            rest = rest[~hit]
        return flow

    def _add(self, key: int) -> int:
        number = self._take_number(key)
        if number >= 0:
            self._place(key, number)
        return number

    def _take_number(self, key: int) -> int:
        if self._free:
            number = self._free.pop()
        elif self.capacity < self._limit:
            number = self.capacity
            self.capacity += 1
            if number >= len(self._key):
                self._key = np.concatenate([self._key, np.zeros_like(self._key)])
        else:
            return -1
        self._key[number] = key
        return number

    def _slots_of(self, key: int) -> list[int]:
        """Return where a key may lie."""
        return [((key >> 20) + probe) & (self._slots - 1) for probe in range(_PROBES)]

    def _place(self, key: int, number: int) -> None:
        while self._used * 4 >= self._slots or not self._try_place(key, number):
            used = np.flatnonzero(self._slot_flow >= 0)
            live = list(zip(self._slot_key[used].tolist(), self._slot_flow[used].tolist(), strict=True))
            self._resize(self._slots * 2)
            while not all(self._try_place(k, f) for k, f in live):
                self._resize(self._slots * 2)

    def _try_place(self, key: int, number: int) -> bool:
        for slot in self._slots_of(key):
            if self._slot_flow[slot] < 0:
                self._slot_key[slot] = key
                self._slot_flow[slot] = number
                self._used += 1
                return True
        return False

    def __len__(self) -> int:
        """Return how many numbers are in use."""
        return self.capacity - len(self._free)

    @property
    def is_crowded(self) -> bool:
        """Whether more than half of the numbers are taken."""
        return 2 * len(self) > self._limit

    def renumber(self, number: int) -> int:
        """Give a flow a new number from now on; the old one stays taken until it is forgotten. -1 when full."""
        key = int(self._key[number])
        fresh = self._take_number(key)
        if fresh >= 0:
            for slot in self._slots_of(key):
                if self._slot_flow[slot] == number and self._slot_key[slot] == key:
                    self._slot_flow[slot] = fresh
            self._detached.add(number)
        return fresh

    def forget(self, number: int) -> None:
        """Free a flow's number for another flow. Its slot is emptied in place: lookups probe all places."""
        key = int(self._key[number])
        if number in self._detached:
            self._detached.remove(number)
            self._free.append(number)
            return
        for slot in self._slots_of(key):
            if self._slot_flow[slot] == number and self._slot_key[slot] == key:
                self._slot_key[slot] = 0
                self._slot_flow[slot] = -1
                self._used -= 1
                self._free.append(number)
                return
