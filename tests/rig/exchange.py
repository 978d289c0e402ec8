"""A small telephone exchange on a switch: Kamailio and rtpengine between two rooms of telephones, with mirror ports.

    phones ──┐              ┌── trunk   what passes the exchange's port: every packet once
             switch (bridge)┤
    desks ───┤              └── ports   what passes all three ports: every packet twice
    exchange ┘

All signalling and all media pass the exchange (record-routing, anchored media), so its port sees everything.
Both mirror ports are interfaces of the recorder's room.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rig.namespaces import Building, Room

EXCHANGE: Final = "10.9.0.5"
EXCHANGE_V6: Final = "fd09::5"
SIP_PORT: Final = 5060
_NG_PORT: Final = 2223
_CONFIG: Final = Path(__file__).resolve().parents[1] / "system" / "calls" / "kamailio.cfg"
_PORTS: Final = ("phones", "desks", "exchange")
_START_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """Rooms of a running exchange. phones have 10.9.0.10 to .39, desks .40 to .69; fd09::10 and so on as well."""

    phones: Room
    desks: Room
    recorder: Room


@contextlib.contextmanager
def exchange(house: Building, folder: Path) -> Iterator[Exchange]:
    """Run an exchange in a house that has a room `recorder`; folder is for what its programs write."""
    rooms = {name: house.room(name, ipv6=True) for name in _PORTS}
    _wire(house, rooms)
    _give_addresses(rooms["exchange"], [5])
    _give_addresses(rooms["phones"], range(10, 40))
    _give_addresses(rooms["desks"], range(40, 70))
    room = rooms["exchange"]
    with contextlib.ExitStack() as programs:
        log = programs.enter_context((folder / "exchange.log").open("wb"))
        programs.enter_context(room.process(*_rtpengine(folder), stdout=log))
        wait_for_port(room, "udp", _NG_PORT)
        programs.enter_context(room.process(*_kamailio(folder), stdout=log))
        for protocol in ("udp", "tcp", "udp6"):
            wait_for_port(room, protocol, SIP_PORT)
        yield Exchange(rooms["phones"], rooms["desks"], house.rooms["recorder"])


def wait_for_port(room: Room, protocol: str, port: int, timeout_s: float = _START_S) -> None:
    """Wait until somebody in the room listens. protocol: udp, tcp, udp6 or tcp6."""
    deadline = time.monotonic() + timeout_s
    table = Path(f"/proc/{room.pid}/net/{protocol}")
    while time.monotonic() < deadline:
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
        if any(int(row[1].rpartition(":")[2], 16) == port for row in rows):
            return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens on {protocol} port {port} in {room.name}")


def _wire(house: Building, rooms: dict[str, Room]) -> None:
    switch, recorder = house.room("switch"), house.rooms["recorder"]
    switch.run("ip", "link", "add", "bridge0", "type", "bridge")
    switch.run("ip", "link", "set", "bridge0", "up")
    for name, room in rooms.items():
        house.cable(switch, f"to-{name}", room, "eth0")
        switch.run("ip", "link", "set", f"to-{name}", "master", "bridge0")
    for name in ("trunk", "ports"):
        house.cable(switch, f"to-{name}", recorder, name)
    for name in _PORTS:
        _mirror(switch, f"to-{name}", ["to-trunk", "to-ports"] if name == "exchange" else ["to-ports"])


def _mirror(switch: Room, port: str, to: list[str]) -> None:
    """Copy both directions of a port to others."""
    actions = " pipe ".join(f"action mirred egress mirror dev {name}" for name in to).split()
    switch.run("tc", "qdisc", "add", "dev", port, "clsact")
    for direction in ("ingress", "egress"):
        everything = ["protocol", "all", "u32", "match", "u32", "0", "0"]
        switch.run("tc", "filter", "add", "dev", port, direction, *everything, *actions)


def _give_addresses(room: Room, hosts: range | list[int]) -> None:
    batch = "".join(f"addr add 10.9.0.{host}/24 dev eth0\naddr add fd09::{host}/64 dev eth0 nodad\n" for host in hosts)
    room.run("ip", "-batch", "-", input=batch)


def _rtpengine(folder: Path) -> list[str]:
    """No kernel module (table -1): packets are forwarded by the program."""
    return [
        "rtpengine",
        "--config-file=none",
        "--foreground",
        "--log-stderr",
        "--log-level=5",
        "--table=-1",
        "--num-threads=2",
        f"--interface={EXCHANGE}",
        f"--interface={EXCHANGE_V6}",
        f"--listen-ng=127.0.0.1:{_NG_PORT}",
        "--port-min=30000",
        "--port-max=31000",
        f"--pidfile={folder / 'rtpengine.pid'}",
    ]


def _kamailio(folder: Path) -> list[str]:
    listeners = [f"{protocol}:{EXCHANGE}:{SIP_PORT}" for protocol in ("udp", "tcp")]
    return [
        "kamailio",
        "-DD",  # stays in the foreground, with its children
        "-E",
        *("-f", str(_CONFIG)),
        *("-Y", str(folder)),
        *("-w", str(folder)),
        *("-m", "32"),
        *("-M", "8"),
        *(word for one in [*listeners, f"udp:[{EXCHANGE_V6}]:{SIP_PORT}"] for word in ("-l", one)),
    ]
