"""The ledger's journal: the entries behind the last bundles that are safe on the disk, and who signed them.

    vittne-journal/1 <entries before these> <hashes, in hex: the perfect subtrees of the entries before, largest first>
    {...}                                        an entry, canonical JSON
    = <size> <root> <key id and signature>       a checkpoint of all entries up to here, base64 as in its note
    zeros up to the end of the file

One flush is one write: its entries and a checkpoint. An entry counts once a checkpoint that the ledger's key has
signed covers it. What follows the last one is what a crash left, or somebody added who has not the key: it is cut.
The zeros are written when the journal is begun, so that a sync later is one of data only (half the time).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from vittne.appliance.seal.merkle import HASH_BYTES, TILE_WIDTH, GrowingTree
from vittne.appliance.seal.note import BadNote, Checkpoint, note_of, open_checkpoint, sign_note, signature_of
from vittne.appliance.seal.signing import SigningKey, VerifyKey
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged
from vittne.appliance.store.errors import explain

JOURNAL_FILE: Final = "journal"
JOURNAL_BYTES: Final = 1 << 20  # zeros in a new journal, and when it is begun anew
ENTRY_LIMIT: Final = 16_384  # bytes; the longest that we write has some 300
_MAGIC: Final = b"vittne-journal/1"
_LINE_LIMIT: Final = ENTRY_LIMIT + 1
_READ_LIMIT: Final = 1 << 28  # bytes; what is longer was not written by us


@dataclass(frozen=True, slots=True)
class Journal:
    """What a journal holds that counts."""

    base: int  # entries before it, whole bundles
    edge: tuple[bytes, ...]
    entries: tuple[bytes, ...]
    note: bytes
    checkpoint: Checkpoint
    tail_bytes: int  # behind the last checkpoint

    def tree(self) -> GrowingTree:
        """Return the tree before the journal's entries."""
        return GrowingTree(self.base, self.edge)

    def root_at(self, size: int) -> bytes:
        """Return the root of a former size; it must not be before the journal."""
        tree = self.tree()
        for entry in self.entries[: size - self.base]:
            tree.add(entry)
        return tree.root()


def header(base: int, edge: Sequence[bytes]) -> bytes:
    """Return the first line of a journal."""
    return b"%s %d %s\n" % (_MAGIC, base, b"".join(edge).hex().encode())


def flushed(entries: Sequence[bytes], checkpoint: Checkpoint, key: SigningKey) -> tuple[bytes, bytes]:
    """Return what one flush appends to the journal, and the checkpoint's note."""
    note = sign_note(checkpoint.text(), key)
    return b"".join([entry + b"\n" for entry in entries]) + _line(checkpoint, signature_of(note)), note


def _line(checkpoint: Checkpoint, signature: bytes) -> bytes:
    return b"= %d %s %s\n" % (checkpoint.size, base64.b64encode(checkpoint.root), signature)


def read_journal(path: Path, key: VerifyKey) -> Journal:
    """Read a journal, also while another process appends to it. Raises LedgerDamaged, StoreError."""
    try:
        with path.open("rb", buffering=1 << 20) as stream:
            return _read(stream, path, key)
    except FileNotFoundError as error:
        raise LedgerDamaged("the ledger's journal is gone", path, NEXT) from error
    except OSError as error:
        raise explain(error, "read the ledger", path) from error


def _read(stream: BinaryIO, path: Path, key: VerifyKey) -> Journal:
    first = stream.readline(_LINE_LIMIT)
    base, edge = _header(first, path)
    tree = GrowingTree(base, edge)
    entries: list[bytes] = []
    end = len(first)  # in the file, of the last checkpoint that fits the entries before it
    fitting: list[tuple[int, bytes, Checkpoint]] = []  # where it ends, its signature, what it says
    position = end
    for line in _lines(stream):
        position += len(line)
        if line[:1] != b"=":
            entries.append(line[:-1])
            tree.add(line[:-1])
        else:
            found = _checkpoint(line, tree, key.name)
            if found is None:
                break
            fitting.append((position, *found))
    for end, signature, checkpoint in reversed(fitting):
        note = note_of(checkpoint.text(), key.name, signature)
        try:
            open_checkpoint(note, key)
        except BadNote:
            continue  # somebody without the key wrote it
        covered = tuple(entries[: checkpoint.size - base])
        return Journal(base, edge, covered, note, checkpoint, _tail(stream, end))
    raise LedgerDamaged("the ledger's journal cannot be trusted: no checkpoint of its key fits it", path, NEXT)


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield whole lines up to the zeros, the end, or what no flush has written."""
    read = 0
    while read < _READ_LIMIT:
        line = stream.readline(_LINE_LIMIT)
        if line[-1:] != b"\n" or line[:1] not in (b"{", b"="):
            return
        read += len(line)
        yield line


def _header(line: bytes, path: Path) -> tuple[int, tuple[bytes, ...]]:
    _, _, rest = line.removesuffix(b"\n").partition(b" ")
    size, _, hashes = rest.partition(b" ")
    try:
        base, raw = int(size), bytes.fromhex(hashes.decode())
    except ValueError:
        base, raw = -1, b""
    edge = tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))
    whole = base >= 0 and base % TILE_WIDTH == 0 and len(raw) == base.bit_count() * HASH_BYTES
    if not whole or line != header(base, edge):
        raise LedgerDamaged("the ledger's journal was altered: it does not begin as ours do", path, NEXT)
    return base, edge


def _checkpoint(line: bytes, tree: GrowingTree, origin: str) -> tuple[bytes, Checkpoint] | None:
    """Return signature and checkpoint of a line; None when it is none, or not one of the entries before it."""
    try:
        _, size, root, signature = line[:-1].split(b" ")
        found = Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
        exact = _line(found, base64.b64encode(base64.b64decode(signature, validate=True)))
    except ValueError:
        return None
    # exact: base64 has several texts for the same bytes, and any altered bit is to be noticed
    return (signature, found) if line == exact and found.size == tree.size and found.root == tree.root() else None


def _tail(stream: BinaryIO, end: int) -> int:
    """Return how many bytes there are behind the last checkpoint, zeros at the end not counted."""
    stream.seek(end)
    return len(stream.read(_READ_LIMIT).rstrip(b"\0"))
