"""Where vCons come from: files, folders and zips; each is read when its turn comes, in bounds."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain
from vittne.appliance.vcon.reading import BadVcon

MOST_BYTES: Final = 512 << 20  # of one vCon
_MOST_FILES: Final = 1_000_000
_ENDS: Final = (".vcon", ".json", ".jose", ".jws", ".jwe", ".gz")

Read = Callable[[], bytes]


def sources(paths: tuple[Path, ...]) -> Iterator[tuple[str, Read]]:
    """Yield (name, what reads it) of every vCon in files, folders and zips, in order. Raises StoreError."""
    count = 0
    for path in paths:
        for name, read in _in(path):
            count += 1
            if count > _MOST_FILES:
                raise StoreError(f"more than {_MOST_FILES} files", path, "import a part of them at a time")
            yield name, read


def _in(path: Path) -> Iterator[tuple[str, Read]]:
    if path.is_dir():
        for where, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                if name.endswith(_ENDS) and not name.startswith("."):
                    found = Path(where) / name
                    yield str(found), partial(_read, found)
    elif path.suffix == ".zip":
        yield from _zipped(path)
    else:
        yield str(path), partial(_read, path)


def _zipped(path: Path) -> Iterator[tuple[str, Read]]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise StoreError("this zip cannot be read", path, "look whether it came whole") from error
    with archive:
        for info in archive.infolist():
            if not info.is_dir() and info.filename.endswith(_ENDS):
                yield f"{path}/{info.filename}", partial(_unzipped, archive, info)


def _unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(info) as stream:
            return stream.read(MOST_BYTES + 1)  # what the zip says of its length is not believed
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError, OSError) as error:
        raise BadVcon(f"it cannot be had out of the zip ({error})") from error


def _read(path: Path) -> bytes:
    try:
        with open_plain(path) as stream:
            return stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise explain(error, "read a vCon", path) from error
