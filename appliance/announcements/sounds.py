"""Whether the sounds of announcements are there and are what their hashes say. Light: `announcement list` needs it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vittne.appliance.store.files import open_plain

FOLDER: Final = "announcements"
_CHUNK: Final = 1 << 20
_Stamp = tuple[int, int, int, int]  # of a file: where it is, its length, when it and its entry changed


def sound_path(data_dir: Path, reference: str) -> Path:
    """Return where a sound is."""
    return data_dir / FOLDER / f"{reference}.s16"


def sound_problem(data_dir: Path, reference: str) -> str:
    """Say what is wrong with a sound; "" when it is what its hash says."""
    digest = hashlib.sha256()
    try:
        with open_plain(sound_path(data_dir, reference)) as stream:
            while piece := stream.read(_CHUNK):
                digest.update(piece)
    except OSError as error:
        return f"its sound cannot be read ({error.strerror})"
    return "" if digest.hexdigest() == reference else "its sound is not what its hash says"


class Sounds:
    """The same, asked again and again: a file that nobody touched is not read anew."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._good: dict[str, _Stamp] = {}

    def problems(self, references: Iterable[str]) -> dict[str, str]:
        """Return what is wrong, by hash; those that are as they should be are left out."""
        found = {}
        for reference in references:
            stamp = self._stamp(reference)
            if stamp is not None and self._good.get(reference) == stamp:
                continue
            if problem := sound_problem(self._data_dir, reference):
                found[reference] = problem
                self._good.pop(reference, None)
            elif stamp is not None:
                self._good[reference] = stamp
        return found

    def _stamp(self, reference: str) -> _Stamp | None:
        try:
            seen = sound_path(self._data_dir, reference).lstat()
        except OSError:
            return None
        return seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
