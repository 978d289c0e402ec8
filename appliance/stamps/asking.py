"""Requests for time stamps: RFC 3161 section 2.4.1, built and read again.

The library that verifies tokens builds requests as well, but none with a policy; asn1crypto does.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from asn1crypto import tsp

from vittne.appliance.stamps.token import NOT_DER, digest_of
from vittne.appliance.store.errors import StoreError

_NONCE_BITS: Final = 63  # a positive INTEGER of eight bytes: what authorities' software expects


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: the hash of these bytes, with this nonce, under this policy ("" for any)."""

    der: bytes
    hash: str  # sha256, sha384, sha512
    imprint: bytes
    nonce: int
    policy: str = ""


def ask_about(data: bytes, hash_name: str = "sha256", policy: str = "") -> Question:
    """Return a request for a stamp over data, with a fresh nonce, asking for the authority's certificate."""
    imprint, nonce = hashlib.new(hash_name, data).digest(), secrets.randbits(_NONCE_BITS) | 1 << 32
    value = {
        "version": "v1",
        "message_imprint": {"hash_algorithm": {"algorithm": hash_name}, "hashed_message": imprint},
        "nonce": nonce,
        "cert_req": True,
    }
    if policy:
        value["req_policy"] = policy
    return Question(tsp.TimeStampReq(value).dump(), hash_name, imprint, nonce, policy)


def read_question(der: bytes) -> Question:
    """Return what a request of ours asks. Raises StoreError when it is none."""
    try:
        request = tsp.TimeStampReq.load(der, strict=True)
        hash_name, imprint = digest_of(request["message_imprint"])
        nonce, policy = request["nonce"].native, request["req_policy"].native
        if not isinstance(nonce, int):
            raise ValueError("no nonce")
    except NOT_DER as error:
        raise StoreError("this is no request for a time stamp", "request.tsq", "export it anew") from error
    return Question(der, hash_name, imprint, nonce, policy or "")
