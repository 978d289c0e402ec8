"""The Merkle tree of RFC 6962 section 2.1, growing, with only its right edge in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

HASH_BYTES: Final = 32
TILE_HEIGHT: Final = 8  # C2SP tlog-tiles: a tile holds the hashes of one level, 256 of them
TILE_WIDTH: Final = 1 << TILE_HEIGHT
_sha256 = hashlib.sha256
EMPTY_ROOT: Final = hashlib.sha256().digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry as a leaf."""
    return hashlib.sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two."""
    return hashlib.sha256(b"\1" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root above hashes of one height; there are 1, 2, 4, 8 ... of them."""
    while len(hashes) > 1:
        hashes = [node_hash(hashes[n], hashes[n + 1]) for n in range(0, len(hashes), 2)]
    return hashes[0]


def split_tile(data: bytes) -> list[bytes]:
    """Return the hashes of a tile."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class GrowingTree:
    """A tree of which only the roots of its perfect subtrees are kept: one hash per set bit of size."""

    __slots__ = ("_edge", "size")

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        """Begin empty, or go on where a tree stood: edge is what its edge() gave."""
        assert len(edge) == size.bit_count()
        self.size = size
        self._edge = list(edge)

    def edge(self) -> list[bytes]:
        """Return the roots of the perfect subtrees, the largest first."""
        return list(self._edge)

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


class TileTree(GrowingTree):
    """A growing tree that also keeps the hashes of tiles which are not full, or were not taken yet."""

    __slots__ = ("levels",)

    def __init__(self, size: int = 0, edge: Sequence[bytes] = (), levels: Sequence[Sequence[bytes]] = ()) -> None:
        """levels: at each tile level, the hashes behind its last full tile."""
        super().__init__(size, edge)
        self.levels = [list(level) for level in levels] or [[]]

    def add_leaf(self, hashed: bytes) -> None:
        """Append an entry of which only its hash as a leaf is known."""
        self.levels[0].append(hashed)
        bits, height, edge = self.size, 0, self._edge
        while bits & 1:
            hashed = _sha256(b"\1" + edge.pop() + hashed).digest()  # node_hash: its call is a tenth of recording
            bits >>= 1
            height += 1
            if not height % TILE_HEIGHT:
                level = height // TILE_HEIGHT
                if level == len(self.levels):
                    self.levels.append([])
                self.levels[level].append(hashed)
        edge.append(hashed)
        self.size += 1

    def take_full(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield level, number and content of every full tile, and forget its hashes."""
        for level, hashes in enumerate(self.levels):
            while len(hashes) >= TILE_WIDTH:
                first = (self.size >> TILE_HEIGHT * level) - len(hashes)
                tile = b"".join(hashes[:TILE_WIDTH])
                del hashes[:TILE_WIDTH]
                yield level, first // TILE_WIDTH, tile

    def partial(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield level, number and content of the tiles at the edge that are not full; call take_full() before."""
        for level, hashes in enumerate(self.levels):
            assert len(hashes) < TILE_WIDTH
            if hashes:
                yield level, (self.size >> TILE_HEIGHT * level) // TILE_WIDTH, b"".join(hashes)
