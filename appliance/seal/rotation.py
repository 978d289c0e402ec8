"""Rotating the key that signs: another key follows, and the ledger goes on under the same name.

    keys/ledger.next ▸ the entry, signed by the old key ▸ the line in ledger/rotations
    ▸ ledger/checkpoint.<old key's id>, the old key's last ▸ head, checkpoint and journal signed by the new key
    ▸ the new key in keys/ ▸ keys/ledger.next removed

A crash before the entry undoes it, one behind it is brought to its end at the next start. From the line on readers
take either key for a ledger of this size, so that none ever meets one that it cannot read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.events import KEY_ROTATE
from vittne.appliance.seal.ledger import open_ledger, resigned
from vittne.appliance.seal.settling import NEXT_KEY_FILE, settling
from vittne.appliance.seal.signing import SigningKey, VerifyKey, load_verifier, new_key
from vittne.appliance.seal.succession import Rotation, statement
from vittne.appliance.store.files import write_atomically

LEDGER: Final = "ledger"  # the kind of such an entry


def rotate_key(data_dir: Path, fips: bool = False) -> VerifyKey:
    """Have a new key sign from now on; return its public half. The caller holds the lock and has no ledger open.

    fips: an ECDSA key. Raises LedgerDamaged, StoreError; behind the entry the next start does what is left.
    """
    for _ in rotate_key_steps(data_dir, fips):
        pass
    return load_verifier(data_dir / "keys")


def rotate_key_steps(data_dir: Path, fips: bool = False) -> Iterator[str]:
    """Do what rotate_key() does, one step at a time; each is named when it is done."""
    ledger = open_ledger(data_dir)
    try:
        new = new_key(fips, ledger.key.name)
        told = _rotation(ledger.key, new, ledger.size + 1).members()
        text = json.dumps({"rotation": told, "pem": new.pem().decode()})
        write_atomically(data_dir / "keys" / NEXT_KEY_FILE, text.encode())
        yield "new key kept"
        ledger.record(_entry(told))
        ledger.flush()
        yield "entered in the ledger"
    finally:
        ledger.close()
    yield from settling(data_dir, resigned)


def _rotation(old: SigningKey, new: SigningKey, size: int) -> Rotation:
    said = statement(old.verifier, new.verifier, size)
    return Rotation(old.verifier, new.verifier, size, old.sign(said), new.sign(said))


def _entry(told: dict[str, Json]) -> dict[str, Json]:
    return {"t": KEY_ROTATE, "kind": LEDGER, **told}
