"""The archive unlocked: root, epoch keys and private keys in memory, and what can be done with them.

It reads and writes no file: what it makes (a new ring, wrapped keys) is returned, and whoever called writes it. So
the same code serves a command by itself and the process that holds the keys for a recorder.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

from vittne.appliance.keyring import envelope as passphrases
from vittne.appliance.keyring.archive import ArchivePair, open_capsule
from vittne.appliance.keyring.envelope import Envelope
from vittne.appliance.keyring.errors import KeysMismatch
from vittne.appliance.keyring.ring import Epoch, Pair, Renewal, Ring, Root, Shares
from vittne.appliance.keyring.wrapping import WrongKey, new_key, unwrap, unwrap_bytes, wrap, wrap_bytes
from vittne.appliance.seal.capsule import Bucket, CapsuleRefused, Kept, Row, made_for

_NEXT: Final = "restore keys/keyring.json from a backup"


@dataclass(slots=True)
class Vault:
    """An unlocked archive. ring is replaced, never changed; it carries its MAC."""

    ring: Ring
    root: bytes
    pairs: dict[str, ArchivePair] = field(default_factory=dict)  # by kid
    _epochs: dict[int, bytes] = field(default_factory=dict)
    _buckets: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # id to (wrapped, in clear)

    @classmethod
    def create(cls, root_id: str, now: str) -> Self:
        """Make root, first epoch and pair; the root lies in the open until it is put into an envelope."""
        root = new_key()
        told = Root(id=root_id, created=now, envelope=passphrases.plain(root))
        pair, epoch = _new_pair(root, now), Epoch(number=1, created=now, wrapped=wrap(root, new_key()))
        return cls.open(Ring(root=told, archive=(pair,), epochs=(epoch,)).signed(root), root)

    @classmethod
    def open(cls, ring: Ring, root: bytes) -> Self:
        """Unlock a ring. Raises KeysMismatch when the root is another one's, or the ring was altered."""
        vault = cls(ring, root)
        vault.take(ring, root)
        return vault

    def take(self, ring: Ring, root: bytes | None = None) -> None:
        """Go on with another ring: keys that are no longer in it are forgotten. Raises KeysMismatch."""
        root = self.root if root is None else root
        if not ring.is_signed_by(root):
            raise KeysMismatch("the key ring was altered, or this is the root of another", "keyring.json", _NEXT)
        try:
            pairs = {pair.kid: ArchivePair.from_der(unwrap_bytes(root, pair.wrapped)) for pair in ring.archive}
            epochs = {epoch.number: unwrap(root, epoch.wrapped) for epoch in ring.epochs}
        except (WrongKey, ValueError) as error:
            raise KeysMismatch("a key in the key ring does not open", "keyring.json", _NEXT) from error
        self.ring, self.root, self.pairs, self._epochs = ring, root, pairs, epochs
        self._buckets = {}

    @property
    def archive(self) -> ArchivePair:
        """The pair in use."""
        return self.pairs[self.ring.pair.kid]

    def data_key(self, kept: Kept, recording_id: str, part_no: int) -> bytes:
        """Return a data key, 32 bytes, from either form of its row. Raises CapsuleRefused."""
        if kept.bucket is None:
            return self.open_capsule(kept.capsule, recording_id, part_no)
        try:
            return unwrap(self.bucket_key(kept.bucket), kept.key)
        except WrongKey as error:
            raise CapsuleRefused(f"the key of part {part_no} does not open: {error}") from error

    def open_capsule(self, capsule: str, recording_id: str, part_no: int) -> bytes:
        """Return the data key in a capsule, made for the pair in use or for one that is retiring."""
        pair = self.pairs.get(made_for(capsule), self.archive)
        return open_capsule(pair, capsule, recording_id, part_no)

    def bucket_key(self, bucket: Bucket) -> bytes:
        """Return a bucket's KEK. Raises WrongKey: its epoch is over, or it is not ours."""
        known = self._buckets.get(bucket.id)
        if known is not None and known[0] == bucket.wrapped:
            return known[1]
        if bucket.epoch not in self._epochs:
            raise WrongKey(f"the key of epoch {bucket.epoch} was destroyed; this is a row from before")
        key = unwrap(self._epochs[bucket.epoch], bucket.wrapped)
        self._buckets[bucket.id] = (bucket.wrapped, key)
        return key

    def new_bucket(self) -> tuple[int, bytes]:
        """Return (epoch, wrapped) of a new bucket KEK, under the epoch in use."""
        number = self.ring.epoch.number
        return number, wrap(self._epochs[number], new_key())

    def adopt(self, recording_id: str, rows: Iterable[tuple[int, Kept]], bucket: Bucket) -> list[Row]:
        """Return rows of a recording wrapped under a bucket, whatever their form. Raises CapsuleRefused, WrongKey."""
        kek = self.bucket_key(bucket)
        return [(bucket.id, wrap(kek, self.data_key(kept, recording_id, n)), recording_id, n) for n, kept in rows]

    def rewrap(self, rows: Sequence[Row], old: Bucket, new: Bucket) -> list[Row]:
        """Return rows of one bucket wrapped under another. Raises WrongKey."""
        before, after = self.bucket_key(old), self.bucket_key(new)
        return [(new.id, wrap(after, unwrap(before, key)), recording_id, n) for _, key, recording_id, n in rows]

    # What follows changes the ring.

    def enveloped(self, envelope: Envelope) -> Ring:
        """Return the ring with its root in another envelope."""
        return self._with(root=self.ring.root.model_copy(update={"envelope": envelope}))

    def told_of_shares(self, shares: Shares) -> Ring:
        """Return the ring with a note that shares were printed."""
        return self._with(shares=shares)

    def renewing(self, what: Renewal, now: str) -> Ring:
        """Return the ring at the begin of a renewal: new keys in use, the old ones still there, retiring."""
        archive = tuple(pair.model_copy(update={"retiring": True}) for pair in self.ring.archive)
        changes: dict[str, object] = {"archive": (*archive, _new_pair(self.root, now)), "renewing": what}
        if what == "epoch":
            old = tuple(epoch.model_copy(update={"retiring": True}) for epoch in self.ring.epochs)
            number = max(epoch.number for epoch in old) + 1
            changes["epochs"] = (*old, Epoch(number=number, created=now, wrapped=wrap(self.root, new_key())))
        return self._with(**changes)

    def going(self, since: str = "") -> list[str]:
        """Return the kids of the pairs that nothing needs at the end of a renewal: all retiring ones before one."""
        known = [pair.kid for pair in self.ring.archive]
        end = known.index(since) if since in known else 0 if since else len(known)
        return [pair.kid for pair in self.ring.archive[:end] if pair.retiring]

    def renewed(self, since: str = "") -> Ring:
        """Return the ring at the end of a renewal: what was retiring is gone, but pairs from one on."""
        going = self.going(since)
        archive = tuple(pair for pair in self.ring.archive if pair.kid not in going)
        return self._with(archive=archive, epochs=(self.ring.epoch,), renewing="")

    def under(self, root: bytes, told: Root) -> Ring:
        """Return the ring under another root: every key in it wrapped anew, no shares of the new root yet."""
        epochs = tuple(
            epoch.model_copy(update={"wrapped": wrap(root, self._epochs[epoch.number])}) for epoch in self.ring.epochs
        )
        archive = tuple(
            pair.model_copy(update={"wrapped": wrap_bytes(root, self.pairs[pair.kid].der())})
            for pair in self.ring.archive
        )
        changes = {"root": told, "epochs": epochs, "archive": archive, "shares": None}
        return self.ring.model_copy(update=changes).signed(root)

    def _with(self, **changes: object) -> Ring:
        return self.ring.model_copy(update=changes).signed(self.root)


def _new_pair(root: bytes, now: str) -> Pair:
    pair = ArchivePair.generate()
    public = pair.public.pem().decode("ascii")
    return Pair(kid=pair.public.kid, created=now, public=public, wrapped=wrap_bytes(root, pair.der()))
