"""What an analysis process gives up before it reads what anybody sent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_NICE: Final = 5
_NOBODY: Final = 65_534
_MOST_MEMORY: Final = 4 << 30  # bytes of address space: thousands of decoders, and an end to a leak


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor that is not named; standard streams stay."""
    kept = kept | {0, 1, 2}
    last = -1
    for fd in [*sorted(kept), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]:
        if fd > last + 1:
            os.closerange(last + 1, fd)
        last = fd


def enclose(lock_memory: bool = True, most_memory: int = _MOST_MEMORY) -> None:
    """Give up network, files, children and rights; die with who started us. Everything that is needed is loaded.

    most_memory: bytes of address space. What this system does not allow (a network namespace, locked memory) is left
    as it is.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICE)
    if os.geteuid() == 0:
        libc.unshare(_CLONE_NEWNET)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    else:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    if lock_memory and resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        libc.mlockall(_MCL_CURRENT | _MCL_FUTURE)
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # After the change of user, which takes these back.
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_AS, most_memory)
    _limit(resource.RLIMIT_NOFILE, 0)  # no file, socket or device is ever opened again


def _limit(which: int, most: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(which, (most, most))
