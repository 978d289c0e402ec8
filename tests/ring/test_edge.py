"""The edge opens rings for a recorder that may not: it asks over a socket, and the ring comes back."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.namespaces import Room
from rig.packets import frame, sender_in
from rig.wire import Wire

from vittne.appliance.clock.kernel import read_kernel_clock
from vittne.appliance.edge.clocks import kernel_clock
from vittne.appliance.edge.machine import boot_id, look_through_edge, meminfo
from vittne.appliance.edge.rings import open_ring
from vittne.appliance.edge.wire import ADDRESS, EdgeError, ask
from vittne.capture import interfaces
from vittne.capture.ring import Ring, RingError
from vittne.capture.ringsize import RingSize, memory_available

pytestmark = pytest.mark.system

SIZE = RingSize(64 << 10, 8, retire_ms=20)


def waited_for(path: Path) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                sock.connect(str(path))
            return
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.02)


@pytest.fixture
def edge(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An edge in the recorder's room. This process is in none: by itself it would find neither the interface."""
    path = tmp_path / "edge.sock"
    command = (sys.executable, "-m", "vittne.appliance", "edge", "--socket", str(path))
    with wire.recorder.process(*command, stdout=None, stderr=None):
        waited_for(path)
        monkeypatch.setenv(ADDRESS, str(path))
        yield path


def received(ring: Ring) -> list[bytes]:
    assert ring.wait(10)
    found = ring.read()
    assert found is not None
    block, _ = found
    return [block.data[at : at + size].tobytes() for at, size in zip(block.offset, block.captured, strict=True)]


def sent(room: Room) -> bytes:
    data = frame(1, 200)
    with sender_in(room, "voices") as sender:
        sender.send(data)
    return data


def test_a_ring_that_the_edge_opened_collects_for_who_asked(wire: Wire, edge: Path) -> None:
    ring = Ring(open_ring("mirror", SIZE))

    data = sent(wire.phones)

    assert received(ring) == [data]


def test_what_cannot_be_opened_is_said_in_the_same_words(wire: Wire, edge: Path) -> None:
    with pytest.raises(RingError, match=r"no interface 'eth7' here; there are: .*mirror"):
        open_ring("eth7", SIZE)
    with pytest.raises(RingError, match="no memory for a ring"):
        open_ring("mirror", RingSize(1 << 30, 2000))


def test_clock_memory_boot_and_interfaces_are_those_of_the_machine(
    wire: Wire, edge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, through = read_kernel_clock(), kernel_clock()
    assert (here is None) == (through is None)
    assert here is None or through is None or here.tai_s == through.tai_s
    assert memory_available(meminfo()) > 0
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    monkeypatch.setattr(interfaces, "_given", None)
    assert interfaces.look_up("mirror") is None
    look_through_edge()
    found = interfaces.look_up("mirror")
    assert found is not None
    assert (found.kind, found.is_up) == ("veth", True)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\xff\x00",
        b"[]",
        b"{}",
        b'{"ask": []}',
        b'{"ask": "ring"}',
        b'{"ask": "ring", "interface": 1, "block_size": 1, "block_count": 1, "retire_ms": 1}',
        b'{"ask": "ring", "interface": "mirror", "block_size": true, "block_count": -1, "retire_ms": 1e9}',
        b"[" * 16_000,
    ],
)
def test_who_asks_for_nonsense_costs_the_next_one_nothing(wire: Wire, edge: Path, said: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(str(edge))
        sock.send(said)
        answer = sock.recv(4096)
    assert b"error" in answer

    assert ask(str(edge), {"ask": "clock"})[1] == []


def test_who_connects_and_goes_costs_the_next_one_nothing(wire: Wire, edge: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect(str(edge))

    Ring(open_ring("mirror", SIZE)).close()
    assert os.stat(edge).st_mode & 0o777 == 0o600


def test_where_there_is_no_edge_it_says_how_to_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, str(tmp_path / "nobody.sock"))

    with pytest.raises(EdgeError, match="systemctl status vittne-edge"):
        ask(str(tmp_path / "nobody.sock"), {"ask": "clock"})
    with pytest.raises(RingError, match="systemctl status vittne-edge"):
        open_ring("lo", SIZE)
    assert kernel_clock() is None
    with pytest.raises(OSError, match="systemctl status vittne-edge"):
        boot_id()
