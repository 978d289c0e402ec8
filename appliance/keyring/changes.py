"""Changes to the keys that a crash at any step leaves whole: each is one rename, announced before and told after.

    keys/pending.json: the hash of the ring that will be, and the entry
    ▸ ring renamed ▸ entry in the ledger ▸ pending.json removed

Whoever starts next looks: if the ring is the announced one the entry is made up for, else the change never
happened. An entry may stand twice when the crash was between the last two steps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.keyring.ring import FOLDER, Ring, replace_ring, ring_path
from vittne.appliance.seal.events import MEMBERS
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import sync_path, write_atomically
from vittne.appliance.store.times import now_us, rfc3339

if TYPE_CHECKING:
    from vittne.appliance.keyring.vault import Vault
    from vittne.appliance.seal.capsule import KeyStore
    from vittne.appliance.seal.ledger import Ledger

PENDING_FILE: Final = "pending.json"

Event = Mapping[str, Any]


def announce(data_dir: Path, ring: Ring, event: Event) -> None:
    """Note what is about to be written, and the entry that goes with it."""
    told = {"ring": hashlib.sha256(ring.text()).hexdigest(), "event": dict(event)}
    write_atomically(data_dir / FOLDER / PENDING_FILE, json.dumps(told).encode())


def commit(data_dir: Path, vault: Vault, ring: Ring, event: Event, ledger: Ledger, root: bytes | None = None) -> None:
    """Put a ring in the place of the present one, and its entry in the ledger; durable on return. Raises StoreError.

    root: when it is another one than before.
    """
    announce(data_dir, ring, event)
    replace_ring(data_dir, ring)
    vault.take(ring, root)
    settle(data_dir, ledger)


def settle(data_dir: Path, ledger: Ledger) -> None:
    """Make up for the entry of a change that a crash cut short. Every writer does so once it has the ledger."""
    path = data_dir / FOLDER / PENDING_FILE
    try:
        told = json.loads(path.read_bytes())
        happened = hashlib.sha256(ring_path(data_dir).read_bytes()).hexdigest() == told["ring"]
        event = dict(told["event"])
        is_known = event.keys() - {"t"} <= MEMBERS.get(event["t"], frozenset())
    except FileNotFoundError:
        return
    except (ValueError, KeyError, TypeError):
        happened = False  # never written whole: the change had not begun
    if happened and is_known:
        ledger.record(event)
        ledger.flush()
    path.unlink()
    sync_path(path.parent)


def tell(ledger: Ledger, event: Event) -> None:
    """Enter something that changed no file."""
    ledger.record(dict(event))
    ledger.flush()


def adopt(store: KeyStore, vault: Vault, recording_id: str, place: tuple[str, str, str]) -> int:
    """Wrap all keys of a recording under the bucket of a place; return how many changed."""
    bucket = store.bucket_for(place, vault.new_bucket, rfc3339(now_us()))
    moving = [
        (n, kept) for n, kept in store.keys_of(recording_id) if kept.bucket is None or kept.bucket.id != bucket.id
    ]
    if moving:
        store.replace(vault.adopt(recording_id, moving, bucket))
        with suppress(StoreError):  # somebody reads: the next one empties it
            store.empty_log()
    return len(moving)
