"""Cosignatures: a witness's word that a checkpoint goes on from all that it saw of the log before.

Source: C2SP tlog-cosignature, Ed25519 (type 04). A signature line in the note, over the time and the note's text:

    — <name> base64(key id (4) || time (8, big-endian, s since 1970) || signature (64))
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from vittne.appliance.seal.verifykey import is_key_name

_TYPE: Final = b"\x04"
_MARK: Final = "— "
_TIME_BYTES: Final = 8
_SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class WitnessKey:
    """A witness's name and public key of 32 bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key signed."""
        return hashlib.sha256(self.name.encode() + b"\n" + _TYPE + self.public).digest()[:4]

    def text(self) -> str:
        """Return the key as one line."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_TYPE + self.public).decode()}"

    def time_of(self, line: str, checkpoint: str) -> int | None:
        """Return when this witness signed a checkpoint's text, in s since 1970; None when the line does not say so."""
        name, _, encoded = line.removeprefix(_MARK).partition(" ")
        if not line.startswith(_MARK) or name != self.name:
            return None
        try:
            raw = base64.b64decode(encoded, validate=True)
        except ValueError:
            return None
        if len(raw) != 4 + _TIME_BYTES + _SIGNATURE_BYTES or raw[:4] != self.key_id:
            return None
        at_s = int.from_bytes(raw[4 : 4 + _TIME_BYTES], "big")
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(raw[4 + _TIME_BYTES :], _signed(checkpoint, at_s))
        except InvalidSignature:
            return None
        return at_s


def parse_witness_key(text: str) -> WitnessKey | None:
    """Read a witness's key from its one line; None when it is none, or its id does not fit."""
    name, _, rest = text.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    if not is_key_name(name) or len(raw) != 33 or raw[:1] != _TYPE:
        return None
    key = WitnessKey(name, raw[1:])
    return key if key.key_id.hex() == key_id else None


def cosign(private: Ed25519PrivateKey, name: str, checkpoint: str, at_s: int) -> str:
    """Return the signature line of a witness under a checkpoint's text."""
    key = WitnessKey(name, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    raw = key.key_id + at_s.to_bytes(_TIME_BYTES, "big") + private.sign(_signed(checkpoint, at_s))
    return f"{_MARK}{name} {base64.b64encode(raw).decode()}\n"


def _signed(checkpoint: str, at_s: int) -> bytes:
    return f"cosignature/v1\ntime {at_s}\n{checkpoint}".encode()
