"""What a process does that holds secrets: no core dump, no swap, no debugger, no rights that it does not need."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import resource
import signal
from pathlib import Path
from typing import Final

USER: Final = "vittne-keys"
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAP_IPC_LOCK: Final = 14
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def lock_memory(user: str = USER) -> bool:
    """Keep the memory of this process, also what it takes later, out of swap; say whether that was allowed.

    user: who it is about to become. Without rights (CAP_IPC_LOCK, or LimitMEMLOCK=infinity) nothing is locked:
    swap should then be off or encrypted.
    """
    with contextlib.suppress(ValueError, OSError):  # else it stays as it is
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    is_free = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY
    # Under a limit that is reached later every allocation would fail; the capability goes with root.
    if not is_free and (not _has_ipc_lock() or _entry(user) is not None):
        return False
    return bool(_LIBC.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)


def _has_ipc_lock() -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_IPC_LOCK & 1)
    return False


def _entry(user: str) -> pwd.struct_passwd | None:
    """Return a user, if this process can become it and there is one."""
    try:
        return pwd.getpwnam(user) if os.geteuid() == 0 else None
    except KeyError:
        return None


def drop_privileges(user: str = USER) -> str:
    """Become another user when this is root and there is that user; return who this process then is."""
    entry = _entry(user)
    if entry is not None:
        os.initgroups(user, entry.pw_gid)  # its groups let it talk to a token or a TPM
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def keep_to_ourselves() -> None:
    """No core dump, and no other process of this user may read our memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def follow_parent() -> None:
    """Die with the parent; leave signals to it, which says stop."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
