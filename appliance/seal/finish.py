"""Finishing recordings: the one order of steps that a crash cannot turn into a lie.

    manifest and signature written ▸ all synced ▸ "rec.seal" in the ledger, flushed ▸ folder gets its name

So whatever has its name is in the ledger. A crash before the ledger's step leaves a hidden folder that is
finished anew at the next start; one after it leaves a hidden folder that only has to be renamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vittne.appliance.seal.events import SEALED
from vittne.appliance.seal.history import History
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.seal.manifest import MANIFEST_FILE, Manifest, digest, write_manifest
from vittne.appliance.store.files import Store, recording_of


def finish_recordings(
    store: Store, ledger: Ledger, ready: Sequence[tuple[Path, Manifest]], at_us: int | None = None
) -> list[Path]:
    """Seal hidden folders whose parts are closed; return their final paths in the same order.

    All recordings that end in one commit go in one call: one sync, one checkpoint. Raises StoreError; then it
    may be called again with those folders that are still hidden.
    """
    folders = [folder for folder, _ in ready]
    digests = [write_manifest(folder, manifest, ledger.key) for folder, manifest in ready]
    store.sync_folders(folders)
    for (_, manifest), sha256 in zip(ready, digests, strict=True):
        event = {"t": SEALED, "rec": manifest.rec, "manifest": sha256, "state": manifest.state}
        ledger.record(event, at_us)
    ledger.flush()
    return store.finish(folders)


def only_to_rename(folder: Path, history: History) -> bool:
    """Say whether a hidden folder, left by a crash, is sealed already: Store.finish() is all that it lacks."""
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
    except FileNotFoundError:
        return False
    return history.last_seal(recording_of(folder)) == digest(text)
