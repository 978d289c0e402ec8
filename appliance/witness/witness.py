"""A witness for other ledgers (C2SP tlog-witness): signs a checkpoint when it goes on from the last one it signed.

    DIR/keys/witness.key, witness.vkey     its own key
    DIR/witness/<SHA-256 of the origin>    the last checkpoint of a ledger, with both signatures

Only ledgers that are configured are known. Nothing of a ledger's entries is seen here: numbers, hashes, signatures.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from vittne.appliance.seal.cosignature import WitnessKey, cosign, parse_witness_key
from vittne.appliance.seal.merkle import EMPTY_ROOT, HASH_BYTES
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.proofs import is_consistent
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path, write_atomically

KEY_FILE: Final = "witness.key"
VKEY_FILE: Final = "witness.vkey"
BODY_LIMIT: Final = NOTE_LIMIT + 8192
TEXT: Final = "text/plain"
SIZE: Final = "text/x.tlog.size"
_STEPS: Final = 63


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer over HTTP."""

    status: int
    body: bytes = b""
    content_type: str = TEXT


class Witness:
    """One witness. Its answers are given when what it signed is on the disk."""

    def __init__(self, data_dir: Path, ledgers: Sequence[VerifyKey]) -> None:
        """Open it; its key is made at the first time. Raises StoreError."""
        self._turn = threading.Lock()  # what was signed last is compared and replaced as one
        self._ledgers: dict[str, VerifyKey] = {}
        for key in ledgers:  # several of one ledger while one of its keys follows another
            first = self._ledgers.get(key.name)
            self._ledgers[key.name] = key if first is None else replace(first, former=(*first.former, key))
        self._folder = data_dir / "witness"
        self._private, self.key = _own_key(data_dir / "keys")
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise explain(error, "make a folder", self._folder) from error
        sync_path(data_dir)

    def add_checkpoint(self, body: bytes, at_s: int) -> Reply:
        """Answer a request to cosign. at_s: seconds since 1970. Raises StoreError."""
        head, found, note = body.partition(b"\n\n")
        lines = head.decode("ascii", "replace").split("\n")
        old, steps = _number(lines[0].removeprefix("old ")), _hashes(lines[1:])
        if not found or not lines[0].startswith("old ") or old is None or steps is None or len(body) > BODY_LIMIT:
            return Reply(400)
        origin = note.split(b"\n", 1)[0].decode("utf-8", "replace")
        key = self._ledgers.get(origin)
        if key is None:
            return Reply(404)
        try:
            checkpoint = open_checkpoint(note, key)
        except BadNote:
            return Reply(403)
        if old > checkpoint.size:
            return Reply(400)
        with self._turn:
            return self._go_on(checkpoint, note, old, steps, at_s)

    def latest(self, origin_hash: str) -> bytes | None:
        """Return the last checkpoint of a ledger as it was cosigned; None when there is none. Raises StoreError."""
        if origin_hash not in {hashlib.sha256(name.encode()).hexdigest() for name in self._ledgers}:
            return None
        path = self._folder / origin_hash
        try:
            with path.open("rb") as stream:
                return stream.read(NOTE_LIMIT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise explain(error, "read a checkpoint", path) from error

    def _go_on(self, new: Checkpoint, note: bytes, old: int, steps: Sequence[bytes], at_s: int) -> Reply:
        place = hashlib.sha256(new.origin.encode()).hexdigest()
        seen = self._seen(place, new.origin)
        if old != seen.size:
            return Reply(409, f"{seen.size}\n".encode(), SIZE)
        empty = new.size == 0 and new.root != EMPTY_ROOT
        if empty or not is_consistent(seen.size, seen.root, new.size, new.root, steps):
            return Reply(422)
        text = note.decode().rpartition("\n\n")[0] + "\n"
        line = cosign(self._private, self.key.name, text, at_s).encode()
        own = [one for one in note.split(b"\n\n")[1].split(b"\n") if one.startswith(f"— {new.origin} ".encode())]
        # On the disk before it is given out: else a crash could make it sign another history.
        write_atomically(self._folder / place, f"{text}\n".encode() + b"\n".join([*own, line]))
        return Reply(200, line)

    def _seen(self, place: str, origin: str) -> Checkpoint:
        """Return the last checkpoint that was signed, the empty one before the first."""
        note = self.latest(place)
        if note is None:
            return Checkpoint(origin, 0, EMPTY_ROOT)
        try:
            return open_checkpoint(note, self._ledgers[origin])
        except BadNote as error:
            path = self._folder / place
            raise StoreError(
                "what a witness has signed last cannot be read", path, "restore it from a backup"
            ) from error


def _own_key(keys_dir: Path) -> tuple[Ed25519PrivateKey, WitnessKey]:
    path = keys_dir / KEY_FILE
    if not path.exists():
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        key = WitnessKey(f"vittne-witness/{secrets.token_hex(8)}", public)
        write_atomically(keys_dir / VKEY_FILE, key.text().encode() + b"\n")
        write_atomically(path, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return private, key
    try:
        loaded = load_pem_private_key(path.read_bytes(), None)
        known = parse_witness_key((keys_dir / VKEY_FILE).read_text())
    except OSError as error:
        raise explain(error, "read a key", path) from error
    except (ValueError, TypeError) as error:
        raise StoreError("the witness's key cannot be read", path, "restore it from a backup") from error
    if known is None or not isinstance(loaded, Ed25519PrivateKey):
        raise StoreError("the witness's key cannot be read", path, "restore it from a backup")
    if loaded.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) != known.public:
        raise StoreError("the witness's keys do not belong together", path, "restore keys/ from a backup")
    return loaded, known


def _number(text: str) -> int | None:
    """Return a decimal number without leading zeros; None when the text is none."""
    return int(text) if text.isdigit() and len(text) < 19 and str(int(text)) == text else None


def _hashes(lines: Sequence[str]) -> list[bytes] | None:
    try:
        steps = [base64.b64decode(line, validate=True) for line in lines]
    except ValueError:
        return None
    return steps if len(steps) <= _STEPS and all(len(step) == HASH_BYTES for step in steps) else None
