"""Copies of files and recordings: hashed on the way, whole or not at all, durable before they have their name."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from vittne.appliance.backup.place import make_folders, remove
from vittne.appliance.seal.manifest import (
    MANIFEST_FILE,
    SIGNATURE_FILE,
    BadManifest,
    digest,
    former_files,
    read_manifest,
)
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain, sync_path

Spent = Callable[[int], None]  # is told of bytes that were copied

_CHUNK: Final = 1 << 20
_BUSY_S: Final = 30.0


class Damaged(StoreError):
    """What was to be copied is not what was sealed."""


class MovedOn(Exception):
    """A recording is not in the state that was looked for: it was cut, erased or finished meanwhile."""


def copy_file(source: Path, target: Path, spent: Spent) -> str:
    """Copy a file to where none is, 0600, synced; return its SHA-256 in hex. OSError."""
    sha256 = hashlib.sha256()
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open_plain(source) as stream, open(fd, "wb") as out:
        while chunk := stream.read(_CHUNK):
            sha256.update(chunk)
            out.write(chunk)
            spent(len(chunk))
        out.flush()
        os.fsync(out.fileno())
        # A backup reads everything and nothing twice: the kernel has better use for the memory.
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return sha256.hexdigest()


def copy_recording(source: Path, target: Path, wanted: str, key: VerifyKey, spent: Spent) -> int:
    """Copy a recording's folder to a name that is free; return its bytes.

    wanted: SHA-256 of the manifest that counts. Raises MovedOn when another is there, Damaged when a file is
    not as its manifest says, StoreError. What is copied is hidden until it is whole.
    """
    try:
        manifest, sha256 = read_manifest(source, key)
    except (BadManifest, StoreError) as error:
        if not source.is_dir():
            raise MovedOn from error
        raise Damaged(f"the manifest {error}", source, "restore it from a backup") from error
    if sha256 != wanted:
        raise MovedOn
    half = target.with_name(f"{target.name if target.name[0] == '.' else '.' + target.name}.new")
    remove(half)
    make_folders(half)
    sealed = {part.file: part.sha256 for part in manifest.parts}
    proofs = [MANIFEST_FILE, SIGNATURE_FILE, *(name for v in range(1, manifest.version) for name in former_files(v))]
    size = 0

    def count(done: int) -> None:
        nonlocal size
        size += done
        spent(done)

    try:
        for name in (*sealed, *proofs):
            found = copy_file(source / name, half / name, count)
            if sealed.get(name, wanted if name == MANIFEST_FILE else found) != found:
                _refuse(source, wanted, name)
        sync_path(half)
        os.rename(half, target)
    except FileNotFoundError as error:
        _refuse(source, wanted, Path(error.filename or "").name)
    except OSError as error:
        raise explain(error, "copy a recording", target) from error
    finally:
        remove(half)
    sync_path(target.parent)
    return size


def copy_proofs(source: Path, target: Path) -> None:
    """Copy what an erased recording leaves: its manifests and their signatures. Raises StoreError."""
    half = target.with_name(f"{target.name if target.name[0] == '.' else '.' + target.name}.new")
    remove(half)
    make_folders(half)
    try:
        for path in sorted(source.glob("manifest*")):
            if path.suffix in (".json", ".sig"):
                copy_file(path, half / path.name, lambda _: None)
        sync_path(half)
        os.rename(half, target)
    except OSError as error:
        raise explain(error, "copy a manifest", target) from error
    sync_path(target.parent)


def manifest_digest(folder: Path) -> str:
    """Return SHA-256 of a folder's manifest; "" when there is none. Raises StoreError."""
    try:
        with open_plain(folder / MANIFEST_FILE) as stream:
            return digest(stream.read())
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise explain(error, "read a manifest", folder) from error


def copy_database(source: Path, target: Path) -> None:
    """Copy an SQLite database while its writer goes on; the copy is one file, synced. Raises StoreError."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        with (
            closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S)) as before,
            closing(sqlite3.connect(target)) as after,
        ):
            # In one go: between two steps a writer would make it begin anew.
            before.backup(after)
            after.execute("PRAGMA journal_mode = DELETE").fetchall()
        sync_path(target)
    except sqlite3.Error as error:
        raise StoreError(f"a database cannot be copied ({error})", source, "look at the disks") from error
    except OSError as error:
        raise explain(error, "copy a database", target) from error


def grow(source: Path, target: Path, spent: Spent) -> None:
    """Bring a folder up in which files are only added, or are written anew with another size. Raises StoreError."""
    if not source.is_dir():
        return
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        there = target / Path(folder).relative_to(source)
        make_folders(there)
        for name in sorted(files):
            if not name.startswith("."):
                _bring(Path(folder) / name, there / name, spent)


def _bring(source: Path, target: Path, spent: Spent) -> None:
    try:
        size = source.stat().st_size
        if target.exists() and target.stat().st_size == size:
            return
        half = target.with_name(f".{target.name}.new")
        copy_file(source, half, spent)
        os.rename(half, target)
    except FileNotFoundError:
        return  # it was removed meanwhile
    except OSError as error:
        raise explain(error, "copy a file", target) from error
    sync_path(target.parent)


def _refuse(source: Path, wanted: str, name: str) -> None:
    """Say why a file is not what the manifest says: the recording moved on, or it is damaged."""
    if manifest_digest(source) != wanted:
        raise MovedOn
    raise Damaged(f"{name} is not what was sealed", source, "restore it from a backup")
