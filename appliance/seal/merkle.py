"""The Merkle tree of RFC 6962 section 2.1, growing, with only its right edge in memory."""

from __future__ import annotations

import hashlib
from typing import Final

EMPTY_ROOT: Final = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two."""
    return hashlib.sha256(b"\1" + left + right).digest()


class GrowingTree:
    """A tree of which only the roots of its perfect subtrees are kept: one hash per set bit of size."""

    __slots__ = ("_edge", "size")

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def add(self, entry: bytes) -> None:
        """Append an entry: as many node hashes as size has trailing one bits."""
        self.add_leaf(leaf_hash(entry))

    def add_leaf(self, hashed: bytes) -> None:
        """Append an entry of which only its hash as a leaf is known."""
        bits = self.size
        while bits & 1:
            hashed = node_hash(self._edge.pop(), hashed)
            bits >>= 1
        self._edge.append(hashed)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all entries so far."""
        if not self._edge:
            return EMPTY_ROOT
        root = self._edge[-1]
        for subtree in reversed(self._edge[:-1]):
            root = node_hash(subtree, root)
        return root
