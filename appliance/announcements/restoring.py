"""Announcements back into a catalogue that is written anew, from their files and the ledger.

Only what the ledger names is taken: a file that was put there by somebody else is not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vittne.appliance.announcements.files import SoundMissing, read_all_terms, read_sound
from vittne.appliance.announcements.table import put_all
from vittne.appliance.announcements.terms import Terms
from vittne.appliance.seal import events
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import Catalogue

_EVENTS: Final = (events.ANNOUNCEMENT_ADDED, events.ANNOUNCEMENT_CHANGED, events.ANNOUNCEMENT_RETIRED)


def restore_announcements(data_dir: Path, catalogue: Catalogue) -> list[str]:
    """Write all versions that the ledger vouches for; return what is wrong, in words. Raises StoreError."""
    vouched: list[str] = []

    def visit(_: int, entry: bytes) -> None:
        said = read_entry(entry)
        if said.get("t") in _EVENTS:
            vouched.append(str(said.get("terms")))

    scan_ledger(data_dir / "ledger", load_verifier(data_dir / "keys"), visit)
    found: list[Terms] = []
    problems: list[str] = []
    for path, terms in read_all_terms(data_dir):
        if terms is None or terms.digest not in vouched:
            problems.append(f"{path.name}: no entry of the ledger vouches for it; it was left out")
        else:
            found.append(terms)
            problems += _without_sound(data_dir, terms)
    missing = set(vouched) - {one.digest for one in found}
    problems += [f"terms {digest[:16]}: the ledger names them, and their file is gone" for digest in sorted(missing)]
    with catalogue.writing(lasting=True) as connection:
        put_all(connection, found)
    return problems


def _without_sound(data_dir: Path, terms: Terms) -> list[str]:
    try:
        read_sound(data_dir, terms.reference)
    except SoundMissing as error:
        return [f"{terms.name} version {terms.version}: {error.what}"]
    return []
