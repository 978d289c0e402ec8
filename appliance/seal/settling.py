"""What is left to do when the key that signs is rotated and the entry stands in the ledger: see rotation.py.

In a file of its own, since it is done at the next start when a crash came between.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vittne.appliance.seal.events import KEY_ROTATE
from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, open_checkpoint
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.seal.signing import SigningKey, VerifyKey, load_key, save_key
from vittne.appliance.seal.succession import ROTATIONS_FILE, Rotation, Succession, read_succession
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path, write_atomically

NEXT_KEY_FILE: Final = "ledger.next"  # in keys/: the rotation and the new private key

Resign = Callable[[Path, SigningKey], None]  # publishes a ledger, and has a key sign its newest state


def settle_key(data_dir: Path, resign: Resign) -> None:
    """Bring a rotation to its end that a crash cut short, or undo it. Raises LedgerDamaged, StoreError."""
    for _ in settling(data_dir, resign):
        pass


def settling(data_dir: Path, resign: Resign) -> Iterator[str]:
    """Do what settle_key() does, one step at a time; each is named when it is done."""
    path, directory = data_dir / "keys" / NEXT_KEY_FILE, data_dir / "ledger"
    if not path.exists():
        return
    rotation, new = _read_next(path)
    if _is_entered(directory, rotation):
        known = read_succession(directory)
        if rotation not in known.rotations:
            resign(directory, load_key(path.parent))  # published, if a crash came before that
            known = Succession((*known.rotations, rotation))
            write_atomically(directory / ROTATIONS_FILE, known.text())
            yield "rotation noted"
        if _keep_last(directory, rotation.old):
            yield "last checkpoint of the old key kept"
        new = replace(new, former=known.before(rotation.new))
        resign(directory, new)
        yield "ledger signed by the new key"
        save_key(path.parent, new)
        yield "new key in use"
    path.unlink()
    sync_path(path.parent)


def _read_next(path: Path) -> tuple[Rotation, SigningKey]:
    try:
        told: Any = json.loads(path.read_bytes())
        rotation = Rotation.read(told["rotation"])
        if rotation is None:
            raise ValueError("its signatures are not good")
        return rotation, SigningKey.from_pem(told["pem"].encode(), rotation.new)
    except OSError as error:
        raise explain(error, "read a key", path) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"the key that is about to sign cannot be read ({error})"
        raise StoreError(what, path, "restore keys/ from a backup") from error


def _is_entered(directory: Path, rotation: Rotation) -> bool:
    """Say whether the entry is in the ledger; its place is known."""
    view = LedgerView(directory, rotation.old)
    if view.checkpoint.size < rotation.size:
        return False
    entry = read_entry(view.entry(rotation.size - 1))
    return entry["t"] == KEY_ROTATE and Rotation.read(entry) == rotation


def _keep_last(directory: Path, old: VerifyKey) -> bool:
    """Keep the public checkpoint beside the ledger as long as it is the old key's; say whether it was."""
    path = directory / CHECKPOINT_FILE
    try:
        with path.open("rb") as stream:
            note = stream.read(NOTE_LIMIT + 1)
        open_checkpoint(note, replace(old, former=()))
    except OSError as error:
        raise explain(error, "read the ledger", path) from error
    except BadNote:
        return False
    write_atomically(directory / f"{CHECKPOINT_FILE}.{old.key_id.hex()}", note)
    return True
