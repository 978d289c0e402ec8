"""What can go wrong with the disk and the data directory, said so that somebody can act on it."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final


class StoreError(Exception):
    """What happened, where, and what to do next: the three things an operator needs at night."""

    def __init__(self, what: str, where: Path | str, next_step: str) -> None:
        super().__init__(f"{what}: {where}: {next_step}")
        self.what = what
        self.where = str(where)
        self.next_step = next_step


_REASONS: Final = {
    errno.ENOSPC: ("no space left on the disk", "free space or move the data directory"),
    errno.EDQUOT: ("the disk quota is used up", "raise the quota or free space"),
    errno.EROFS: ("the file system is read-only", "mount it read-write; the kernel's log says why it is not"),
    errno.EACCES: ("permission denied", "run as the owner of the data directory"),
    errno.EPERM: ("operation not permitted", "run as the owner of the data directory"),
    errno.EIO: ("the disk reports an error", "look at the kernel's log and at the disk's health"),
    errno.EMFILE: ("too many open files", "raise the limit (LimitNOFILE)"),
    errno.ENFILE: ("too many open files on this machine", "raise fs.file-max"),
    errno.ENOTDIR: ("a folder was expected and is something else", "look at what is there"),
    errno.ENOTEMPTY: ("there is already something here", "look at what is there before removing it"),
    errno.EEXIST: ("there is already something here", "look at what is there before removing it"),
    errno.ENOENT: ("there is nothing here", "look whether the disk is mounted and the path is right"),
}


def explain(error: OSError, doing: str, where: Path | str) -> StoreError:
    """Turn an error of the operating system into one of ours; doing completes "cannot ..."."""
    reason, next_step = _REASONS.get(
        error.errno or 0, (error.strerror or str(error), "see the kernel's log for the cause")
    )
    return StoreError(f"cannot {doing}: {reason}", where, next_step)
