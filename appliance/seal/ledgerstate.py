"""What a ledger says of itself in three places, and whether the three agree.

    DIR/ledger/journal      the newest signed checkpoint: what counts
    DIR/ledger/checkpoint   the one that was published last
    DIR/keys/ledger.head    a note of the newest one, apart from the ledger's folder: who puts an older copy of the
                            folder in its place is noticed. 512 bytes, the note and line feeds

Head and published checkpoint may lag behind the journal, never the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.seal.journal import JOURNAL_FILE, Journal, read_journal
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.seal.succession import following
from vittne.appliance.seal.tiles import NEXT, LedgerDamaged
from vittne.appliance.store.errors import explain

CHECKPOINT_FILE: Final = "checkpoint"
COSIGNED_FILE: Final = "checkpoint.cosigned"
HEAD_FILE: Final = "ledger.head"
HEAD_BYTES: Final = 512  # one sector: written whole or not at all


@dataclass(frozen=True, slots=True)
class Remembered:
    """A checkpoint that was kept in a file, with the note that signs it."""

    path: Path
    checkpoint: Checkpoint
    note: bytes


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What was found; nothing is compared yet. head is None where there is no keys/ folder: a copy of the ledger."""

    key: VerifyKey  # the newest that the one asked for leads to
    journal: Journal
    published: Remembered
    head: Remembered | None

    @property
    def remembered(self) -> list[Remembered]:
        """What the journal must not fall short of."""
        return [self.published] if self.head is None else [self.head, self.published]


def head_path(directory: Path) -> Path:
    """Return where the newest size and root of a ledger are remembered."""
    return directory.parent / "keys" / HEAD_FILE


def read_state(directory: Path, key: VerifyKey) -> LedgerState:
    """Read all three, the journal last: another process may go on writing. Raises LedgerDamaged, StoreError.

    key: one that is trusted; the ledger may be signed by one that followed it.
    """
    newest = following(directory, key)
    try:
        return _read_state(directory, newest)
    except LedgerDamaged:
        newer = following(directory, key)
        if newer == newest:
            raise
        return _read_state(directory, newer)  # another one followed between two of our reads


def _read_state(directory: Path, key: VerifyKey) -> LedgerState:
    head = head_path(directory)
    remembered = _remembered(head, key, "note of its newest state") if head.parent.is_dir() else None
    published = _remembered(directory / CHECKPOINT_FILE, key, "signed checkpoint")
    return LedgerState(key, read_journal(directory / JOURNAL_FILE, key), published, remembered)


def padded_head(note: bytes) -> bytes:
    """Return a note as it stands in the head's file."""
    return note.ljust(HEAD_BYTES, b"\n")


def hold_against(remembered: Remembered, newest: Checkpoint, root_at: Callable[[int], bytes]) -> None:
    """See that a ledger contains what was remembered of it. root_at: root of its first entries. LedgerDamaged."""
    known = remembered.checkpoint
    if known.size > newest.size:
        raise LedgerDamaged(
            f"the ledger was shortened, or an older copy of it put back: {known.size} entries were signed, "
            f"{newest.size} are there",
            remembered.path,
            f"{NEXT}; to go on with the older one on purpose, copy ledger/{CHECKPOINT_FILE} to keys/{HEAD_FILE}",
        )
    if root_at(known.size) != known.root:
        raise LedgerDamaged(
            f"the ledger was altered: its first {known.size} entries do not have the signed root", remembered.path, NEXT
        )


def _remembered(path: Path, key: VerifyKey, what: str) -> Remembered:
    try:
        with path.open("rb") as stream:
            note = stream.read(NOTE_LIMIT + 1).rstrip(b"\n") + b"\n"
        return Remembered(path, open_checkpoint(note, key), note)
    except FileNotFoundError as error:
        raise LedgerDamaged(f"the ledger's {what} is gone", path, NEXT) from error
    except BadNote as error:
        raise LedgerDamaged(f"the ledger's {what} cannot be trusted: {error}", path, NEXT) from error
    except OSError as error:
        raise explain(error, "read the ledger", path) from error
