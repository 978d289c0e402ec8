"""An inclusion proof as a file of its own (C2SP tlog-proof): shown to somebody who has the entry and the key.

c2sp.org/tlog-proof@v1
extra <base64>                 the entry, as we write it: not part of the proof
index <which entry>
<base64 of each hash>

<checkpoint>
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from vittne.appliance.seal.merkle import HASH_BYTES, leaf_hash
from vittne.appliance.seal.note import Checkpoint, open_checkpoint
from vittne.appliance.seal.proofs import is_included
from vittne.appliance.seal.signing import VerifyKey

SUFFIX: Final = ".tlog-proof"
_MAGIC: Final = "c2sp.org/tlog-proof@v1"
_LIMIT: Final = 1 << 20
_HASHES: Final = 63


class BadProof(ValueError):
    """Not a proof, or one that proves something else."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """That an entry is at an index of the log that a note's checkpoint is of. entry is empty where it is not told."""

    index: int
    path: tuple[bytes, ...]
    note: bytes
    entry: bytes = b""

    def text(self) -> bytes:
        """Return the file."""
        lines = [_MAGIC]
        if self.entry:
            lines.append(f"extra {base64.b64encode(self.entry).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(step).decode() for step in self.path]
        return "\n".join([*lines, "", ""]).encode() + self.note

    def check(self, key: VerifyKey, entry: bytes = b"") -> Checkpoint:
        """See that key signed a log with this entry, or else the one in the proof. Raises BadProof, BadNote."""
        checkpoint = open_checkpoint(self.note, key)
        leaf = leaf_hash(entry or self.entry)
        if not is_included(self.index, checkpoint.size, leaf, self.path, checkpoint.root):
            raise BadProof("the entry is not at this place of the log that was signed")
        return checkpoint


def parse_proof(data: bytes) -> TlogProof:
    """Read a proof's file; nothing in it is checked yet. Raises BadProof."""
    if len(data) > _LIMIT:
        raise BadProof("it is longer than a proof may be")
    head, found, note = data.partition(b"\n\n")
    lines = head.split(b"\n")
    if not found or lines.pop(0) != _MAGIC.encode():
        raise BadProof("it does not begin as a proof does")
    entry = b""
    if lines and lines[0].startswith(b"extra "):
        entry = _decoded(lines.pop(0)[6:])
    word, _, number = (lines.pop(0) if lines else b"").partition(b" ")
    if word != b"index" or not number.isdigit() or str(int(number[:20])).encode() != number:
        raise BadProof("it says no index")
    path = tuple(map(_decoded, lines))
    if len(path) > _HASHES or any(len(step) != HASH_BYTES for step in path):
        raise BadProof("its hashes are no hashes")
    return TlogProof(int(number), path, note, entry)


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise BadProof("it is not base64") from error
