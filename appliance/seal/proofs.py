"""Proofs from a Merkle tree (RFC 9162 sections 2.1.3 and 2.1.4): that an entry is in it, that it contains an older one.

Made from tiles: a function gives the content of one, so that only the few that a proof needs are read. Checked
from nothing but hashes. A tree's root is known from its size: D[first:end] is split where the RFC splits it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vittne.appliance.seal.merkle import (
    EMPTY_ROOT,
    HASH_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    node_hash,
    perfect_root,
    split_tile,
)

Tile = Callable[[int, int], bytes]  # level and number -> hashes of the tile, as many as there are


def root_of(tile: Tile, size: int) -> bytes:
    """Return the root of the first size entries."""
    return _subtree(tile, 0, size) if size else EMPTY_ROOT


def inclusion_proof(tile: Tile, index: int, size: int) -> list[bytes]:
    """Return the hashes that lead from an entry to the root of the first size entries, the leaf's neighbour first."""
    if not 0 <= index < size:
        raise ValueError("there is no such entry in a tree of this size")
    path, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            path.append(_subtree(tile, middle, end))
            end = middle
        else:
            path.append(_subtree(tile, first, middle))
            first = middle
    return path[::-1]


def consistency_proof(tile: Tile, old: int, size: int) -> list[bytes]:
    """Return the hashes that prove the tree of the first old entries to be the beginning of that of size entries.

    Empty when old is 0 or size, as RFC 6962 and C2SP tlog-witness have it.
    """
    if not 0 <= old <= size:
        raise ValueError("a tree contains no larger one")
    if old in (0, size):
        return []
    path, first, end, whole = [], 0, size, True
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            path.append(_subtree(tile, middle, end))
            end = middle
        else:
            path.append(_subtree(tile, first, middle))
            first, whole = middle, False
    if not whole:
        path.append(_subtree(tile, first, end))
    return path[::-1]


def is_included(index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Say whether a path proves that the leaf's hash is at index under root. RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    left, right, found = index, size - 1, leaf
    for step in path:
        if not right or len(step) != HASH_BYTES:
            return False
        if left & 1 or left == right:
            found = node_hash(step, found)
            while not left & 1 and left:
                left, right = left >> 1, right >> 1
        else:
            found = node_hash(found, step)
        left, right = left >> 1, right >> 1
    return not right and found == root


def is_consistent(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Say whether a path proves that the tree of size entries begins with that of old. RFC 9162 section 2.1.4.2."""
    if not 0 <= old <= size or any(len(step) != HASH_BYTES for step in path):
        return False
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    if old == size:
        return not path and old_root == root
    steps = list(path) if old & (old - 1) else [old_root, *path]
    if not steps:
        return False
    left, right = old - 1, size - 1
    while left & 1:
        left, right = left >> 1, right >> 1
    before = now = steps[0]
    for step in steps[1:]:
        if not right:
            return False
        if left & 1 or left == right:
            before, now = node_hash(step, before), node_hash(step, now)
            while not left & 1 and left:
                left, right = left >> 1, right >> 1
        else:
            now = node_hash(now, step)
        left, right = left >> 1, right >> 1
    return not right and before == old_root and now == root


def _split(count: int) -> int:
    """Return the largest power of two below count, which is above 1."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(tile: Tile, first: int, end: int) -> bytes:
    """Return MTH(D[first:end]), where first and end are as the splits of a larger tree give them."""
    count = end - first
    if count & (count - 1):
        middle = first + _split(count)
        return node_hash(_subtree(tile, first, middle), _subtree(tile, middle, end))
    level, height = divmod(count.bit_length() - 1, TILE_HEIGHT)
    number, place = divmod(first >> level * TILE_HEIGHT, TILE_WIDTH)
    hashes = tile(level, number)[place * HASH_BYTES : (place + (1 << height)) * HASH_BYTES]
    if len(hashes) != HASH_BYTES << height:
        raise ValueError(f"tile {number} of level {level} is too short")
    return perfect_root(split_tile(hashes))
