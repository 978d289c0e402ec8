"""A bag (RFC 8493): a folder in which every file is listed with its SHA-256, and the recorder's signature of all.

data/                        the payload
manifest-sha256.txt          SHA-256 of each of its files: what `sha256sum -c` takes
tagmanifest-sha256.txt       SHA-256 of every other file, that list included
tagmanifest-sha256.note      signed note (C2SP) of the recorder's ledger key, over tagmanifest-sha256.txt
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from vittne.appliance.outfile import whole_file
from vittne.appliance.seal.note import sign_note
from vittne.appliance.seal.signing import SigningKey
from vittne.appliance.store.errors import StoreError, explain

BAGIT: Final = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
NOTE_FILE: Final = "tagmanifest-sha256.note"
NOTE_HEAD: Final = "vittne-bundle/1"  # no ledger has such a name, so this is never taken for a checkpoint
_PIECE: Final = 1 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # of files in an archive: times of copies say nothing


class Bag:
    """A bag that is being filled in a folder."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self._hashes: dict[str, str] = {}
        self.payload_bytes = 0

    def put(self, name: str, data: bytes) -> str:
        """Add a file; return its SHA-256 in hex. Raises StoreError."""
        with self.writing(name) as stream:
            stream.write(data)
        return self._hashes[name]

    def copy(self, name: str, source: Path) -> str:
        """Add a copy of a file; return its SHA-256 in hex. Raises StoreError."""
        with self.writing(name) as stream:
            try:
                with source.open("rb") as original:
                    shutil.copyfileobj(original, stream, _PIECE)
            except OSError as error:
                raise explain(error, "copy a file into the bundle", source) from error
        return self._hashes[name]

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """Add a file that is written bit by bit, back and forth. Raises StoreError."""
        path = self.top / name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as stream:
                yield stream
                stream.seek(0)
                self._hashes[name] = hashlib.file_digest(stream, "sha256").hexdigest()
                self.payload_bytes += stream.tell() if name.startswith("data/") else 0
        except OSError as error:
            raise explain(error, "write the bundle", path) from error

    def sha256(self, name: str) -> str:
        """Return the SHA-256 of a file that was added, in hex."""
        return self._hashes[name]

    def close(self, info: Iterable[tuple[str, str]], key: SigningKey | None) -> None:
        """Write the lists, and sign them when there is a key. info: lines of bag-info.txt."""
        payload = sorted(name for name in self._hashes if name.startswith("data/"))
        lines = [*info, ("Payload-Oxum", f"{self.payload_bytes}.{len(payload)}")]
        self.put("bagit.txt", BAGIT)
        self.put("bag-info.txt", "".join(f"{name}: {value}\n" for name, value in lines).encode())
        self.put("manifest-sha256.txt", self._listed(payload))
        others = sorted(name for name in self._hashes if not name.startswith("data/"))
        sha256 = self.put("tagmanifest-sha256.txt", self._listed(others))
        if key is not None:
            self.put(NOTE_FILE, sign_note(f"{NOTE_HEAD}\n{sha256}\n", key))

    def _listed(self, names: Iterable[str]) -> bytes:
        return "".join(f"{self._hashes[name]}  {name}\n" for name in names).encode()


@contextmanager
def new_bag(output: str, force: bool) -> Iterator[Bag]:
    """Yield a bag that becomes a folder, or a .zip or .tar file, on a clean exit; else nothing is left of it.

    Raises StoreError. Folders are 0700, files 0600.
    """
    target = Path(output)
    kind = target.suffix.lower()
    if target.exists() and (kind not in _PACKERS or target.is_dir() or not force):
        raise StoreError("there is something already", target, "choose another name")
    try:
        hidden = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise explain(error, "write a bundle", target.parent) from error
    try:
        yield Bag(hidden)
        if kind in _PACKERS:
            with whole_file(output, force) as (stream, _):
                _PACKERS[kind](hidden, target.stem, stream)
            shutil.rmtree(hidden)
        else:
            os.rename(hidden, target)
    except OSError as error:
        raise explain(error, "write a bundle", target) from error
    finally:
        if hidden.exists():
            with suppress(OSError):
                shutil.rmtree(hidden)


def zip_folder(top: Path, name: str, stream: BinaryIO) -> None:
    """Write a folder as a .zip file to a stream; it need not be one that can go back."""
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for path in _files(top):
            info = zipfile.ZipInfo(f"{name}/{path.relative_to(top).as_posix()}", _EPOCH)
            info.external_attr = 0o100600 << 16
            with path.open("rb") as source, archive.open(info, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, _PIECE)


def _tar(top: Path, name: str, stream: BinaryIO) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _files(top):
            info = tarfile.TarInfo(f"{name}/{path.relative_to(top).as_posix()}")
            info.size, info.mode = path.stat().st_size, 0o600
            with path.open("rb") as source:
                archive.addfile(info, source)


_PACKERS: Final = {".zip": zip_folder, ".tar": _tar}


def _files(top: Path) -> list[Path]:
    return sorted(path for path in top.rglob("*") if path.is_file())
