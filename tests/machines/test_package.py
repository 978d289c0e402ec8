"""The Debian package in a booted machine: what it brings, what an upgrade loses, what a removal leaves."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from machines.installed import calls, install, logged, machine, main_pid, newer, package, start, taken_out
from machines.machine import Machine
from rig.live import listed, stored_packets, vittne

__all__ = ["machine", "newer", "package"]

pytestmark = pytest.mark.machine


def test_lintian_has_nothing_to_say(package: Path) -> None:
    command = ["lintian", "--allow-root", "--profile", "debian", "--fail-on", "error,warning", str(package)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_what_is_installed_records_nothing_before_an_interface_is_named(machine: Machine) -> None:
    assert machine.run("vittne", "version").out.startswith("vittne ")
    assert machine.run("systemctl", "is-active", "vittne.service", check=False).out.strip() == "inactive"
    assert machine.run("systemctl", "is-enabled", "vittne.service", check=False).out.strip() == "disabled"
    assert "vittne record" in machine.run("man", "vittne").out
    assert machine.run("stat", "-c", "%a %U", "/etc/vittne/credentials", "/var/lib/vittne").out.split("\n")[:2] == [
        "700 root",
        "700 vittne",
    ]
    assert "No broken" in machine.shell("dpkg --verify vittne; echo No broken files").out

    start(machine)

    assert machine.run("systemctl", "is-active", "vittne.service").out.strip() == "active"
    assert '"status":"ok"' in machine.run("curl", "-sk", "https://127.0.0.1:8443/api/v1/health").out
    limits = machine.run("cat", f"/proc/{main_pid(machine)}/limits").out.splitlines()
    assert next(line.split() for line in limits if line.startswith("Max core"))[4:6] == ["0", "0"]


def test_an_upgrade_loses_no_packet_and_refuses_nobody(machine: Machine, newer: Path, tmp_path: Path) -> None:
    start(machine)
    shutil.copyfile(newer, machine.root / "root/newer.deb")
    before = main_pid(machine)
    # Who looks at the console while it is upgraded: five times a second, and again as soon as it is answered.
    once = "curl -sk -m 60 -o /dev/null -w '%{http_code}\\n' https://127.0.0.1:8443/api/v1/health || echo refused"
    asks = f"while ! [ -e /tmp/enough ]; do {once}; sleep 0.2; done"
    asking = subprocess.Popen(
        [*machine.enter(), "sh", "-c", asks],
        stdout=subprocess.PIPE,
        text=True,
    )
    playing = calls(machine, 10, 60.0)
    time.sleep(5)

    said = install(machine, "/root/newer.deb")

    assert "Setting up vittne (1:" in said
    assert main_pid(machine) != before
    playing.join()
    machine.run("touch", "/tmp/enough")
    answers = asking.communicate(timeout=70)[0].split()
    assert set(answers) == {"200"}, answers
    time.sleep(7)  # the hold-back and a commit
    machine.run("systemctl", "stop", "vittne.service")
    data = taken_out(machine, tmp_path)
    found = listed(data)
    assert [call["outcome"] for call in found] == ["recorded"] * 10, (found, logged(machine))
    for call in found:
        for numbers in stored_packets(data, call).values():
            assert set(numbers.values()) == {1}
            assert len(numbers) == 3000
    assert vittne("verify", "--all", "--data", str(data)).returncode == 0


def test_what_was_recorded_outlives_removal_and_purge(machine: Machine) -> None:
    start(machine)
    calls(machine, 1, 3.0).join()
    time.sleep(5)

    machine.run("apt-get", "remove", "-y", "vittne")

    assert machine.run("systemctl", "is-active", "vittne.service", check=False).out.strip() != "active"
    recorded = machine.shell("cd /var/lib/vittne && find . -type f | sort").out
    assert "keyring.json" in recorded
    machine.run("apt-get", "purge", "-y", "vittne")
    assert machine.shell("cd /var/lib/vittne && find . -type f | sort").out == recorded
    assert machine.shell("ls /usr/lib/vittne /usr/bin/vittne 2>/dev/null", check=False).out == ""
    assert machine.run("getent", "passwd", "vittne").status == 0
