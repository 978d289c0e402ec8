"""The units: systemd reads them, and finds little that a program taken over could do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "systemd"
MOST = {"vittne.service": 1.5, "vittne-edge.service": 2.5}  # of 10; systemd-analyze calls up to 4 "ok"


def analyze(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", MOST)
def test_the_services_can_do_little(tmp_path: Path, name: str) -> None:
    unit = shutil.copy(UNITS / name, tmp_path)

    said = analyze("security", "--offline=yes", "--no-pager", str(unit))

    assert float(said.split(f"{name}:")[1].split()[0]) <= MOST[name], said


def test_systemd_knows_every_line(tmp_path: Path) -> None:
    names = ("vittne.service", "vittne.socket", "vittne-edge.service", "vittne-edge.socket")
    for name in names:
        text = (UNITS / name).read_text().replace("/usr/bin/vittne ", "/bin/true ")
        (tmp_path / name).write_text(text.replace("/usr/lib/vittne/vittne-stop", "/bin/true"))

    said = analyze("verify", "--man=no", *(str(tmp_path / name) for name in names))

    ours = [line for line in said.splitlines() if "vittne" in line and "Failed to" not in line]
    assert ours == [], said


def test_the_shell_reads_what_ends_the_service() -> None:
    subprocess.run(["sh", "-n", str(UNITS / "vittne-stop")], check=True)


def test_users_are_made_as_systemd_reads_them() -> None:
    done = subprocess.run(
        ["systemd-sysusers", "--dry-run", str(UNITS / "vittne.sysusers")], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert "vittne-keys" in done.stdout + done.stderr
