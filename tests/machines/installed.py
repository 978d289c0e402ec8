"""The Debian package for tests: built once for a run, installed in a machine, and a recorder that runs there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from machines.machine import Machine, booted
from rig.live import load_module, play
from rig.packets import sender_in

TOP = Path(__file__).resolve().parents[2]
load = load_module()


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, as `make package` builds it; VITTNE_PACKAGE names one that is to be tried instead."""
    if given := os.environ.get("VITTNE_PACKAGE"):
        return Path(given).resolve()
    folder = tmp_path_factory.mktemp("package")
    out = ["--out", str(folder), "--work", str(folder / "work")]
    command = ["/usr/bin/python3", str(TOP / "systemd/package/build.py"), *out]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def newer(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same program as a package with a higher version, not packed tightly."""
    folder = tmp_path_factory.mktemp("newer")
    root = folder / "root"
    subprocess.run(["dpkg-deb", "-R", str(package), str(root)], check=True)
    control = root / "DEBIAN/control"
    lines = control.read_text().splitlines()
    version = next(line.split(": ")[1] for line in lines if line.startswith("Version: "))
    control.write_text("\n".join(line.replace(version, f"1:{version}") for line in lines) + "\n")
    made = folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(root), str(made)], check=True)
    shutil.rmtree(root)
    return made


@pytest.fixture
def machine(package: Path, tmp_path: Path) -> Iterator[Machine]:
    """A machine with the package installed, and nothing configured."""
    binds = (f"--bind-ro={package}:/packages/vittne.deb",)
    with booted(tmp_path / "machine", "bookworm", ("curl", "man-db"), binds) as made:
        install(made, "/packages/vittne.deb")
        yield made


def install(machine: Machine, path: str) -> str:
    """Install a package file as an administrator does; returns what was said."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", path]
    return machine.run(*command, outside=True).out


def start(machine: Machine, settings: str = "") -> None:
    """Name the mirror port, and have the recorder started now and at boot; back when it says that it records."""
    machine.write("/etc/vittne/vittne.toml", f'interfaces = ["mirror0"]\nhold_back_s = 2\n{settings}')
    machine.run("systemctl", "enable", "--now", "vittne.service")


def main_pid(machine: Machine) -> str:
    """Return the recorder's process, as the machine counts."""
    return machine.run("systemctl", "show", "-P", "MainPID", "vittne.service").out.strip()


def calls(machine: Machine, number: int, seconds: float) -> threading.Thread:
    """Have calls come in at the mirror port from now on; join() what is returned for their end."""
    sender = sender_in(machine.room, "mirror")
    plan = load.Load(calls=number, seconds=seconds, stagger_s=0.2, seed=7)
    playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)
    playing.start()
    return playing


def listed(machine: Machine, *options: str) -> list[dict[str, Any]]:
    """Return the calls that the recorder of the machine knows."""
    command = ["vittne", "list", "--json", "--data", "/var/lib/vittne", *options]
    found: list[dict[str, Any]] = json.loads(machine.run("runuser", "-u", "vittne", "--", *command).out)
    return found


def taken_out(machine: Machine, folder: Path) -> Path:
    """Copy the recordings and keys out of the machine, where rig.live can look into them."""
    data = folder / "data"
    subprocess.run(["cp", "-a", str(machine.root / "var/lib/vittne"), str(data)], check=True)
    return data


def logged(machine: Machine) -> str:
    return machine.run("journalctl", "-u", "vittne.service", "--no-pager", "-o", "cat").out
