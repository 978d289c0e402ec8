"""Keys changed beside a recorder that runs: it writes, and this asks it to (key_operations.py).

Whoever has the root reads keys.db for itself and wraps; each batch is one order over the control socket. When the
recorder goes away meanwhile, an order is done here, with the directory's lock; who does it makes no difference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from vittne.appliance import key_operations as ops
from vittne.appliance.control.client import perform
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.keyring.changes import Elsewhere, Event
from vittne.appliance.keyring.envelope import decoded, encoded
from vittne.appliance.keyring.ring import Ring
from vittne.appliance.seal.capsule import Bucket, KeyStore, Row


class RecorderBooks(Elsewhere):
    """Ring, public key and ledger of a data directory, as its recorder writes them."""

    def __init__(self, data_dir: Path) -> None:
        """Begin. since: the pair that a worker may still have. Raises StoreError when nobody answers."""
        self._data_dir = data_dir
        self.since: str = self._do(ops.BEGIN, ops.Begin())["pair"]

    def put_ring(self, former: Ring, ring: Ring, event: Event) -> None:
        """Put a ring in the place of a former one. Raises KeysMismatch when that is not in place any more."""
        self._do(ops.PUT_RING, ops.PutRing(former=former.mac, ring=ring.text().decode(), event=dict(event)))

    def put_public(self) -> None:
        """Write archive.pub anew from the ring."""
        self._do(ops.PUT_PUBLIC, ops.PutPublic())

    def settle(self) -> None:
        """Make up for an entry that a crash cut short."""
        self._do(ops.BEGIN, ops.Begin())

    def tell(self, event: Event) -> None:
        """Enter something that changed no file."""
        self._do(ops.TELL, ops.Tell(event=dict(event)))

    def rotate_ledger(self, fips: bool) -> str:
        """Have a new key sign; return its public half as a line."""
        return str(self._do(ops.ROTATE_LEDGER, ops.RotateLedger(fips=fips))["key"])

    def _do(self, operation: Operation[Any], order: Order) -> dict[str, Any]:
        return perform(self._data_dir, operation, order)


class RecorderStore(KeyStore):
    """The store of data keys of a directory that a recorder has: read here, written there."""

    def retire_buckets(self, numbers: Collection[int]) -> None:
        """Use buckets no more for what is new."""
        perform(self.path.parent, ops.RETIRE_BUCKETS, ops.RetireBuckets(numbers=tuple(numbers)))

    def drop_buckets(self, numbers: Collection[int]) -> None:
        """Remove buckets that no row needs."""
        perform(self.path.parent, ops.DROP_BUCKETS, ops.DropBuckets(numbers=tuple(numbers)))

    def bucket_for(self, place: tuple[str, str, str], make: Callable[[], tuple[int, bytes]], now: str) -> Bucket:
        """Return the bucket in use for a (site, retention class, month)."""
        known = next((one for one in self.buckets() if one.place == place and not one.retiring), None)
        if known is not None:
            return known
        epoch, wrapped = make()
        order = ops.NewBucket(place=place, epoch=epoch, wrapped=encoded(wrapped))
        told = perform(self.path.parent, ops.NEW_BUCKET, order)
        return Bucket(told["id"], *place, told["epoch"], told["created"], False, decoded(told["wrapped"]))

    def replace(self, rows: Sequence[Row]) -> None:
        """Put wrapped keys in the place of what rows hold, some thousand in a transaction."""
        for begin in range(0, len(rows), ops.AT_ONCE):
            some = tuple((bucket, encoded(key), rec, n) for bucket, key, rec, n in rows[begin : begin + ops.AT_ONCE])
            perform(self.path.parent, ops.REPLACE_KEYS, ops.ReplaceKeys(rows=some))

    def empty_log(self) -> None:
        """Nothing: the recorder does so once the old buckets go."""
