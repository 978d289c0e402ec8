"""The machines that other tests boot: what they promise."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines.machine import ADDRESS, DESK_ADDRESS, Machine, booted

pytestmark = pytest.mark.machine


@pytest.fixture(params=["bookworm", "trixie"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    with booted(tmp_path, request.param) as machine:
        yield machine


def test_a_machine_is_a_debian_with_its_own_systemd_and_network(machine: Machine) -> None:
    assert machine.run("systemctl", "is-system-running").out.strip() == "running"
    assert machine.run("false", check=False).status == 1
    assert machine.run("cat", given="what is given is read").out == "what is given is read"
    with pytest.raises(ConnectionRefusedError):  # it answers, and serves nothing
        machine.room.call(socket.create_connection, (ADDRESS, 9), 10)

    links = machine.run("ip", "-o", "link").out

    assert {line.split(": ")[1].split("@")[0] for line in links.splitlines()} == {"lo", "host0", "mirror0"}
    assert DESK_ADDRESS not in links


def test_what_a_machine_wrote_is_there_after_a_reboot_and_after_the_power_went(machine: Machine) -> None:
    first = machine.run("cat", "/etc/machine-id").out
    machine.write("/etc/written", "before", 0o600)

    machine.reboot()
    machine.power_off()
    machine.boot()

    assert machine.run("cat", "/etc/written").out == "before"
    assert machine.run("cat", "/etc/machine-id").out == first
    assert not list(machine.base.glob("etc/written"))


def test_packages_come_from_where_this_machine_has_them(machine: Machine) -> None:
    machine.run("apt-get", "update", "-qq", outside=True)

    assert "Candidate" in machine.run("apt-cache", "policy", "chrony").out
