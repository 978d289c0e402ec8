"""Talking to the service manager: sd_notify(3), sd_listen_fds(3), and its descriptor store.

The protocol is a datagram a message (systemd: "Native protocol", sd_notify(3)) and a few variables; both may be
spoken by whoever starts us, so a test needs no systemd.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

log = structlog.get_logger()

_FIRST_FD: Final = 3  # SD_LISTEN_FDS_START
_MOST_FDS: Final = 253  # in one message: SCM_MAX_FD of the kernel
_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(slots=True)
class ServiceManager:
    """Who started us and wants to hear how it goes; without an address nobody does, and nothing is said.

    watchdog_s: how often WATCHDOG=1 is wanted at the least, None when nobody waits for it.
    given: descriptors that were passed to us, by name, in their order.
    """

    address: str = ""
    watchdog_s: float | None = None
    given: dict[str, list[int]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.address)

    def say(self, *lines: str, fds: Sequence[int] = ()) -> bool:
        """Send lines such as READY=1; whether they went. A manager that cannot be reached costs a line in the log."""
        if not self.address:
            return False
        # A name that begins with @ is in the kernel's own name space (unix(7)).
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.connect(address)
                socket.send_fds(sock, ["\n".join(lines).encode()], list(fds)[:_MOST_FDS])
        except OSError as error:
            log.warning("the service manager cannot be told", what=lines[0], reason=str(error))
            return False
        return True

    def keep(self, name: str, fd: int) -> bool:
        """Have a descriptor kept for whoever is started next."""
        # FDPOLL=0: an interface that goes down for a moment must not cost its ring.
        return self.say("FDSTORE=1", "FDPOLL=0", f"FDNAME={name}", fds=[fd])

    def forget(self, name: str) -> None:
        """Have what is kept under a name closed."""
        self.say("FDSTOREREMOVE=1", f"FDNAME={name}")


def service_manager(environment: MutableMapping[str, str]) -> ServiceManager:
    """Return who started us, and take the variables out: no child of ours is to speak in our name."""
    said = {name: environment.pop(name, "") for name in _VARIABLES}
    is_for_us = said["LISTEN_PID"] == str(os.getpid())
    count = int(said["LISTEN_FDS"]) if is_for_us and said["LISTEN_FDS"].isdecimal() else 0
    names = said["LISTEN_FDNAMES"].split(":") if said["LISTEN_FDNAMES"] else []
    given: dict[str, list[int]] = {}
    for number in range(count):
        fd = _FIRST_FD + number
        os.set_inheritable(fd, False)
        given.setdefault(names[number] if number < len(names) else "unknown", []).append(fd)
    return ServiceManager(said["NOTIFY_SOCKET"], _watchdog_s(said), given)


def _watchdog_s(said: dict[str, str]) -> float | None:
    """Return half of the time after which we would be taken for dead: what sd_watchdog_enabled(3) advises."""
    if not said["WATCHDOG_USEC"].isdecimal() or said["WATCHDOG_PID"] not in ("", str(os.getpid())):
        return None
    return int(said["WATCHDOG_USEC"]) / 2e6 or None
