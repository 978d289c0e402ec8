"""One writer per data directory.

Who holds DIR/lock alone writes catalogue, ledger, keys and recordings. The lock is the kernel's (flock), so
it vanishes with its holder and can never be left behind; the text in the file only says who that is. A
process that the holder forked holds it too: after a kill -9 of the parent the directory stays closed until
its workers are gone, which is right, since they still write.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import now_us, rfc3339

LOCK_FILE: Final = "lock"
_TEXT_LIMIT: Final = 4096


class LockHeld(StoreError):
    """Another process has the data directory."""

    def __init__(self, data_dir: Path, holder: str) -> None:
        super().__init__(
            f"the data directory is in use by {holder}",
            data_dir,
            "stop it, or use another directory (--data)",
        )


class DataLock:
    """The right to write in a data directory, held from construction to close()."""

    def __init__(self, data_dir: Path, doing: str) -> None:
        """Take the lock at once; doing is shown to whoever comes second ("record on eth0").

        Raises LockHeld naming the holder, StoreError when the file cannot be opened.
        """
        self.path = data_dir / LOCK_FILE
        try:
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise explain(error, "open the lock", self.path) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write_holder(self._fd, doing)
        except BlockingIOError:
            holder = _describe(os.pread(self._fd, _TEXT_LIMIT, 0))
            os.close(self._fd)
            raise LockHeld(data_dir, holder) from None
        except OSError as error:
            os.close(self._fd)
            raise explain(error, "take the lock", self.path) from error

    def close(self) -> None:
        """Give the directory back; the file stays, since removing it would let two holders in."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def holder_of(data_dir: Path) -> str:
    """Return words for who has a data directory, "" when nobody has. Makes and changes nothing. Raises StoreError."""
    path = data_dir / LOCK_FILE
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise explain(error, "look at the lock", path) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _describe(os.pread(fd, _TEXT_LIMIT, 0))
    finally:
        os.close(fd)
    return ""


def _write_holder(fd: int, doing: str) -> None:
    text = json.dumps({"pid": os.getpid(), "doing": doing, "since": rfc3339(now_us())}) + "\n"
    os.ftruncate(fd, 0)
    os.pwrite(fd, text.encode(), 0)


def _describe(text: bytes) -> str:
    """Return words for the holder from the lock file's text, which may be empty or half written."""
    try:
        said = json.loads(text)
        pid, doing, since = int(said["pid"]), str(said["doing"]), str(said["since"])
    except (ValueError, KeyError, TypeError):
        return "another process (which has not said its name yet)"
    gone = "" if os.path.exists(f"/proc/{pid}") else ", gone, but a child of it lives"
    return f"process {pid} ({doing}, since {since}{gone})"
