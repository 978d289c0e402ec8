"""Opening a ring: what is missing is named, with what to do; and what the kernel says about interfaces."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import struct
from pathlib import Path

import pytest
from rig.namespaces import Building, Room
from rig.packets import ring_in
from rig.wire import Wire

from vittne.capture.columns import LINK_RAW
from vittne.capture.interfaces import Interface, look_up, names
from vittne.capture.offloads import merging_offloads, offload_warning, speed_mbit
from vittne.capture.ring import Ring, RingError, open_ring
from vittne.capture.ringsize import RingSize, memory_available

pytestmark = pytest.mark.system

SIZE = RingSize(64 << 10, 8, retire_ms=20)

TUNSETIFF = 0x400454CA
TUNSETLINK = 0x400454CD
IFF_TUN_WITHOUT_HEADER = 0x1001


def test_an_absent_interface_is_answered_with_those_that_exist(wire: Wire) -> None:
    with pytest.raises(RingError, match=r"no interface 'eth7' here; there are: .*lo.*mirror"):
        ring_in(wire.recorder, "eth7", SIZE)


@pytest.mark.parametrize("name", ["", "x" * 40, "../etc", "eth0\0", "é" * 10])
def test_a_name_that_cannot_be_an_interface_is_an_absent_one(name: str) -> None:
    with pytest.raises(RingError, match="no interface"):
        open_ring(name, SIZE)


def test_an_interface_that_is_down_is_answered_with_the_command_that_helps(wire: Wire) -> None:
    wire.recorder.run("ip", "link", "set", "mirror", "down")

    with pytest.raises(RingError, match="mirror is down; bring it up with: ip link set mirror up"):
        ring_in(wire.recorder, "mirror", SIZE)


def test_without_the_capability_it_is_named(house: Building) -> None:
    with pytest.raises(RingError, match="lo: capturing needs the capability CAP_NET_RAW"):
        house.rooms["recorder"].call(open_without_capabilities)


def open_without_capabilities() -> None:
    """Give up all capabilities of this process (capset(2), version 3), and try."""
    header = struct.pack("=Ii", 0x20080522, 0)
    assert not ctypes.CDLL(None).capset(header, bytes(24))
    open_ring("lo", SIZE)


def test_a_ring_larger_than_the_memory_is_refused_before_the_machine_suffers(wire: Wire) -> None:
    available = memory_available(Path("/proc/meminfo").read_text("ascii"))
    size = RingSize(256 << 10, available // (256 << 10))

    with pytest.raises(RingError, match=rf"no memory for a ring of \d+ MiB \({size.block_count} blocks of 256 KiB\)"):
        ring_in(wire.recorder, "mirror", size)


@pytest.mark.parametrize("size", [RingSize(5000, 8), RingSize(1 << 16, 1), RingSize(1 << 16, 0)])
def test_an_impossible_geometry_is_refused(wire: Wire, size: RingSize) -> None:
    with pytest.raises(RingError, match="2 or more blocks of whole pages"):
        ring_in(wire.recorder, "mirror", size)


def test_a_tun_interface_gives_packets_without_a_link_header(house: Building) -> None:
    room = house.rooms["recorder"]
    with tun_in(room, "tun9") as tun:
        room.run("ip", "link", "set", "tun9", "up")
        handle = ring_in(room, "tun9", SIZE)
        ring = Ring(handle)
        packet = bytes.fromhex("4500001c0001000040110000 7f000001 7f000002") + bytes(8)
        os.write(tun, packet)
        assert ring.wait(5)
        got = ring.read()

    assert handle.link_type == LINK_RAW
    assert got is not None
    block, _ = got
    assert block.data[block.offset[0] : block.offset[0] + block.captured[0]].tobytes() == packet


def test_a_link_type_that_cannot_be_read_is_named(house: Building) -> None:
    room = house.rooms["recorder"]
    with tun_in(room, "radio", hardware=801):
        room.run("ip", "link", "set", "radio", "up")
        with pytest.raises(RingError, match="radio has link type 801"):
            ring_in(room, "radio", SIZE)


@contextlib.contextmanager
def tun_in(room: Room, name: str, hardware: int | None = None):  # type: ignore[no-untyped-def]
    """Make a tun interface; yields the descriptor of its far end. hardware: the ARPHRD type that it says it is."""

    def opened() -> tuple[None, list[int]]:
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_WITHOUT_HEADER))
        if hardware is not None:
            fcntl.ioctl(tun, TUNSETLINK, hardware)
        return None, [tun]

    try:
        _, (tun,) = room.open(opened)
    except OSError as error:
        pytest.skip(f"no tun interface for this user here: {error}")
    try:
        yield tun
    finally:
        os.close(tun)


def test_the_interface_is_promiscuous_while_the_ring_is_open(wire: Wire) -> None:
    def promiscuous() -> int:
        found = wire.recorder.call(look_up, "mirror")
        assert found is not None
        return found.promiscuous

    handle = ring_in(wire.recorder, "mirror", SIZE)
    during = promiscuous()
    handle.close()

    assert (during, promiscuous()) == (1, 0)


def test_an_interface_is_described(wire: Wire) -> None:
    found = wire.recorder.call(look_up, "mirror")

    assert isinstance(found, Interface)
    assert (found.name, found.is_up, found.kind, found.mtu, found.hardware) == ("mirror", True, "veth", 1500, 1)
    assert found.drops.missed == 0
    assert wire.recorder.call(names) == ["lo", "mirror"]
    loopback = wire.recorder.call(look_up, "lo")
    assert loopback is not None
    assert loopback.is_loopback


def test_merging_offloads_are_named_with_the_command_that_turns_them_off(wire: Wire) -> None:
    room = wire.recorder
    room.run("ethtool", "-K", "mirror", "gro", "off", "rx-gro-list", "off")
    assert room.call(merging_offloads, "mirror") == []
    assert room.call(offload_warning, "mirror") is None

    room.run("ethtool", "-K", "mirror", "gro", "on", "rx-gro-list", "on")

    assert room.call(merging_offloads, "mirror") == ["gro", "rx-gro-list"]
    warning = room.call(offload_warning, "mirror")
    assert warning is not None
    command = warning.rpartition(": ")[2]
    assert command == "ethtool -K mirror gro off rx-gro-list off"
    room.run(*command.split())
    assert room.call(offload_warning, "mirror") is None


def test_loopback_has_no_wire_that_a_warning_could_be_about(wire: Wire) -> None:
    assert wire.recorder.call(merging_offloads, "lo") == ["gro"]
    assert wire.recorder.call(offload_warning, "lo") is None


def test_a_link_tells_its_speed_and_loopback_has_none(wire: Wire) -> None:
    assert wire.recorder.call(speed_mbit, "mirror") == 10_000
    assert wire.recorder.call(speed_mbit, "lo") is None
    assert wire.recorder.call(speed_mbit, "absent") is None
