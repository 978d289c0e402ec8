"""The archive key: a P-256 pair; the public half seals data keys, the private half opens them.

    DIR/keys/archive.key     private, PKCS #8 PEM, 0600; with a passphrase PBES2 (scrypt, AES-256-CBC)
    DIR/keys/archive.pub     public, PEM
    DIR/keys/archive.backup  which key's backup was proven by opening it, and when

Who loses the private key loses every recording; who has it can hear every one. So it is never
overwritten, refused when others can read it, and complained about until it has a passphrase
and a proven backup (DESIGN 11.9). `openssl pkey -in archive.key` reads it with and without.
The key that signs is in signing.py; capsules, and where they are kept, in capsule.py.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from vittne.appliance.seal import pbes2
from vittne.appliance.seal.capsule import CapsuleRefused, KeyStore, make_capsule_for, open_capsule_with
from vittne.appliance.store.errors import StoreError, explain

__all__ = [
    "ArchiveKey",
    "ArchivePublic",
    "CapsuleRefused",
    "KeyStore",
    "KeysExist",
    "KeysExposed",
    "KeysLocked",
    "KeysMismatch",
    "KeysMissing",
    "archive_key_warning",
    "make_capsule",
    "note_proof",
    "open_capsule",
    "passphrase_from",
    "prove_backup",
]

FOLDER: Final = "keys"
PRIVATE_FILE: Final = "archive.key"
PUBLIC_FILE: Final = "archive.pub"
PROOF_FILE: Final = "archive.backup"
FILE_VARIABLE: Final = "VITTNE_ARCHIVE_PASSPHRASE_FILE"
CREDENTIAL: Final = "archive-passphrase"  # in the directory systemd names in CREDENTIALS_DIRECTORY
_FILE_LIMIT: Final = 65_536


class KeysMissing(StoreError):
    """There is no such key, or no such file."""


class KeysExposed(StoreError):
    """Others than the owner can read a secret."""


class KeysExist(StoreError):
    """There is a key already; it is not overwritten."""


class KeysLocked(StoreError):
    """The key has a passphrase, and it was not given or is not this one."""


class KeysMismatch(StoreError):
    """Two files that should belong together do not, or a file is no key."""


@dataclass(frozen=True, slots=True)
class ArchivePublic:
    """The half that makes capsules. kid is its JWK thumbprint (RFC 7638, SHA-256)."""

    key: ec.EllipticCurvePublicKey
    jwk: ECKey
    kid: str

    @classmethod
    def of(cls, key: ec.EllipticCurvePublicKey) -> Self:
        """Wrap a P-256 public key."""
        jwk = ECKey.import_key(key)
        return cls(key, jwk, jwk.thumbprint())

    @classmethod
    def from_pem(cls, pem: bytes) -> Self:
        """Read a key as archive.pub holds it: how a process gets it that may not look into keys/."""
        try:
            key = serialization.load_pem_public_key(pem)
        except ValueError as error:
            raise KeysMismatch("no public key", PUBLIC_FILE, "restore it from a backup") from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise KeysMismatch("the archive key is not P-256", PUBLIC_FILE, "restore it from a backup")
        return cls.of(key)

    def pem(self) -> bytes:
        """Return the key as archive.pub holds it."""
        return self.key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class ArchiveKey:
    """The half that opens capsules. directory is always the data directory, DIR."""

    private: ec.EllipticCurvePrivateKey
    jwk: ECKey
    public: ArchivePublic

    @classmethod
    def of(cls, private: ec.EllipticCurvePrivateKey) -> Self:
        """Wrap a P-256 private key."""
        return cls(private, ECKey.import_key(private), ArchivePublic.of(private.public_key()))

    @classmethod
    def create(cls, directory: Path, passphrase: bytes | None = None) -> Self:
        """Make a pair, durable on return. Raises KeysExist; finishes what a crash left half made."""
        folder = directory / FOLDER
        _make_folder(folder)
        if (folder / PRIVATE_FILE).exists():
            if (folder / PUBLIC_FILE).exists():
                raise KeysExist("there is an archive key already", folder / PRIVATE_FILE, "keep it")
            key = cls.load_private(directory, passphrase)
        else:
            key = cls.of(ec.generate_private_key(ec.SECP256R1()))
            _write_new(folder / PRIVATE_FILE, pbes2.private_pem(key.private, passphrase), 0o600)
        _write_new(folder / PUBLIC_FILE, key.public.pem(), 0o644)
        return key

    @staticmethod
    def load_public(directory: Path) -> ArchivePublic:
        """Read archive.pub. Raises KeysMissing, KeysMismatch."""
        return ArchivePublic.from_pem(_read(directory / FOLDER / PUBLIC_FILE))

    @classmethod
    def load_private(cls, directory: Path, passphrase: bytes | None = None) -> Self:
        """Read archive.key, hold it against archive.pub. Raises KeysMissing, -Exposed, -Locked, -Mismatch."""
        folder = directory / FOLDER
        path = folder / PRIVATE_FILE
        pem = _read(path)
        _refuse_exposed(folder, 0o077)
        _refuse_exposed(path, 0o077)
        key = cls.of(_private_from(pem, passphrase, path))
        public = folder / PUBLIC_FILE
        # A public half that is somebody else's would have new recordings sealed for him.
        if public.exists() and cls.load_public(directory).kid != key.public.kid:
            raise KeysMismatch("archive.pub is not the archive key's", public, "find out who changed it")
        return key

    def set_passphrase(self, directory: Path, passphrase: bytes | None) -> None:
        """Write the same key anew, under another passphrase or under none; durable on return."""
        path = directory / FOLDER / PRIVATE_FILE
        pem = pbes2.private_pem(self.private, passphrase)
        if ArchiveKey.of(_private_from(pem, passphrase, path)).public.kid != self.public.kid:
            raise KeysMismatch("the new file does not hold the key", path, "nothing was changed; report this")
        hidden = _write_hidden(path, pem, 0o600)
        os.replace(hidden, path)
        _sync_folder(path.parent)


def make_capsule(public: ArchivePublic, key: bytes, recording_id: str, part_no: int) -> str:
    """Return a data key as a compact JWE that only the archive's private key opens."""
    return make_capsule_for(public.jwk, public.kid, key, recording_id, part_no)


def open_capsule(private: ArchiveKey, capsule: str, recording_id: str, part_no: int) -> bytes:
    """Return the data key of this recording and part. Another part's capsule is a CapsuleRefused too."""
    return open_capsule_with(private.jwk, private.public.kid, capsule, recording_id, part_no)


def passphrase_from(environ: Mapping[str, str]) -> bytes | None:
    """Return the passphrase from the file that the environment names; None when it names none.

    VITTNE_ARCHIVE_PASSPHRASE_FILE first, then systemd's credential "archive-passphrase". One
    newline at the end is not part of it. Raises KeysMissing, KeysExposed.
    """
    named = environ.get(FILE_VARIABLE)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not named and not (folder and (Path(folder) / CREDENTIAL).exists()):
        return None
    path = Path(named) if named else Path(folder or "") / CREDENTIAL
    passphrase = _read(path).removesuffix(b"\n")
    _refuse_exposed(path, 0o007)  # containers hand over secrets group-readable
    if not passphrase:
        raise KeysMissing("the passphrase is empty", path, "write it into the file, or unset the variable")
    return passphrase


def prove_backup(directory: Path, backup: Path, passphrase: bytes | None, at: str) -> None:
    """Open a capsule with a backup of archive.key, and note in keys/ that it could be done, and when.

    backup: the copy, read from where it is kept. at: RFC 3339, for people. Raises KeysMissing,
    KeysLocked, KeysMismatch: then nothing is noted.
    """
    public = ArchiveKey.load_public(directory)
    copy = ArchiveKey.of(_private_from(_read(backup), passphrase, backup))
    secret, where = secrets.token_bytes(32), "00000000-0000-0000-0000-000000000000"
    try:
        is_proven = open_capsule(copy, make_capsule(public, secret, where, 0), where, 0) == secret
    except CapsuleRefused:
        is_proven = False
    if not is_proven:
        raise KeysMismatch("this is not a backup of the archive key in use", backup, "make one of archive.key")
    note_proof(directory, at)


def note_proof(directory: Path, at: str) -> None:
    """Note in keys/ that a backup of the archive key in use was opened, and when (RFC 3339)."""
    path = directory / FOLDER / PROOF_FILE
    told = {"kid": ArchiveKey.load_public(directory).kid, "at": at}
    os.replace(_write_hidden(path, json.dumps(told).encode(), 0o600), path)
    _sync_folder(path.parent)


def archive_key_warning(directory: Path) -> str | None:
    """Say what the archive key still lacks, for every start of the program; None when nothing. Raises KeysMissing."""
    folder = directory / FOLDER
    lacks = []
    if b"ENCRYPTED" not in _read(folder / PRIVATE_FILE):
        lacks.append("has no passphrase")
    try:
        proof = json.loads(_read(folder / PROOF_FILE))
        is_proven = proof["kid"] == ArchiveKey.load_public(directory).kid
    except (KeysMissing, ValueError, KeyError, TypeError):
        is_proven = False
    if not is_proven:
        lacks.append("has no backup that was proven by opening it")
    if not lacks:
        return None
    return f"the archive key {folder / PRIVATE_FILE} {' and '.join(lacks)}: without it no recording can be heard"


def _private_from(pem: bytes, passphrase: bytes | None, path: Path) -> ec.EllipticCurvePrivateKey:
    if b"ENCRYPTED" not in pem:
        passphrase = None
    elif passphrase is None:
        raise KeysLocked("the archive key has a passphrase", path, f"name its file in {FILE_VARIABLE}")
    try:
        key = serialization.load_pem_private_key(pem, passphrase)
    except (ValueError, TypeError) as error:
        if passphrase is not None:
            raise KeysLocked("the passphrase does not open the archive key", path, "check it") from error
        raise KeysMismatch("this is no private key", path, "restore it from a backup") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeysMismatch("the archive key is not P-256", path, "restore it from a backup")
    return key


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700)
        _sync_folder(folder.parent)
    except FileExistsError:
        _refuse_exposed(folder, 0o077)
    except OSError as error:
        raise explain(error, "make the folder of keys", folder) from error


def _refuse_exposed(path: Path, bits: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & bits:
        raise KeysExposed(f"mode {mode:04o} lets others in", path, f"chmod {mode & ~bits:04o} it; who read it?")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_LIMIT)
    except FileNotFoundError as error:
        raise KeysMissing("there is no key here", path, "create it, or restore it from a backup") from error
    except OSError as error:
        raise explain(error, "read a key", path) from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Give a complete, synced file its name, unless the name is taken."""
    hidden = _write_hidden(path, data, mode)
    try:
        os.link(hidden, path)
    except FileExistsError as error:
        raise KeysExist("there is a key already", path, "keep it") from error
    finally:
        hidden.unlink()
    _sync_folder(path.parent)


def _write_hidden(path: Path, data: bytes, mode: int) -> Path:
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise explain(error, "write a key", path) from error
    return hidden


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
