"""keys/keyring.json: the root in its envelope, and under the root the epoch keys and the archive's key pairs.

One file, so that a change of all of it is one rename. Everything secret in it is wrapped, but while no
passphrase was set. `mac` is HMAC-SHA-256 over the rest, by a key derived from the root: who can write the file and
does not have the root can destroy it and alter nothing in it.
"""

from __future__ import annotations

import hmac
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from vittne.appliance.keyring.envelope import NONE, decoded, encoded
from vittne.appliance.keyring.errors import KeysExist, KeysExposed, KeysMismatch, KeysMissing
from vittne.appliance.keyring.wrapping import derive
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import overwriting, sync_path, write_atomically

FOLDER: Final = "keys"
RING_FILE: Final = "keyring.json"
_LIMIT: Final = 1 << 20
_NEXT: Final = "restore keys/keyring.json from a backup"

Renewal = Literal["", "epoch", "archive"]
Wrapped = Annotated[
    bytes,
    BeforeValidator(lambda value: decoded(value) if isinstance(value, str) else value),
    PlainSerializer(encoded, when_used="json"),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Root(_Part):
    """The root. id is a name, not derived from it. envelope: see envelope.py, pkcs11root.py, tpm2root.py."""

    id: str
    created: str
    envelope: dict[str, Any]


class Pair(_Part):
    """A P-256 pair of the archive. public: PEM. wrapped: PKCS #8 DER under the root (RFC 5649)."""

    kid: str
    created: str
    public: str
    wrapped: Wrapped
    retiring: bool = False


class Epoch(_Part):
    """The key under which the buckets of an epoch are wrapped, itself under the root (RFC 3394)."""

    number: int = Field(ge=1)
    created: str
    wrapped: Wrapped
    retiring: bool = False


class Shares(_Part):
    """That recovery shares were printed, and of which root."""

    root: str
    at: str
    threshold: int
    shares: int


class Ring(_Part):
    """All of the file. renewing: what is being renewed, and to be brought to its end after a crash."""

    v: Literal[1] = 1
    root: Root
    archive: tuple[Pair, ...]
    epochs: tuple[Epoch, ...]
    renewing: Renewal = ""
    shares: Shares | None = None
    mac: str = ""

    @property
    def pair(self) -> Pair:
        """The pair that new capsules are made for."""
        return next(one for one in self.archive if not one.retiring)

    @property
    def epoch(self) -> Epoch:
        """The epoch of new buckets."""
        return next(one for one in self.epochs if not one.retiring)

    @property
    def provider(self) -> str:
        """What keeps the root."""
        return str(self.root.envelope.get("provider"))

    @property
    def is_open(self) -> bool:
        """Whether the root lies there in clear."""
        return self.provider == NONE

    def signed(self, root: bytes) -> Self:
        """Return the ring with its MAC."""
        return self.model_copy(update={"mac": self._mac(root)})

    def is_signed_by(self, root: bytes) -> bool:
        """Say whether the MAC is this root's."""
        return hmac.compare_digest(self.mac.encode(), self._mac(root).encode())

    def text(self) -> bytes:
        """Return the file's content."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, indent=1).encode() + b"\n"

    def _mac(self, root: bytes) -> str:
        told = {name: value for name, value in self.model_dump(mode="json").items() if name != "mac"}
        text = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
        return hmac.digest(derive(root, b"vittne keyring/1 mac"), text, "sha256").hex()


def ring_path(data_dir: Path) -> Path:
    """Return where the file is."""
    return data_dir / FOLDER / RING_FILE


def parse_ring(text: bytes, where: Path | str) -> Ring:
    """Return a ring from a file's content. Raises KeysMismatch."""
    try:
        ring = Ring.model_validate_json(text)
    except ValidationError as error:
        raise KeysMismatch("this is no key ring", where, _NEXT) from error
    for parts in (ring.archive, ring.epochs):
        if sum(not one.retiring for one in parts) != 1:
            raise KeysMismatch("the key ring has not one key in use of each kind", where, _NEXT)
    return ring


def read_ring(data_dir: Path) -> Ring:
    """Read the ring of a data directory. Raises KeysMissing, KeysExposed, KeysMismatch."""
    path = ring_path(data_dir)
    text = read_private(path)
    return parse_ring(text, path)


def create_ring(data_dir: Path, ring: Ring) -> None:
    """Write the first ring, durable on return. Raises KeysExist: an existing one is never overwritten."""
    path = ring_path(data_dir)
    half = path.with_name(f".{path.name}.first")
    with suppress(FileNotFoundError):
        half.unlink()
    write_atomically(half, ring.text())
    try:
        os.link(half, path)
    except FileExistsError as error:
        raise KeysExist("there are keys already", path, "keep them") from error
    except OSError as error:
        raise explain(error, "write a key", path) from error
    finally:
        half.unlink()
    sync_path(path.parent)


def replace_ring(data_dir: Path, ring: Ring) -> None:
    """Put a ring in the place of another, durable on return, and overwrite what the old file held."""
    with overwriting(ring_path(data_dir)):
        write_atomically(ring_path(data_dir), ring.text())


def make_folder(data_dir: Path) -> None:
    """Make DIR/keys, or see that nobody else can look into it. Raises KeysExposed."""
    folder = data_dir / FOLDER
    try:
        folder.mkdir(mode=0o700)
        sync_path(folder.parent)
    except FileExistsError:
        refuse_exposed(folder)
    except OSError as error:
        raise explain(error, "make the folder of keys", folder) from error


def read_private(path: Path) -> bytes:
    """Return the content of a file that, with its folder, is closed to others. Raises KeysMissing, KeysExposed."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LIMIT)
    except FileNotFoundError as error:
        raise KeysMissing("there is no key here", path, "create it, or restore it from a backup") from error
    except OSError as error:
        raise explain(error, "read a key", path) from error
    refuse_exposed(path.parent)
    refuse_exposed(path)
    return data


def refuse_exposed(path: Path) -> None:
    """Raise KeysExposed when others than the owner have any right on a file or folder."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeysExposed(f"mode {mode:04o} lets others in", path, f"chmod {mode & ~0o077:04o} it; who read it?")
