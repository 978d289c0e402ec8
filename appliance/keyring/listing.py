"""All keys of a data directory, as an auditor asks for them: no secret, and nothing has to be unlocked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.keyring.opening import STORE_FILE
from vittne.appliance.keyring.ring import FOLDER, Ring, read_ring
from vittne.appliance.seal.capsule import KeyStore
from vittne.appliance.seal.signing import KEY_FILE, load_verifier
from vittne.appliance.store.times import rfc3339

# NIST SP 800-57 part 1, 5.3.6: how long a key is used at most.
# An epoch is as long as an erased call may live on in copies.
PERIODS: Final = {
    "root": "2 years",
    "archive": "1 epoch",
    "epoch": "1 week",
    "bucket": "1 month of calls, 1 epoch",
    "ledger": "3 years",
}
_WHERE: Final = {
    "none": "keyring.json, in clear",
    "passphrase": "keyring.json, under a passphrase",
    "pkcs11": "keyring.json, under a key of a token",
    "tpm2": "keyring.json, sealed to the TPM",
}


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key. exportable: how its value can leave, in words; "no" when it cannot. rows: data keys under it."""

    id: str
    kind: str
    created: str
    cryptoperiod: str
    state: str
    exportable: str
    where: str
    rows: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return asdict(self)


def list_keys(data_dir: Path) -> list[ListedKey]:
    """Return all keys, the root first. Raises KeysMissing, StoreError."""
    ring = read_ring(data_dir)
    return [*_of_ring(ring), *_buckets(data_dir), *_signing(data_dir)]


def _of_ring(ring: Ring) -> list[ListedKey]:
    shares = ring.shares if ring.shares is not None and ring.shares.root == ring.root.id else None
    how = f"as {shares.threshold} of {shares.shares} shares" if shares else "by `vittne keys shares`"
    where = _WHERE.get(ring.provider, ring.provider)
    found = [ListedKey(ring.root.id, "root", ring.root.created, PERIODS["root"], "active", how, where)]
    for epoch in ring.epochs:
        about = (epoch.created, PERIODS["epoch"], _state(epoch.retiring), "wrapped, in a backup")
        found.append(ListedKey(f"epoch {epoch.number}", "epoch", *about, "keyring.json, under the root"))
    for pair in ring.archive:
        about = (pair.created, PERIODS["archive"], _state(pair.retiring), "wrapped, in a backup")
        found.append(ListedKey(pair.kid, "archive", *about, "keyring.json, under the root; public half in archive.pub"))
    return found


def _buckets(data_dir: Path) -> list[ListedKey]:
    if not (data_dir / STORE_FILE).exists():
        return []
    store = KeyStore(data_dir / STORE_FILE)
    try:
        rows = store.rows_by_bucket()
        found = [
            ListedKey(
                f"bucket {one.id}",
                "bucket",
                one.created,
                PERIODS["bucket"],
                _state(one.retiring),
                "wrapped, in keys.db",
                f"keys.db, {'/'.join(one.place)}, under epoch {one.epoch}",
                rows.get(one.id, 0),
            )
            for one in store.buckets()
        ]
    finally:
        store.close()
    if rows.get(None):
        where = "keys.db, in capsules for the archive's key: they wait until it is unlocked"
        found.append(ListedKey("capsules", "data keys", "", "", "waiting", "wrapped, in keys.db", where, rows[None]))
    return found


def _signing(data_dir: Path) -> list[ListedKey]:
    path = data_dir / FOLDER / KEY_FILE
    if not path.exists():
        return []
    key = load_verifier(data_dir / FOLDER)
    created = rfc3339(path.stat().st_mtime_ns // 1000)
    about = (created, PERIODS["ledger"], "active", "yes: it signs unattended", "ledger.key, 0600")
    found = [ListedKey(key.key_id.hex(), "ledger", *about)]
    for former in key.former:
        about = ("", PERIODS["ledger"], "former: verifies only", "no: destroyed", "its public half is in the ledger")
        found.append(ListedKey(former.key_id.hex(), "ledger", *about))
    return found


def _state(retiring: bool) -> str:
    return "retiring" if retiring else "active"
