"""What parent and key process say to each other: 4 bytes of length, big-endian, then JSON; bytes are base64.

Only the parent reads and writes files. It sends what is to be opened with each request and gets back what is to be
written, so the process needs no right on the data directory.
"""

from __future__ import annotations

import json
from typing import Any, Final

from vittne.appliance.keyring import errors
from vittne.appliance.keyring.envelope import decoded, encoded
from vittne.appliance.seal.capsule import Bucket, Kept
from vittne.appliance.store.errors import StoreError

LENGTH_BYTES: Final = 4
MOST: Final = 16 << 20
_KINDS: Final = {
    kind.__name__: kind
    for kind in (
        errors.KeysMissing,
        errors.KeysLocked,
        errors.KeysMismatch,
        errors.TokenMissing,
        errors.PinRefused,
        errors.PcrsChanged,
        StoreError,
    )
}


def pack(message: dict[str, Any]) -> bytes:
    """Return a message as it goes over the socket."""
    body = json.dumps(message).encode()
    assert len(body) <= MOST
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def length_of(head: bytes) -> int:
    """Return how long a message is. ValueError when nobody sends so much."""
    length = int.from_bytes(head, "big")
    if length > MOST:
        raise ValueError("a message is too long")
    return length


def kept_to_json(kept: Kept) -> dict[str, Any]:
    """Return a row for the other side."""
    return {"key": encoded(kept.key), "bucket": None if kept.bucket is None else bucket_to_json(kept.bucket)}


def kept_from_json(told: dict[str, Any]) -> Kept:
    """Return the row that came over."""
    return Kept(None if told["bucket"] is None else bucket_from_json(told["bucket"]), decoded(told["key"]))


def bucket_to_json(bucket: Bucket) -> dict[str, Any]:
    """Return a bucket for the other side."""
    return {
        "id": bucket.id,
        "place": list(bucket.place),
        "epoch": bucket.epoch,
        "created": bucket.created,
        "retiring": bucket.retiring,
        "wrapped": encoded(bucket.wrapped),
    }


def bucket_from_json(told: dict[str, Any]) -> Bucket:
    """Return the bucket that came over."""
    site, retention, month = told["place"]
    wrapped = decoded(told["wrapped"])
    return Bucket(told["id"], site, retention, month, told["epoch"], told["created"], told["retiring"], wrapped)


def error_to_json(error: StoreError) -> dict[str, Any]:
    """Return an error for the other side."""
    return {"kind": type(error).__name__, "what": error.what, "where": error.where, "next": error.next_step}


def error_from_json(told: dict[str, Any]) -> StoreError:
    """Return the error that came over."""
    return _KINDS.get(told["kind"], StoreError)(told["what"], told["where"], told["next"])
