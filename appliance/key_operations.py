"""What a command that changes keys asks of a recorder that runs: every write of it, one short step each.

The command alone has the root, and does what needs it; the recorder never sees it. Before a ring is put in place the
recorder looks whether everything that is kept opens with it, so that nobody who asks too late, or dies between two
steps, can lose a key: what is in place is always whole, and `renewal.finish_steps()` goes on from any of them.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Operation, Order, Progress, Steps
from vittne.appliance.keyring import changes
from vittne.appliance.keyring.envelope import decoded, encoded
from vittne.appliance.keyring.errors import KeysMismatch
from vittne.appliance.keyring.ring import Ring, parse_ring, read_ring, ring_path
from vittne.appliance.life import asking
from vittne.appliance.life.table import APPROVED
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

AT_ONCE: Final = 2_000  # rows in one order: some 20 ms
_AGAIN: Final = "run it again: it goes on from there"


class Begin(Order):
    """Enter what a crash left to be entered; answers with the kid of the pair that a worker may still have."""


class PutRing(Order):
    """Put a ring in the place of another. former: the MAC of that. event: the entry that goes with it."""

    former: str
    ring: str
    event: dict[str, Any]


class PutPublic(Order):
    """Write archive.pub from the ring."""


class Tell(Order):
    """Enter something about keys that changed no file."""

    event: dict[str, Any]


class RetireBuckets(Order):
    """Use buckets no more."""

    numbers: tuple[int, ...] = Field(strict=False)


class DropBuckets(Order):
    """Remove buckets that no row needs."""

    numbers: tuple[int, ...] = Field(strict=False)


class NewBucket(Order):
    """Answer with the bucket in use for a place; where there is none this becomes it. wrapped: base64."""

    place: tuple[str, str, str] = Field(strict=False)
    epoch: int
    wrapped: str


class ReplaceKeys(Order):
    """Put wrapped keys in the place of what rows hold: (bucket, base64, recording, part)."""

    rows: tuple[tuple[int, str, str, int], ...] = Field(strict=False, max_length=AT_ONCE)


class RotateLedger(Order):
    """Have a new key sign. fips: an ECDSA key."""

    fips: bool = False


class AskKeys(Order):
    """Say that a user is about to unlock or lock the archive, before it is tried."""

    do: Literal["unlock", "lock"]


def _ask_keys(registrar: Registrar, order: AskKeys, caller: Caller) -> Steps:
    """Write down who is about to; where a second person must want an unlocking, ask for one."""
    yield Progress(0, 1)
    if order.do == "unlock" and asking.persons_needed(registrar, asking.UNLOCK) > 1:
        asking.refuse_token(caller, asking.UNLOCK)
        known = [
            one
            for one in registrar.life.requests(operation=asking.UNLOCK)
            if one.state == APPROVED and asking.is_his_own(one, caller) and not asking.is_over(registrar, one)
        ]
        if not known:
            return asking.ask(registrar, asking.UNLOCK, "", {"asked_by": caller.user or caller.name}, caller)
        registrar.audit.note(events.KEYS_ASKED, caller, do=order.do, approvers=[caller.name, known[0].decided_by])
        return {"request": known[0].id}
    registrar.audit.note(events.KEYS_ASKED, caller, do=order.do)
    return {}


class UsedApproval(Order):
    """The archive was unlocked with what a second person approved: it is good for once."""

    request: str


def _used(registrar: Registrar, order: UsedApproval, _: Caller) -> Steps:
    yield Progress(0, 1)
    asking.mark_done(registrar, registrar.life.request(order.request))
    return {}


def _begin(registrar: Registrar, _: Begin, __: Caller) -> Steps:
    yield Progress(0, 1)
    changes.settle(registrar.data_dir, registrar.ledger)
    return {"pair": registrar.public.kid}


def _put_ring(registrar: Registrar, order: PutRing, _: Caller) -> Steps:
    path = ring_path(registrar.data_dir)
    ring, now = parse_ring(order.ring.encode(), path), read_ring(registrar.data_dir)
    event = _checked(order.event)
    yield Progress(0, 1)
    if now.mac != order.former:
        raise KeysMismatch("the keys were changed by somebody else meanwhile", path, _AGAIN)
    _refuse_loss(registrar, now, ring)
    changes.put_ring(registrar.data_dir, ring, event)
    changes.settle(registrar.data_dir, registrar.ledger)
    return {}


def _refuse_loss(registrar: Registrar, now: Ring, ring: Ring) -> None:
    """Refuse a ring without a key that something kept needs. Nothing else writes meanwhile: so it stays true."""
    kids, epochs = {pair.kid for pair in ring.archive}, {epoch.number for epoch in ring.epochs}
    if {epoch.number for epoch in now.epochs} - epochs:
        left = [bucket.id for bucket in registrar.keys.buckets() if bucket.epoch not in epochs]
        if left:
            raise StoreError(f"data keys are left under old keys ({len(left)} buckets)", registrar.keys.path, _AGAIN)
    if {pair.kid for pair in now.archive} - kids:
        needed = registrar.keys.capsule_kids() & {pair.kid for pair in now.archive}
        if not needed <= kids or registrar.public.kid not in kids:
            raise StoreError("data keys are left in capsules for an old key", registrar.keys.path, _AGAIN)


def _put_public(registrar: Registrar, _: PutPublic, __: Caller) -> Steps:
    yield Progress(0, 1)
    changes.write_public(registrar.data_dir, read_ring(registrar.data_dir))
    return {}


def _tell(registrar: Registrar, order: Tell, _: Caller) -> Steps:
    event = _checked(order.event)
    yield Progress(0, 1)
    changes.tell(registrar.ledger, event)
    return {}


def _retire(registrar: Registrar, order: RetireBuckets, _: Caller) -> Steps:
    yield Progress(0, 1)
    registrar.keys.retire_buckets(order.numbers)
    return {}


def _drop(registrar: Registrar, order: DropBuckets, _: Caller) -> Steps:
    yield Progress(0, 1)
    registrar.keys.drop_buckets(order.numbers)
    return {}


def _new_bucket(registrar: Registrar, order: NewBucket, _: Caller) -> Steps:
    yield Progress(0, 1)
    if order.epoch != read_ring(registrar.data_dir).epoch.number:
        raise KeysMismatch("the epoch is another one by now", ring_path(registrar.data_dir), _AGAIN)
    wrapped = decoded(order.wrapped)
    found = registrar.keys.bucket_for(order.place, lambda: (order.epoch, wrapped), rfc3339(now_us()))
    return {"id": found.id, "epoch": found.epoch, "created": found.created, "wrapped": encoded(found.wrapped)}


def _replace(registrar: Registrar, order: ReplaceKeys, _: Caller) -> Steps:
    rows = [(bucket, decoded(key), recording, part) for bucket, key, recording, part in order.rows]
    yield Progress(0, len(rows))
    registrar.keys.replace(rows)
    return {}


def _rotate_ledger(registrar: Registrar, order: RotateLedger, _: Caller) -> Steps:
    from vittne.appliance.seal.rotation import rotate_key  # noqa: PLC0415 - seldom

    yield Progress(0, 1)
    with registrar.ledger.handed_over():
        key = rotate_key(registrar.data_dir, order.fips)
    return {"key": key.text()}


def _checked(event: dict[str, Any]) -> dict[str, Any]:
    """Return an entry about keys that the ledger takes. Raises StoreError."""
    kind = event.get("t")
    allowed = events.MEMBERS.get(kind, frozenset()) if isinstance(kind, str) and kind.startswith("key.") else None
    if allowed is None or not event.keys() - {"t"} <= allowed:
        raise StoreError("the recorder knows no such entry", str(kind)[:60], "is it of another version?")
    return event


BEGIN: Final = Operation("keys.begin", "changing keys", Begin, _begin)
PUT_RING: Final = Operation("keys.ring", "changing keys", PutRing, _put_ring)
PUT_PUBLIC: Final = Operation("keys.public", "changing keys", PutPublic, _put_public)
TELL: Final = Operation("keys.tell", "entering a change of keys", Tell, _tell)
RETIRE_BUCKETS: Final = Operation("keys.retire", "changing keys", RetireBuckets, _retire)
DROP_BUCKETS: Final = Operation("keys.drop", "changing keys", DropBuckets, _drop)
NEW_BUCKET: Final = Operation("keys.bucket", "changing keys", NewBucket, _new_bucket)
REPLACE_KEYS: Final = Operation("keys.replace", "wrapping keys anew", ReplaceKeys, _replace)
ASK_KEYS: Final = Operation("keys.ask", "asking for the archive's keys", AskKeys, _ask_keys)
USED_APPROVAL: Final = Operation("keys.used", "unlocking the archive", UsedApproval, _used)
ROTATE_LEDGER: Final = Operation("keys.ledger", "rotating the ledger's key", RotateLedger, _rotate_ledger)

KEY_OPERATIONS: Final[tuple[Operation[Any], ...]] = (
    BEGIN,
    PUT_RING,
    PUT_PUBLIC,
    TELL,
    RETIRE_BUCKETS,
    DROP_BUCKETS,
    NEW_BUCKET,
    REPLACE_KEYS,
    ROTATE_LEDGER,
    ASK_KEYS,
    USED_APPROVAL,
)
