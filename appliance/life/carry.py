"""What a rebuilt catalogue must not lose: holds, restrictions, changed ends, corrections, the trail, pauses.

None of it is in the recordings. Where the catalogue before can still be read it is taken over from there. Where it
cannot, and the ledger says that there was something, nothing is erased until somebody has put it right: else what a
court wants kept would go the next night.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import bindparam, insert, select, update

from vittne.appliance.seal import events
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.listing import relist
from vittne.appliance.store.tables import (
    announcements,
    audit,
    away,
    calls,
    corrections,
    decisions,
    erasures,
    factors,
    held,
    holds,
    incidents,
    notes,
    pauses,
    requests,
    review_cards,
    review_draws,
    review_plans,
    reviews,
    roles,
    saved_searches,
    stored,
    subject_acts,
    subjects,
    users,
)

LOST_FILE: Final = "holds.lost"
_REVIEW: Final = (review_plans, review_cards, review_draws, reviews)
# a pause may live: a restart goes on with it
_TABLES: Final = (
    holds,
    held,
    corrections,
    requests,
    erasures,
    audit,
    pauses,
    decisions,
    *_REVIEW,
    subjects,
    subject_acts,
    incidents,
    announcements,
    stored,
    away,
    users,  # who is logged in, and codes that were given, are not taken over
    roles,
    factors,
    notes,
    saved_searches,
)
_KEPT: Final = ("retention_class", "locked_until_us", "expires_us", "restricted_us", "tags")
_TELLING: Final = (events.HOLD_PLACED, events.RESTRICTED, events.RETENTION_CHANGED)
_CHUNK: Final = 1000


def carry_over(old: Path, new: Catalogue) -> bool:
    """Take over what only the former catalogue knows; False when it cannot be read."""
    try:
        with Catalogue(old, read_only=True) as before, before.reading() as reading, new.writing() as writing:
            for table in _TABLES:
                for some in reading.execute(select(table)).mappings().partitions(_CHUNK):
                    writing.execute(insert(table), [dict(row) for row in some])
            columns = [calls.c[name] for name in _KEPT]
            kept = update(calls).where(calls.c.id == bindparam("which"), calls.c.erased_us.is_(None))
            change = kept.values({name: bindparam(f"new_{name}") for name in _KEPT})
            query = select(calls.c.id, *columns).where(calls.c.folder != "")
            for found in reading.execute(query).partitions(_CHUNK):
                writing.execute(
                    change,
                    [
                        {"which": row[0], **{f"new_{n}": v for n, v in zip(_KEPT, row[1:], strict=True)}}
                        for row in found
                    ],
                )
                relist(writing, [row[0] for row in found])
    except StoreError:
        return False
    return True


def note_what_is_lost(data_dir: Path) -> bool:
    """Stop erasing when the ledger tells of holds and the like that no catalogue knows any more; say whether it did."""
    found = []

    def visit(_: int, entry: bytes) -> None:
        if read_entry(entry).get("t") in _TELLING:
            found.append(True)

    scan_ledger(data_dir / "ledger", load_verifier(data_dir / "keys"), visit)
    if found:
        write_atomically(
            data_dir / LOST_FILE, b"Holds were lost with the catalogue. Place them anew, then remove this.\n"
        )
    return bool(found)


def refuse_when_lost(data_dir: Path) -> None:
    """Raise StoreError when nobody knows what is on hold."""
    if (data_dir / LOST_FILE).exists():
        what = "what was on hold was lost with the catalogue, so nothing is erased"
        next_step = "put catalogue.db back from a backup, or place the holds anew, then remove this file"
        raise StoreError(what, data_dir / LOST_FILE, next_step)
