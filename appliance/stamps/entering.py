"""Stamps and the ledger: each token's hash is an entry, so every later checkpoint, and its stamp, covers it.

That is the renewal of RFC 4998 in small: when an authority's certificate or a hash grows old, a newer stamp
already vouches that the older token was there.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.seal.merkle import EMPTY_ROOT, GrowingTree
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.stamps.folders import (
    ENTRY_FILE,
    TOKEN_FILE,
    Stamp,
    all_stamps,
    mark_entered,
    read_file,
    read_stamp,
    sweep,
)


class Books(Protocol):
    """What of a Registrar is needed here; who calls holds the directory's lock."""

    @property
    def data_dir(self) -> Path:
        """The data directory."""
        ...

    @property
    def ledger(self) -> Ledger:
        """Its ledger, open."""
        ...


@dataclass(slots=True)
class LedgerView:
    """What one reading of the ledger gives here."""

    size: int = 0
    roots: dict[int, bytes] = field(default_factory=dict)  # by size
    tokens: dict[str, int] = field(default_factory=dict)  # SHA-256 of stamped tokens to their entry's number


def enter(books: Books, folder: Path) -> int:
    """Enter a stamp's token in the ledger and return the entry's number. Raises StoreError."""
    index = record(books, read_stamp(folder))
    mark_entered(folder, index)
    return index


def record(books: Books, stamp: Stamp) -> int:
    """Write a stamp's entry, signed on return; the folder still needs its mark. Raises StoreError."""
    entry: dict[str, Json] = {
        "t": events.STAMP,
        "authority": stamp.authority,
        "size": stamp.size,
        "token": stamp.token,
    }
    index = books.ledger.record(entry)
    books.ledger.flush()
    return index


def without_entry(data_dir: Path, key: VerifyKey) -> list[Path]:
    """Remove half stamps, and return the whole ones that the ledger does not know. Raises StoreError."""
    sweep(data_dir)
    unmarked = [folder for folder in all_stamps(data_dir) if not (folder / ENTRY_FILE).exists()]
    if not unmarked:
        return []
    known = read_ledger(data_dir, key).tokens
    missing = []
    for folder in unmarked:
        token = hashlib.sha256(read_file(folder / TOKEN_FILE)).hexdigest()
        if token in known:  # the crash came between the entry and its mark
            mark_entered(folder, known[token])
        else:
            missing.append(folder)
    return missing


def read_ledger(data_dir: Path, key: VerifyKey, sizes: Collection[int] = ()) -> LedgerView:
    """Return the ledger's roots at these sizes, and the stamps in it. Raises LedgerDamaged, StoreError."""
    view, tree, wanted = LedgerView(), GrowingTree(), frozenset(sizes)
    if 0 in wanted:
        view.roots[0] = EMPTY_ROOT

    def visit(index: int, entry: bytes) -> None:
        if wanted:
            tree.add(entry)
            if tree.size in wanted:
                view.roots[tree.size] = tree.root()
        if b'"t":"stamp"' in entry:
            with contextlib.suppress(ValueError, RecursionError):  # altered: the root's check will say so
                view.tokens[str(read_entry(entry).get("token"))] = index

    view.size = scan_ledger(data_dir / "ledger", key, visit).checkpoint.size
    return view
