"""A second path: another disk, or a share. Written beside its name, synced, then renamed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from vittne.appliance.life import immutable
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.target import CHUNK, CopyFailed, Listed, Lock, LockMissing, NotThere, Spent, TargetAway
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain, sync_path

_NEW: Final = ".new"
_OF_ONE_FILE: Final = (errno.EISDIR, errno.ENOTDIR, errno.EINVAL, errno.EPERM)


class PathTarget:
    """Files below a folder."""

    def __init__(self, settings: StorageTarget, data_dir: Path) -> None:
        assert settings.path is not None
        self.settings = settings
        self._top = settings.path / settings.prefix if settings.prefix else settings.path
        self._data = data_dir.resolve()

    def promise(self) -> None:
        """See that the folder is there, and takes the immutable flag where that is promised."""
        path = self.settings.path
        assert path is not None
        if not path.is_dir():
            raise TargetAway("the second path is not there", path, "is its disk mounted?")
        if self.settings.mounted and not path.is_mount():
            raise TargetAway("nothing is mounted at the second path", path, "mount it, or set mounted = false")
        if path.resolve().is_relative_to(self._data) or self._data.is_relative_to(path.resolve()):
            raise TargetAway("the second path lies in the data directory, or around it", path, "name another disk")
        if not os.access(path, os.W_OK):
            raise TargetAway("the second path cannot be written", path, "give it to the recorder's user")
        if self.settings.lock == "immutable":
            words = immutable.why_not(path)
            if words is not None:
                raise LockMissing(
                    f"it promises the immutable flag and has none ({words})", path, 'or set lock = "none"'
                )

    def put(self, key: str, path: Path, sha256: str, lock: Lock, spent: Spent) -> None:
        """Write a file; sha256 is looked at by who reads it back."""
        there = self._top / key
        half = there.with_name(f".{there.name}{_NEW}")
        try:
            self._make_folders(there.parent)
            fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with open_plain(path) as stream, open(fd, "wb") as out:
                while chunk := stream.read(CHUNK):
                    out.write(chunk)
                    spent(len(chunk))
                out.flush()
                os.fsync(out.fileno())
                # Else what is read back to be hashed comes out of memory, and says nothing about the disk.
                os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if there.exists() and immutable.is_immutable(there):
                immutable.release(there)
            os.rename(half, there)
            sync_path(there.parent)
        except OSError as error:
            with suppress(OSError):
                half.unlink(missing_ok=True)  # what filled the disk must not stay
            self._raise(error, "write a copy", there)
        self.relock(key, lock)

    def stands(self, key: str, sha256: str, size: int) -> bool:
        """Say no: a file system vouches for nothing."""
        return False

    def read(self, key: str) -> Iterator[bytes]:
        """Yield a file's bytes."""
        there = self._top / key
        try:
            with open_plain(there) as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk
        except FileNotFoundError as error:
            assert self.settings.path is not None
            if not self.settings.path.is_dir():
                raise TargetAway("the second path is not there", there, "is its disk mounted?") from error
            raise NotThere("the copy is not there", there, "`vittne storage check` says more") from error
        except OSError as error:
            self._raise(error, "read a copy", there)

    def files(self, under: str) -> Iterator[Listed]:
        """Yield the files below a folder, in the order of their names."""
        top = self._top / under
        for folder, folders, files in os.walk(top, onerror=self._listing):
            folders.sort()
            for name in sorted(files):
                path = Path(folder) / name
                if not name.startswith("."):
                    yield Listed(str(path.relative_to(self._top)), path.lstat().st_size)

    def relock(self, key: str, lock: Lock) -> None:
        """Set the flag of a file that must not go, or clear it."""
        if self.settings.lock != "immutable":
            return
        wanted = lock.held or lock.until_us is not None
        try:
            (immutable.protect if wanted else immutable.release)(self._top / key)
        except StoreError as error:
            raise CopyFailed(error.what, error.where, error.next_step) from error

    def remove(self, key: str) -> int | None:
        """Remove a file, and folders that are empty then."""
        there = self._top / key
        try:
            with suppress(FileNotFoundError):
                immutable.unlink(there)
            with suppress(OSError):
                for folder in (there.parent, *there.parent.parents[:3]):
                    folder.rmdir()
        except OSError as error:
            self._raise(error, "remove a copy", there)
        except StoreError as error:
            raise CopyFailed(error.what, error.where, error.next_step) from error
        return None

    def close(self) -> None:
        """Nothing is open."""

    def _make_folders(self, folder: Path) -> None:
        missing = [one for one in (folder, *folder.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o700, exist_ok=True)
            sync_path(one.parent)

    def _listing(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self._raise(error, "list copies", self._top)

    def _raise(self, error: OSError, doing: str, where: Path) -> NoReturn:
        told = explain(error, doing, where)
        kind = CopyFailed if error.errno in _OF_ONE_FILE else TargetAway
        raise kind(told.what, told.where, told.next_step) from error
