"""The file system's immutable flag (chattr +i): nobody, root neither, alters or removes a file that has it.

Only who has CAP_LINUX_IMMUTABLE sets and clears it, so it stands against other programs and slips of the hand, not
against who has taken the machine over. Source: ioctl_iflags(2).
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from vittne.appliance.store.errors import StoreError, explain

_SIZE: Final = array.array("l").itemsize  # the ioctls' numbers say long, the kernel takes an int
_GET: Final = 0x80000000 | _SIZE << 16 | ord("f") << 8 | 1
_SET: Final = 0x40000000 | _SIZE << 16 | ord("f") << 8 | 2
_FLAG: Final = 0x10  # FS_IMMUTABLE_FL
PROBE: Final = ".immutable-probe"


class CannotProtect(StoreError):
    """This file system, or this process, cannot set the flag."""


def is_immutable(path: Path) -> bool:
    """Say whether a file has the flag; False on file systems that have none. Raises StoreError."""
    fd = _opened(path)
    try:
        return bool(_flags(fd) & _FLAG)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            return False
        raise explain(error, "read a file's flags", path) from error
    finally:
        os.close(fd)


def protect(path: Path) -> None:
    """Set the flag. Raises CannotProtect."""
    _set(path, is_on=True)


def release(path: Path) -> None:
    """Clear the flag. Raises CannotProtect."""
    _set(path, is_on=False)


def unlink(path: Path) -> None:
    """Remove a file that may have the flag. Raises OSError, CannotProtect."""
    try:
        path.unlink()
    except PermissionError:
        if not is_immutable(path):
            raise
        release(path)
        path.unlink()


def why_not(folder: Path) -> str | None:
    """Try the flag on a file of its own in a folder; return why it cannot be set, None when it can.

    One at a time in a folder: the file has one name, so that what a kill left there is found and removed by the next.
    """
    try:
        turn = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return str(explain(error, "open a folder", folder))
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        return _try_flag(folder / PROBE)
    finally:
        os.close(turn)


def _try_flag(probe: Path) -> str | None:
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno != errno.EPERM:
            return str(explain(error, "make a file", probe))
    try:
        protect(probe)
        release(probe)
        probe.unlink()
    except CannotProtect as error:
        if not is_immutable(probe):
            probe.unlink()
        return f"{error.what}: {error.next_step}"
    return None


def _set(path: Path, is_on: bool) -> None:
    fd = _opened(path)
    try:
        flags = _flags(fd)
        wanted = flags | _FLAG if is_on else flags & ~_FLAG
        if wanted != flags:
            fcntl.ioctl(fd, _SET, array.array("i", [wanted, 0]).tobytes())
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            next_step = "give the recorder CAP_LINUX_IMMUTABLE, or set [store] immutable = false"
            raise CannotProtect("the immutable flag may not be changed", path, next_step) from error
        next_step = "use ext4, xfs or btrfs, or set [store] immutable = false"
        raise CannotProtect("the file system has no immutable flag", path, next_step) from error
    finally:
        os.close(fd)


def _flags(fd: int) -> int:
    found = array.array("i", [0, 0])
    fcntl.ioctl(fd, _GET, found)
    return found[0]


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise explain(error, "open a file", path) from error
