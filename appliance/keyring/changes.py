"""Changes to the keys that a crash at any step leaves whole: each is one rename, announced before and told after.

    keys/pending.json: the hash of the ring that will be, and the entry
    ▸ ring renamed ▸ entry in the ledger ▸ pending.json removed

Whoever starts next looks: if the ring is the announced one the entry is made up for, else the change never
happened. An entry may stand twice when the crash was between the last two steps.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from vittne.appliance.keyring.archive import PUBLIC_FILE
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


class Elsewhere(ABC):
    """The books of a data directory that a recorder has: it writes, and this asks it to. Each raises StoreError."""

    @abstractmethod
    def put_ring(self, former: Ring, ring: Ring, event: Event) -> None:
        """Put a ring in the place of a former one, with its entry."""

    @abstractmethod
    def put_public(self) -> None:
        """Write archive.pub anew from the ring."""

    @abstractmethod
    def settle(self) -> None:
        """Make up for an entry that a crash cut short."""

    @abstractmethod
    def tell(self, event: Event) -> None:
        """Enter something that changed no file."""


Books: TypeAlias = "Ledger | Elsewhere"


def announce(data_dir: Path, ring: Ring, event: Event) -> None:
    """Note what is about to be written, and the entry that goes with it."""
    told = {"ring": hashlib.sha256(ring.text()).hexdigest(), "event": dict(event)}
    write_atomically(data_dir / FOLDER / PENDING_FILE, json.dumps(told).encode())


def commit(data_dir: Path, vault: Vault, ring: Ring, event: Event, ledger: Books, root: bytes | None = None) -> None:
    """Put a ring in the place of the present one, and its entry in the ledger; durable on return. Raises StoreError.

    root: when it is another one than before.
    """
    if isinstance(ledger, Elsewhere):
        ledger.put_ring(vault.ring, ring, event)
    else:
        put_ring(data_dir, ring, event)
    vault.take(ring, root)
    settle(data_dir, ledger)


def put_ring(data_dir: Path, ring: Ring, event: Event) -> None:
    """Put a ring in the place of the present one; settle() enters it."""
    announce(data_dir, ring, event)
    replace_ring(data_dir, ring)


def put_public(data_dir: Path, ring: Ring, ledger: Books) -> None:
    """Have archive.pub written anew from the ring."""
    if isinstance(ledger, Elsewhere):
        return ledger.put_public()
    write_public(data_dir, ring)


def write_public(data_dir: Path, ring: Ring) -> None:
    """Write archive.pub anew from the ring; readable by who captures."""
    path = data_dir / FOLDER / PUBLIC_FILE
    write_atomically(path, ring.pair.public.encode("ascii"))
    path.chmod(0o644)


def settle(data_dir: Path, ledger: Books) -> None:
    """Make up for the entry of a change that a crash cut short. Every writer does so once it has the ledger."""
    if isinstance(ledger, Elsewhere):
        return ledger.settle()
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


def tell(ledger: Books, event: Event) -> None:
    """Enter something that changed no file."""
    if isinstance(ledger, Elsewhere):
        return ledger.tell(event)
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
