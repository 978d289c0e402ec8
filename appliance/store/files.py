"""The data directory: folders of recordings, hidden until finished, and what makes them last.

    DIR/recordings/YYYY/MM/DD/.<uuid>/   while it is written (day of the call's start, UTC)
    DIR/recordings/YYYY/MM/DD/<uuid>/    finished: all in it synced before the rename, the parent after it

Folders are 0700, files 0600. One syncfs(2) makes everything that a commit wrote durable, however many files
it touched. It also waits for what other programs wrote to the same file system, so a data directory should
have one of its own.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import rfc3339

FOLDERS: Final = ("recordings", "ledger", "keys")
ARRIVING: Final = ".import"  # ends the name of the hidden folder of a recording that comes from elsewhere
STAGED: Final = ".cut"  # ends the name of the hidden folder in which a recording's next version is made
# folders synced one by one up to here, by syncfs above: a few should not wait for the whole disk
_SINGLY: Final = 8
_BOOKS: Final = 256 << 20  # bytes that audio does not take; of a small disk a hundredth
_AGAIN: Final = 1.5  # times as much must be free before audio is written again
_RESERVE: Final = 1 << 30  # bytes that nothing but recording takes; of a small disk a fiftieth


@dataclass(frozen=True, slots=True)
class Space:
    """Room on the disk, in bytes; free is what this user may still write."""

    free: int
    total: int


def room_of_books(total_bytes: int) -> int:
    """Return how much of a disk audio leaves: so that calls are entered and recordings erased when it is full."""
    return min(_BOOKS, total_bytes // 100)


class Store:
    """The folders of a data directory. One process writes (DataLock); any number may read."""

    def __init__(self, data_dir: Path, create: bool = True) -> None:
        """Open a data directory, making what is missing. Raises StoreError.

        With create=False nothing is made and a directory that holds no recordings is an error.
        """
        self.data_dir = data_dir
        self.recordings_dir = data_dir / "recordings"
        if create:
            for folder in (data_dir, *(data_dir / name for name in FOLDERS)):
                _make_folder(folder, parents=folder == data_dir)
        elif not self.recordings_dir.is_dir():
            raise StoreError("this is no data directory of vittne", data_dir, "check --data or VITTNE_DATA")
        # Held open: syncfs tells of a disk error once to every descriptor that was open when it happened.
        try:
            self._fd = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise explain(error, "open the data directory", data_dir) from error

    def close(self) -> None:
        """Let go of the directory."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open_recording(self, recording_id: str, started_us: int) -> Path:
        """Make the hidden folder of a recording and return it; one left by a crash is returned as it is."""
        day = self.recordings_dir / rfc3339(started_us)[:10].replace("-", "/")
        folder = day / f".{checked_id(recording_id)}"
        if not day.is_dir():
            for parent in (day.parent.parent, day.parent, day):
                _make_folder(parent)
                sync_path(parent.parent)
        _make_folder(folder)
        return folder

    def open_arriving(self, recording_id: str, started_us: int) -> Path:
        """Make the hidden folder of a recording that comes from elsewhere and return it. Raises StoreError."""
        day = self.recordings_dir / rfc3339(started_us)[:10].replace("-", "/")
        folder = day / f".{checked_id(recording_id)}{ARRIVING}"
        for parent in (day.parent.parent, day.parent, day, folder):
            if not parent.is_dir():
                _make_folder(parent)
                sync_path(parent.parent)
        return folder

    def arriving(self) -> Iterator[Path]:
        """Yield the hidden folders of recordings that come from elsewhere: being written, or left by a crash."""
        for day in self._days():
            yield from (day / name for name in _names(day) if _is_hidden(name, ARRIVING))

    def sync_folders(self, folders: Sequence[Path]) -> None:
        """Make folders with their files durable: a few one by one, many all at once. Raises StoreError."""
        if len(folders) > _SINGLY:
            self.sync()
        else:
            for folder in folders:
                _sync_folder(folder)

    def finish(self, folders: Sequence[Path]) -> list[Path]:
        """Give hidden folders, synced before, their names; sync the parents; return the new paths.

        All folders of a commit go in one call. After a StoreError some may be renamed already.
        """
        finished = [_rename(folder) for folder in folders]
        for parent in {folder.parent for folder in finished}:
            sync_path(parent)
        return finished

    def sync(self) -> None:
        """Make everything written so far durable. Raises StoreError, also for errors since the last call."""
        _syncfs(self._fd, self.data_dir)

    def find(self, recording_id: str) -> Path | None:
        """Return the folder of a recording, finished or hidden; None when there is none."""
        name = checked_id(recording_id)
        for day in self._days():
            for folder in (day / name, day / f".{name}"):
                if folder.is_dir():
                    return folder
        return None

    def finished(self) -> Iterator[Path]:
        """Yield the finished folders, by day. Names are what is on the disk: not all need be ours."""
        for day in self._days():
            yield from (day / name for name in _names(day) if not name.startswith("."))

    def unfinished(self) -> Iterator[Path]:
        """Yield the hidden folders: being written, or left by a crash when nobody writes."""
        for day in self._days():
            yield from (day / name for name in _names(day) if name.startswith(".") and is_id(name[1:]))

    def staged(self) -> Iterator[Path]:
        """Yield the folders in which a recording's next version was made, and that a crash left."""
        for day in self._days():
            yield from (day / name for name in _names(day) if _is_hidden(name, STAGED))

    def space(self) -> Space:
        """Return the room on the disk."""
        found = os.fstatvfs(self._fd)
        return Space(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)

    def is_full(self, was_full: bool = False) -> bool:
        """Say whether only the books may still be written: what is left is the ledger's and the catalogue's."""
        space = self.space()
        return space.free < room_of_books(space.total) * (_AGAIN if was_full else 1)

    def keep_room(self, size_bytes: int, doing: str) -> None:
        """Raise StoreError where so much more would take the room that a recorder needs to go on."""
        space = self.space()
        if space.free - size_bytes < min(_RESERVE, space.total // 50):
            what = f"cannot {doing}: no space left but what recording needs"
            raise StoreError(what, self.data_dir, "make room on the disk")

    def _days(self) -> Iterator[Path]:
        for year in _names(self.recordings_dir):
            for month in _names(self.recordings_dir / year):
                for day in _names(self.recordings_dir / year / month):
                    yield self.recordings_dir / year / month / day


def recording_of(folder: Path) -> str:
    """Return the recording's id from the name of its folder, hidden or not."""
    return folder.name.removeprefix(".")


def staged_name(folder: Path) -> Path:
    """Return where the next version of a finished recording is made, beside it."""
    return folder.with_name(f".{folder.name}{STAGED}")


def finished_name(staged: Path) -> Path:
    """Return the folder of which staged is, or was, the next version."""
    return staged.with_name(staged.name[1:].removesuffix(STAGED))


def arrived_name(arriving: Path) -> Path:
    """Return the name of a recording's folder once it is taken over."""
    return arriving.with_name(arriving.name[1:].removesuffix(ARRIVING))


def _is_hidden(name: str, end: str) -> bool:
    return name.startswith(".") and name.endswith(end) and is_id(name[1 : -len(end)])


def is_being_made(folder: Path) -> bool:
    """Say whether somebody who lives works in a hidden folder, which they hold by flock; False: a crash left it."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return True  # it went, or is not ours to look into: no reason to clear it away
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def exchange(one: Path, other: Path) -> None:
    """Let two folders change names: at any moment both names are there, each with one of them. Raises StoreError."""
    # Not in the os module of any Python yet. A file system without it (NFS) says so, and nothing has happened.
    if _LIBC.renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise explain(OSError(code, os.strerror(code)), "exchange two folders", one)
    sync_path(one.parent)


def is_id(text: str) -> bool:
    """Say whether text is an id as we write it: a UUID in lower case, with its four hyphens."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def checked_id(recording_id: str) -> str:
    """Return the id; ValueError when it is none, since ids become paths."""
    if not is_id(recording_id):
        raise ValueError("a recording's id is a UUID in lower case")
    return recording_id


def open_plain(path: Path) -> BinaryIO:
    """Open a file that must be a plain one. OSError for links, pipes (which would block) and the like."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "this is no plain file")
    return os.fdopen(fd, "rb")


def write_atomically(path: Path, data: bytes) -> None:
    """Put data at path, whole or not at all, durable on return. Raises StoreError."""
    half = path.with_name(f".{path.name}.new")
    try:
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb", closefd=False) as stream:
                stream.write(data)
            os.fdatasync(fd)
        finally:
            os.close(fd)
        os.rename(half, path)
    except OSError as error:
        raise explain(error, "write a file", path) from error
    sync_path(path.parent)


@contextmanager
def overwriting(path: Path) -> Iterator[None]:
    """Overwrite the blocks of a secret's file, if there is one, once it was replaced within; as far as disks let one.

    A file system that copies on write, and a flash disk, keep old blocks for a while.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise explain(error, "replace a key", path) from error
    try:
        yield
        # Only what is no longer the file: a name that was not replaced must keep its content.
        if os.fstat(fd).st_nlink == 0:
            os.pwrite(fd, bytes(os.fstat(fd).st_size), 0)
            os.fsync(fd)
    finally:
        os.close(fd)


def sync_path(path: Path) -> None:
    """Make a file's content, or a folder's names, durable. Raises StoreError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise explain(error, "sync", path) from error


def _sync_folder(folder: Path) -> None:
    for name in _names(folder):
        sync_path(folder / name)
    sync_path(folder)


def _make_folder(folder: Path, parents: bool = False) -> None:
    try:
        folder.mkdir(mode=0o700, parents=parents, exist_ok=True)
    except OSError as error:
        raise explain(error, "make a folder", folder) from error


def _rename(hidden: Path) -> Path:
    finished = hidden.with_name(recording_of(hidden))
    try:
        os.rename(hidden, finished)
    except OSError as error:
        raise explain(error, "finish a recording", finished) from error
    return finished


def _names(folder: Path) -> list[str]:
    """Return what is in a folder, sorted; nothing when it is gone or a file."""
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise explain(error, "list a folder", folder) from error


def _syncfs(fd: int, where: Path) -> None:
    # Not in the os module of any Python yet. ctypes lets other threads run meanwhile.
    if _LIBC.syncfs(fd):
        code = ctypes.get_errno()
        raise explain(OSError(code, os.strerror(code)), "sync the disk", where)


_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
