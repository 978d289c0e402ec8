"""What the service manager keeps over a restart: the rings, which go on collecting, and the workers' last snapshot.

    vittne-state        a memory file: which data directory, which rings, which settings the worker had (JSON)
    vittne-ring-N       the N-th ring
    vittne-snapshot-0/1 see snapshot.py

Whoever is started next goes on as if only the worker had died. What does not fit (another data directory, other
interfaces, a machine that was started anew) is closed, and recording begins anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.edge.machine import boot_id
from vittne.appliance.service.manager import ServiceManager
from vittne.capture.ringopen import RingHandle

log = structlog.get_logger()

_STATE: Final = "vittne-state"
_RING: Final = "vittne-ring-{}"
_SNAPSHOT: Final = "vittne-snapshot-{}"
_OURS: Final = (_STATE, _RING.format(""), _SNAPSHOT.format(""))  # not the sockets that are opened for the API
_FORMAT: Final = 1
_LARGEST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier run left. settings: those its workers had, as plain values."""

    rings: list[RingHandle]
    memory: tuple[int, int]
    settings: dict[str, Any]


class _Unfit(Exception):
    """What was kept is not for us; the text says why."""


def keep(
    manager: ServiceManager, data: Path, rings: Sequence[RingHandle], memory: tuple[int, int], settings: dict[str, Any]
) -> bool:
    """Have everything kept that the next start needs; whether it is."""
    if not manager:
        return False
    state = {
        "format": _FORMAT,
        "boot": boot_id(),  # clocks that count from it are in a snapshot
        "data": str(data.resolve()),
        "rings": [{name: value for name, value in asdict(ring).items() if name != "fd"} for ring in rings],
        "settings": settings,
    }
    fd = os.memfd_create(_STATE, os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as stream:
            stream.write(json.dumps(state).encode())
        manager.forget(_STATE)
        # The state last: without it nothing of the rest is used.
        found = [manager.keep(_RING.format(n), ring.fd) for n, ring in enumerate(rings)]
        found += [manager.keep(_SNAPSHOT.format(n), one) for n, one in enumerate(memory)]
        return all(found) and manager.keep(_STATE, fd)
    finally:
        os.close(fd)


def forget(manager: ServiceManager, rings: int) -> None:
    """Have nothing kept any more: everything that was heard is written."""
    for name in (_STATE, *(_SNAPSHOT.format(n) for n in range(2)), *(_RING.format(n) for n in range(rings))):
        manager.forget(name)


def take(manager: ServiceManager, data: Path, interfaces: Sequence[str]) -> Kept | None:
    """Return what an earlier run of this recorder left; None when there is nothing that fits."""
    ours = {name: fds for name, fds in manager.given.items() if name.startswith(_OURS)}
    if _STATE not in ours:
        _close(manager, ours)
        return None
    try:
        found = _read(ours, data, interfaces)
    except _Unfit as why:
        log.warning("what the run before left is not used; recording begins anew", reason=str(why))
        _close(manager, ours)
        return None
    os.close(ours[_STATE][-1])
    return found


def _read(ours: dict[str, list[int]], data: Path, interfaces: Sequence[str]) -> Kept:
    state = _state(ours[_STATE][-1])
    if state.get("format") != _FORMAT:
        raise _Unfit("another version wrote it")
    if state["boot"] != boot_id():
        raise _Unfit("the machine was started anew")
    if state["data"] != str(data.resolve()):
        raise _Unfit("it is of another data directory")
    if [ring["interface"] for ring in state["rings"]] != list(interfaces):
        raise _Unfit("the interfaces are not those of before")
    try:
        rings = [RingHandle(ours[_RING.format(n)][-1], **ring) for n, ring in enumerate(state["rings"])]
        memory = ours[_SNAPSHOT.format(0)][-1], ours[_SNAPSHOT.format(1)][-1]
    except KeyError as missing:
        raise _Unfit(f"{missing} is missing") from None
    for ring in rings:
        if _interface_of(ring.fd) != ring.interface:
            raise _Unfit(f"the interface {ring.interface} went away meanwhile")
    return Kept(rings, memory, dict(state["settings"]))


def _state(fd: int) -> dict[str, Any]:
    try:
        state = json.loads(os.pread(fd, _LARGEST, 0))
    except (OSError, ValueError):
        raise _Unfit("it cannot be read") from None
    if not isinstance(state, dict):
        raise _Unfit("it cannot be read")
    return state


def _interface_of(fd: int) -> str:
    """Return what a packet socket listens on; nothing where that is no more."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        if sock.family != socket.AF_PACKET:
            return ""
        try:
            return str(sock.getsockname()[0])
        except OSError:
            return ""


def _close(manager: ServiceManager, ours: dict[str, list[int]]) -> None:
    for name, fds in ours.items():
        manager.forget(name)
        for fd in fds:
            with contextlib.suppress(OSError):
                os.close(fd)
