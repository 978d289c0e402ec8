"""The key epoch, and new keys for a bucket or the archive: what was erased is dead then in every old copy of keys.db.

    ring: new epoch key and archive pair in use, the old ones retiring ▸ archive.pub ▸ capsules adopted
    ▸ rows wrapped anew, some thousand in a transaction ▸ old buckets removed, database rebuilt, log emptied
    ▸ ring without the old keys, its old file overwritten ▸ "key.epoch" in the ledger

Every step may be done again: what is left to do is seen in the ring (what is retiring) and in the rows (whose bucket
is of an old epoch). `finish_steps()` does it at the next chance after a crash, once the archive is unlocked.

The archive's pair changes with the epoch because a copy of keys.db may hold capsules of calls erased since. While a
capture worker runs that may still make capsules for an old public key, that pair and those that followed it stay
(since: the kid of the first one), and the entry says what was destroyed and what not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, Literal

from vittne.appliance.keyring import changes
from vittne.appliance.keyring.opening import OpenKeys
from vittne.appliance.seal import events
from vittne.appliance.seal.capsule import Bucket, CapsuleRefused, Row
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

BATCH: Final = 20_000
UNSORTED: Final = "unsorted"  # retention class of a call that nothing was said about yet
_LAST: Final = ("", -1)
_STOPPED: Final = "erase it or restore its row; the old keys stay until then"


def epoch(keys: OpenKeys, ledger: changes.Books, site: str, since: str = "") -> int:
    """Begin a new epoch and bring it to its end; return how many rows were wrapped anew. Raises StoreError."""
    for _ in epoch_steps(keys, ledger, site, since):
        pass
    return sum(keys.store.rows_by_bucket().values())


def epoch_steps(keys: OpenKeys, ledger: changes.Books, site: str, since: str = "") -> Iterator[str]:
    """Do what epoch() does, one step at a time; each is named when it is done."""
    yield from finish_steps(keys, ledger, site, since)
    yield from _begin(keys, ledger, "epoch")
    yield from finish_steps(keys, ledger, site, since)


def renew_archive(keys: OpenKeys, ledger: changes.Books, site: str, since: str = "") -> Iterator[str]:
    """Make a new pair of the archive, and destroy the old one once no capsule needs it; the steps by name."""
    yield from finish_steps(keys, ledger, site, since)
    yield from _begin(keys, ledger, "archive")
    yield from finish_steps(keys, ledger, site, since)


def renew_buckets(keys: OpenKeys, ledger: changes.Books, numbers: Collection[int] | None = None) -> Iterator[str]:
    """Put new buckets in the place of some, or of all; the steps by name. Only an epoch reaches copies of keys.db."""
    found = [one.id for one in keys.store.buckets() if numbers is None or one.id in numbers]
    keys.store.retire_buckets(found)
    yield "buckets retiring"
    yield from _rewrap(keys)
    keys.store.drop_buckets(found)
    yield "old buckets removed"
    changes.tell(ledger, {"t": events.KEY_ROTATE, "kind": "bucket", "count": len(found)})
    yield "entered in the ledger"


def finish_steps(keys: OpenKeys, ledger: changes.Books, site: str, since: str = "") -> Iterator[str]:
    """Bring a renewal to its end that was begun, if there is one; the steps by name."""
    changes.settle(keys.data_dir, ledger)
    ring = keys.vault.ring
    going = keys.vault.going(since)
    if not ring.renewing and not going:
        return
    changes.put_public(keys.data_dir, ring, ledger)
    yield "public key written"
    keys.store.retire_buckets([bucket.id for bucket in _old_buckets(keys)])
    yield from _adopt(keys, site)
    rows = 0
    for count in _rewrap_counted(keys):
        rows += count
        yield f"{rows} rows wrapped anew"
    old = _old_buckets(keys)
    keys.store.drop_buckets([bucket.id for bucket in old])
    if _old_buckets(keys):
        raise StoreError("data keys are left under old keys", keys.store.path, "run it again; nothing was destroyed")
    yield "old buckets removed"
    event: dict[str, Any] = {"t": events.KEY_EPOCH if ring.renewing == "epoch" else events.KEY_ROTATE}
    event |= {"epoch": ring.epoch.number, "state": "done"} if ring.renewing == "epoch" else {"kind": "archive"}
    event |= {"archive": ring.pair.kid, "destroyed": going, "rows": rows, "count": len(old)}
    changes.commit(keys.data_dir, keys.vault, keys.vault.renewed(since), event, ledger)
    yield "old keys destroyed"


def _begin(keys: OpenKeys, ledger: changes.Books, what: Literal["epoch", "archive"]) -> Iterator[str]:
    ring = keys.vault.renewing(what, rfc3339(now_us()))
    event = {"t": events.KEY_EPOCH, "epoch": ring.epoch.number, "state": "begun", "archive": ring.pair.kid}
    if what == "archive":
        event = {"t": events.KEY_CREATE, "kind": "archive", "key": ring.pair.kid}
    changes.commit(keys.data_dir, keys.vault, ring, event, ledger)
    yield f"{what} begun"


def _adopt(keys: OpenKeys, site: str) -> Iterator[str]:
    """Take in every capsule. One that does not open would be lost with the old key: that stops the renewal."""
    after, done = "", 0
    month = rfc3339(now_us())[:7]
    while found := keys.store.waiting(after):
        for recording_id in found:
            try:
                done += keys.adopt(recording_id, site, UNSORTED, month)
            except CapsuleRefused as error:
                raise StoreError(f"a capsule does not open ({error})", recording_id, _STOPPED) from error
        after = found[-1]
        yield f"{done} capsules adopted"


def _rewrap(keys: OpenKeys) -> Iterator[str]:
    rows = 0
    for count in _rewrap_counted(keys):
        rows += count
        yield f"{rows} rows wrapped anew"


def _rewrap_counted(keys: OpenKeys) -> Iterator[int]:
    """Wrap the rows of old buckets under their successors; yield how many, batch by batch."""
    after: tuple[str, int] = _LAST
    while rows := keys.store.scan(after, BATCH):
        after = rows[-1][2:]
        old = {bucket.id: bucket for bucket in _old_buckets(keys)}
        changed: list[Row] = []
        for number in sorted({row[0] for row in rows if row[0] in old}):
            changed += _moved(keys, old[number], [(number, *row[1:]) for row in rows if row[0] == number])
        keys.store.replace(changed)
        yield len(changed)


def _moved(keys: OpenKeys, old: Bucket, rows: Sequence[Row]) -> Sequence[Row]:
    new = keys.store.bucket_for(old.place, keys.vault.new_bucket, rfc3339(now_us()))
    return keys.vault.rewrap(rows, old, new)


def _old_buckets(keys: OpenKeys) -> list[Bucket]:
    number = keys.vault.ring.epoch.number
    return [bucket for bucket in keys.store.buckets() if bucket.retiring or bucket.epoch != number]
