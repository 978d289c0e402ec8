"""Recordings whose parts left this machine, brought back when somebody opens them.

Made in DIR/fetching, hashed on the way, and only then put into the recording's folder: what is there is as it was
sealed. DIR/fetched/<recording> says since when it is here again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from vittne.appliance.life import immutable
from vittne.appliance.seal.manifest import MANIFEST_FILE, BadManifest, SealedPart, read_manifest
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.storage.known import KNOWN_FILE, known_targets
from vittne.appliance.storage.place import Place, open_target
from vittne.appliance.storage.table import DAMAGED, STALE, STORED, StoredTable
from vittne.appliance.storage.target import CopyFailed, Spent, box_of
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import Store, is_id, recording_of, sync_path

WORK: Final = "fetching"
MARKS: Final = "fetched"


class Elsewhere(StoreError):
    """A recording that is kept at targets only, and could not be brought back."""


def missing_parts(data_dir: Path, folder: Path) -> list[SealedPart]:
    """Return the parts of a finished recording that its signed manifest names and that are not in its folder."""
    try:
        manifest, _ = read_manifest(folder, load_verifier(data_dir / "keys"))
    except (BadManifest, StoreError):
        return []  # whoever reads it says so
    return [part for part in manifest.parts if not (folder / part.file).exists()]


def bring_back(data_dir: Path, folder: Path, spent: Spent = lambda _: None, but: str = "") -> bool:
    """Have the parts of a recording here; return whether they were brought. but: a target that is not asked.

    False as well where nothing says that they are elsewhere: then they are simply gone. Raises Elsewhere, StoreError.
    """
    recording = recording_of(folder)
    if folder.name.startswith(".") or not is_id(recording) or not (data_dir / KNOWN_FILE).exists():
        return False
    missing = missing_parts(data_dir, folder)
    if not missing or not is_away(data_dir, recording):
        return False
    with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        rows = [row for row in StoredTable(catalogue).of(recording) if row.state in (STORED, STALE, DAMAGED)]
    known = {one.name: one for one in known_targets(data_dir)}
    with closing(Store(data_dir, create=False)) as store:
        store.keep_room(sum(part.size_bytes for part in missing), "bring a recording back")
    key = load_verifier(data_dir / "keys")
    words = ["no target that is configured has it"]
    # A disk before a bucket, and what is known to be damaged last: perhaps not these parts are.
    rows.sort(key=lambda row: (row.state == DAMAGED, row.target not in known or known[row.target].path is None))
    for row in rows:
        if row.target not in known or row.target == but:
            continue
        try:
            target = open_target(known[row.target], data_dir)
            try:
                _fetch(Place(target, box_of(key.name), data_dir, key), row.place, folder, missing, spent)
            finally:
                target.close()
        except StoreError as error:
            words.append(f"{row.target}: {error.what}")
            continue
        _mark(data_dir, recording)
        return True
    what = f"the recording is kept elsewhere and cannot be brought back ({'; '.join(words[-3:])})"
    raise Elsewhere(what, recording, "`vittne storage check` says how the targets stand")


@contextmanager
def at_hand(data_dir: Path, folder: Path) -> Iterator[str]:
    """Have the parts of a recording here meanwhile; yield why they cannot be, "" when they are or nobody has them.

    They stay when it was cut meanwhile: nobody else has those of the new version yet.
    """
    brought, words, before = False, "", _version(folder)
    try:
        brought = bring_back(data_dir, folder)
    except StoreError as error:
        words = error.what
    try:
        yield words
    finally:
        if brought and _version(folder) == before:
            with suppress(StoreError):
                remove_parts(folder)
            unmark(data_dir, recording_of(folder))


def _version(folder: Path) -> bytes:
    with suppress(OSError):
        return (folder / MANIFEST_FILE).read_bytes()
    return b""


def remove_parts(folder: Path) -> None:
    """Remove the sealed parts of a recording's folder; its manifests stay. Raises StoreError."""
    try:
        for path in sorted(folder.glob("part-*.floe")):
            with suppress(FileNotFoundError):
                immutable.unlink(path)
    except OSError as error:
        raise explain(error, "remove a part that is kept elsewhere", folder) from error
    if folder.is_dir():
        sync_path(folder)


def is_away(data_dir: Path, recording: str) -> bool:
    """Say whether the parts of a recording left this machine; False where there is no catalogue that knows."""
    if not (data_dir / CATALOGUE_FILE).exists():
        return False
    with suppress(StoreError), Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        return StoredTable(catalogue).is_away(recording)
    return False


def _is_erased(data_dir: Path, recording: str) -> bool:
    with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        return any(row.erased_us is not None for row in catalogue.get_all([recording]))


def come_back(data_dir: Path, before_us: int) -> list[str]:
    """Return recordings that were brought back before then."""
    with suppress(OSError):
        marks = [path for path in (data_dir / MARKS).iterdir() if is_id(path.name)]
        return sorted(path.name for path in marks if path.stat().st_mtime_ns // 1000 < before_us)
    return []


def unmark(data_dir: Path, recording: str) -> None:
    """Forget that a recording was brought back."""
    with suppress(OSError):
        (data_dir / MARKS / recording).unlink()


def clear_work(data_dir: Path) -> None:
    """Remove what fetches that were killed have left."""
    shutil.rmtree(data_dir / WORK, ignore_errors=True)


def _fetch(at: Place, place: str, folder: Path, missing: list[SealedPart], spent: Spent) -> None:
    work = at.data_dir / WORK / f"{folder.name}-{os.getpid()}"
    try:
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in missing:
            _fetch_part(at, place, work, part, spent)
        if _is_erased(at.data_dir, recording_of(folder)):
            raise CopyFailed("the recording is erased", folder.name, "nothing of it is brought back")
        # Of a recording that was cut, or brought back by somebody else, meanwhile: what is there counts.
        wanted = missing_parts(at.data_dir, folder)
        for part in missing:
            if part in wanted:
                os.rename(work / part.file, folder / part.file)
        if any(part not in missing for part in wanted):
            raise CopyFailed("the recording was changed while it was brought back", folder.name, "try again")
        sync_path(folder)
    except OSError as error:
        raise explain(error, "bring a recording back", work) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch_part(at: Place, place: str, work: Path, part: SealedPart, spent: Spent) -> None:
    sha256, size = hashlib.sha256(), 0
    fd = os.open(work / part.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as out:
        for piece in at.target.read(at.key_of(place, part.file)):
            sha256.update(piece)
            size += len(piece)
            if size > part.size_bytes:
                break
            out.write(piece)
            spent(len(piece))
        out.flush()
        os.fsync(out.fileno())
    if (size, sha256.hexdigest()) != (part.size_bytes, part.sha256):
        raise CopyFailed("the copy is not as it was sealed", f"{at.name}: {part.file}", "`vittne storage check --read`")


def _mark(data_dir: Path, recording: str) -> None:
    with suppress(OSError):
        (data_dir / MARKS).mkdir(mode=0o700, exist_ok=True)
        (data_dir / MARKS / recording).touch(mode=0o600)
