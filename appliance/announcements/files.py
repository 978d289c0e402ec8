"""Announcements on the disk: sounds, named by their hash, and the terms of every version beside them.

    DIR/announcements/<hash>.s16             samples, 8000 Hz mono, little-endian int16
    DIR/announcements/<name>.<version>.json  terms, canonical JSON; the ledger has their SHA-256

Nothing in here is ever altered or removed, so that a verdict can be reached anew years later. Files are 0600.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from vittne.appliance.announcements.sounds import FOLDER, sound_path
from vittne.appliance.announcements.terms import LONGEST_MS, RATE, Terms, read_terms
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain, sync_path, write_atomically
from vittne.codecs.base import I16

_MOST_BYTES: Final = LONGEST_MS * RATE // 1000 * 2
_TERMS_LIMIT: Final = 1 << 20
_TERMS_NAME: Final = re.compile(r"^[a-z0-9_-]+\.\d+\.json$")
_NEXT: Final = "bring it back from a backup, or enrol the announcement again: the same file gives the same sound"


class SoundMissing(StoreError):
    """The samples of an announcement are gone, or are not what they were."""


def as_bytes(samples: I16) -> bytes:
    """Return samples as they are stored and hashed."""
    return samples.astype("<i2").tobytes()


def sound_hash(data: bytes) -> str:
    """Return what a sound is called: SHA-256 of its bytes, in hex."""
    return hashlib.sha256(data).hexdigest()


def write_sound(data_dir: Path, data: bytes) -> str:
    """Keep a sound; return its hash. Raises StoreError."""
    reference = sound_hash(data)
    path = sound_path(data_dir, reference)
    _make_folder(path.parent)
    if not _is_there(path, reference):
        write_atomically(path, data)
    return reference


def read_sound(data_dir: Path, reference: str) -> I16:
    """Return the samples of a reference, held against its hash. Raises SoundMissing."""
    path = sound_path(data_dir, reference)
    try:
        with open_plain(path) as stream:
            data = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SoundMissing(f"the sound of an announcement cannot be read ({error.strerror})", path, _NEXT) from error
    if sound_hash(data) != reference:
        raise SoundMissing("the sound of an announcement is not what it was", path, _NEXT)
    return np.frombuffer(data, "<i2").astype(np.int16)


def write_terms(data_dir: Path, terms: Terms) -> None:
    """Keep a version's terms. Raises StoreError."""
    folder = data_dir / FOLDER
    _make_folder(folder)
    write_atomically(folder / f"{terms.name}.{terms.version}.json", terms.body)


def read_all_terms(data_dir: Path) -> Iterator[tuple[Path, Terms | None]]:
    """Yield every file of terms; None for what is none, or is under another's name. Raises StoreError."""
    folder = data_dir / FOLDER
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        raise explain(error, "list announcements", folder) from error
    for name in names:
        if _TERMS_NAME.fullmatch(name):
            yield folder / name, _terms(folder / name)


def _terms(path: Path) -> Terms | None:
    try:
        with open_plain(path) as stream:
            terms = read_terms(stream.read(_TERMS_LIMIT))
    except (OSError, ValueError):
        return None
    return terms if path.name == f"{terms.name}.{terms.version}.json" else None


def _is_there(path: Path, reference: str) -> bool:
    try:
        with open_plain(path) as stream:
            return sound_hash(stream.read(_MOST_BYTES + 1)) == reference
    except OSError:
        return False


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise explain(error, "make a folder", folder) from error
    sync_path(folder.parent)
