"""What lies at a target, learnt anew: after a lost catalogue, or with keys and ledger and no recordings.

A copy counts when its manifest carries the ledger's signature and is the one that the ledger names last. Its manifests
are put into the recording's folder, where that is missing; its parts come when somebody opens it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.seal.history import History
from vittne.appliance.seal.manifest import MANIFEST_FILE, SIGNATURE_FILE, Manifest, former_files
from vittne.appliance.seal.verifykey import SIGNATURE_LIMIT
from vittne.appliance.storage.copying import remote_manifest, small
from vittne.appliance.storage.place import Place
from vittne.appliance.storage.table import STORED, Stored
from vittne.appliance.storage.target import CopyFailed
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import is_id, sync_path, write_atomically
from vittne.appliance.store.times import now_us

_PLACE: Final = re.compile(r"(\d{4}/\d\d/\d\d)/([0-9a-f-]{36})/(manifest\.json|[\w.-]+)")
_FORMER_LIMIT: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """A recording at a target. row: None when it does not count, and words say why. made: its folder was missing here.

    is_erased: only its tombstone is there.
    """

    recording: str
    row: Stored | None
    words: str = ""
    made: bool = False
    is_erased: bool = False


def scan(at: Place, history: History) -> Iterator[Found]:
    """Yield what is at a target. Raises TargetAway, StoreError."""
    for place, sizes in _places(at):
        recording = place.rpartition("/")[2]
        if recording in history.erasures:
            yield Found(recording, None, "erased", is_erased=True)
            continue
        try:
            yield _look(at, place, sizes, history)
        except CopyFailed as error:
            yield Found(recording, None, f"{error.what}: {error.where}"[:400])


def _look(at: Place, place: str, sizes: dict[str, int], history: History) -> Found:
    recording = place.rpartition("/")[2]
    manifest, sha256, text, signature = remote_manifest(at, place)
    if manifest.rec != recording:
        raise CopyFailed("the manifest there is another recording's", f"{at.name}: {place}", "")
    if history.last_seal(recording) != sha256:
        raise CopyFailed("it is not of the version that the ledger names last", f"{at.name}: {place}", "")
    wrong = [part.file for part in manifest.parts if sizes.get(part.file) != part.size_bytes]
    if wrong:
        raise CopyFailed("a part is not there, or has another size", f"{at.name}: {place}/{wrong[0]}", "")
    made = _put_manifests(at, place, manifest, {MANIFEST_FILE: text, SIGNATURE_FILE: signature})
    size = sum(part.size_bytes for part in manifest.parts)
    # Not read back: it was when it was copied, and its turn comes with the others.
    return Found(recording, Stored(recording, at.name, STORED, place, sha256, size, now_us(), 0), made=made)


def _put_manifests(at: Place, place: str, manifest: Manifest, files: dict[str, bytes]) -> bool:
    """Make a recording's folder where there is none; return whether it was made."""
    folder = at.data_dir / "recordings" / place
    if folder.exists():
        return False
    for version in range(1, manifest.version):
        for name in former_files(version):
            limit = SIGNATURE_LIMIT if name.endswith(".sig") else _FORMER_LIMIT
            files[name] = small(at, at.key_of(place, name), limit)
    half = folder.with_name(f".{folder.name}.scan")
    try:
        _make_folders(at.data_dir / "recordings", folder.parent)
        half.mkdir(mode=0o700, exist_ok=True)
        for name, data in files.items():
            write_atomically(half / name, data)
        os.rename(half, folder)
    except OSError as error:
        raise explain(error, "make a recording's folder", folder) from error
    sync_path(folder.parent)
    return True


def _make_folders(top: Path, folder: Path) -> None:
    for one in (*reversed([one for one in folder.parents if one.is_relative_to(top)]), folder):
        one.mkdir(mode=0o700, exist_ok=True)


def _places(at: Place) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield each recording's folder with the sizes of its files. Names at a target are anybody's: others are passed."""
    now, sizes = "", dict[str, int]()
    for one in at.target.files(f"{at.box}/"):
        found = _PLACE.fullmatch(one.key.removeprefix(f"{at.box}/"))
        if found is None or not is_id(found[2]):
            continue
        place = f"{found[1]}/{found[2]}"
        if place != now and now:
            yield now, sizes
        if place != now:
            now, sizes = place, {}
        sizes[found[3]] = one.size
    if now:
        yield now, sizes
