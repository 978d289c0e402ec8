"""The playbooks, run over SSH against a machine of their own: nothing about it is made up but its mirror port."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from machines.machine import ADDRESS, DESK_ADDRESS, Machine, booted
from rig.live import load_module, play
from rig.packets import sender_in

pytestmark = pytest.mark.machine
load = load_module()
ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT / ".venv/ansible/bin"
PACKAGES = ("openssh-server", "python3-apt", "python3-venv", "ethtool", "nftables", "chrony")  # it has no way out
NEXT_STEP = (
    '"""A step of a later version."""\n\nrevision = "9998"\ndown_revision = "{}"\n\n\n'
    'def upgrade() -> None:\n    """Change nothing."""\n'
)


@dataclass
class Control:
    """Where playbooks are started: this side, on the desk's cable."""

    machine: Machine
    folder: Path
    variables: dict[str, Any]

    def playbook(self, name: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        inventory = {"recorders": {"hosts": {"recorder": {**self.variables, **more}}}}
        (self.folder / "inventory.json").write_text(json.dumps(inventory))
        program = shutil.which("ansible-playbook", path=f"{PROGRAMS}:/usr/bin")
        assert program, "make ansible brings ansible-playbook"
        return self.machine.room.run(
            *(program, "-i", str(self.folder / "inventory.json"), name, *options),
            check=False,
            cwd=ROOT / "ansible",
            timeout=900,
        )


def wheel(source: Path, target: Path) -> str:
    """Build the wheel of a copy of the project; return its path."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", target, source], check=True)
    (found,) = target.glob("vittne-*.whl")
    return str(found)


def source(target: Path) -> Path:
    for name in ("capture", "codecs", "appliance"):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, target)
    return target


def broken(target: Path) -> Path:
    """A later version that migrates the catalogue and then finds that it cannot record."""
    made = source(target)
    tables = made / "appliance/store/tables.py"
    (head,) = re.findall(r'HEAD: Final = "(\d+)"', tables.read_text())
    tables.write_text(tables.read_text().replace(f'HEAD: Final = "{head}"', 'HEAD: Final = "9998"'))
    (made / "appliance/store/migrations/versions/9998_next.py").write_text(NEXT_STEP.format(head))
    record = made / "appliance/record_command.py"
    before = "    config = options.config\n    hub = Hub("
    assert before in record.read_text()
    record.write_text(record.read_text().replace(before, f'    raise RecordError("broken", "here", "go")\n{before}'))
    return made


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Control]:
    folder = tmp_path_factory.mktemp("ansible")
    wheels = folder / "wheels"
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary", ":all:"]
    subprocess.run([*download, "--requirement", ROOT / "requirements.lock", "--dest", wheels], check=True)
    subprocess.run(["tar", "-C", wheels, "-cf", folder / "wheelhouse.tar", "."], check=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    ssh = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    variables = {
        "ansible_host": ADDRESS,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(folder / "key"),
        "ansible_ssh_common_args": ssh,
        "vittne_wheel": wheel(source(folder / "good"), folder / "first"),
        "vittne_wheelhouse": str(folder / "wheelhouse.tar"),
        "vittne_interfaces": [{"name": "mirror0"}],
        "vittne_listen": ["0.0.0.0"],
        "vittne_console_from": [f"{DESK_ADDRESS}/32"],
        "vittne_backup_target": "/var/backups/vittne",
        "vittne_config": {"hold_back_s": 2.0},
        "vittne_credentials": {"archive-passphrase": "six words that nobody would guess"},
    }
    with booted(folder / "machine", packages=PACKAGES) as machine:
        machine.write("/root/.ssh/authorized_keys", (folder / "key.pub").read_text(), 0o600)
        machine.run("apt-get", "update", "-qq", outside=True)
        machine.run("systemctl", "restart", "ssh")
        yield Control(machine, folder, variables)


def changed(done: subprocess.CompletedProcess[str]) -> int:
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    (count,) = re.findall(r"changed=(\d+)", done.stdout)
    return int(count)


def answers(control: Control) -> bool:
    url = f"https://{ADDRESS}:8443/api/v1/health"
    return '"ok"' in control.machine.room.run("curl", "-sk", "--max-time", "20", url, check=False).stdout


def test_a_recorder_is_installed_upgraded_backed_up_and_taken_away(control: Control) -> None:
    machine = control.machine
    assert changed(control.playbook("site.yml", "--check", "--diff")) > 0
    assert machine.run("test", "-e", "/etc/vittne", check=False).status == 1

    first = control.playbook("site.yml")
    assert changed(first) > 0
    assert "six words" not in first.stdout
    assert answers(control)
    link = machine.run("ip", "link", "show", "mirror0").out
    assert "PROMISC" in link
    assert "NOARP" in link
    assert "passphrase" in machine.run("vittne", "keys", "status", "--data", "/var/lib/vittne").out
    assert changed(control.playbook("site.yml")) == 0

    # Calls go on over an upgrade that fails after it migrated the catalogue.
    plan = load.Load(calls=3, seconds=150.0, stagger_s=0.2, seed=5)
    sender = sender_in(machine.room, "mirror")
    playing = threading.Thread(target=play, args=(sender, load.build_frames(plan)), daemon=True)
    playing.start()
    running = machine.run("readlink", "/opt/vittne/current").out
    worse = wheel(broken(control.folder / "broken"), control.folder / "second")
    failed = control.playbook("upgrade.yml", vittne_wheel=worse, vittne_start_timeout_s=16)
    assert failed.returncode != 0
    assert "The former version records again" in failed.stdout, failed.stdout[-6000:]
    assert machine.run("readlink", "/opt/vittne/current").out == running
    assert answers(control)
    playing.join()
    time.sleep(8)  # hold-back and commit, before it is asked
    calls = json.loads(machine.run("vittne", "list", "--json", "--data", "/var/lib/vittne").out)
    assert [call["outcome"] for call in calls] == ["recorded"] * 3, calls
    assert all(stream["lost"] == 0 for call in calls for stream in call["streams"])

    better = source(control.folder / "better")
    (better / "appliance/version.py").open("a").write("# another wheel\n")
    assert changed(control.playbook("upgrade.yml", vittne_wheel=wheel(better, control.folder / "third"))) > 0
    assert machine.run("readlink", "/opt/vittne/current").out != running
    assert machine.run("test", "-e", "/var/lib/vittne/catalogue.upgrade.db", check=False).status == 1

    assert changed(control.playbook("backup.yml")) > 0

    assert changed(control.playbook("uninstall.yml")) > 0
    assert machine.run("systemctl", "cat", "vittne.service", check=False).status != 0
    assert not answers(control)
    assert len(list((machine.root / "var/lib/vittne/recordings").glob("*/*/*/*/manifest.json"))) == 3
