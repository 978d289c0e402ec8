"""Machines for tests: a Debian with systemd as its first process, booted for one test and gone after it.

A machine has a kernel in common with this one and everything else for itself. Two cables lead out of it into a room
(rig.namespaces): `host0` with an address, over which people and Ansible come, and `mirror0` without one, where the
switch's mirror port would be; in the room they are called `desk` and `mirror`. What is sent stays in that room.
Commands run in the machine with its network, or, for apt and pip, with the network of this machine (outside=True).
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from machines.image import bring_ways_out, image, ways_out
from rig.namespaces import Room, building, end

ADDRESS: Final = "198.18.7.2"  # of the machine on host0; RFC 2544: nobody else's
DESK_ADDRESS: Final = "198.18.7.1"
_UP: Final = ("running", "degraded")
# Each machine in control groups of its own, else two at once would take each other's for theirs. One unified tree in
# it, as Debian has. The mount of its disk is private: it goes with the process.
_BOOT: Final = """
set -eu
for tree in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    if [ -e "$tree/cgroup.procs" ]; then
        mkdir -p "$tree/$3"
        echo $$ >"$tree/$3/cgroup.procs"
    fi
done
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
shift 2
name=$1
shift
exec systemd-nspawn --register=no --keep-unit --quiet --resolv-conf=off -D "$ROOT" --boot --machine="$name" \
    --hostname=recorder --network-veth-extra=desk:host0 --network-veth-extra=mirror:mirror0 "$@"
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    status: int
    out: str
    err: str


@dataclass
class Machine:
    """One machine; boot() it, and stop() it for sure (booted() does both)."""

    base: Path  # the image, never written
    folder: Path  # what this machine writes, and its console
    room: Room  # the other ends of its cables
    options: tuple[str, ...] = ()  # for systemd-nspawn
    name: str = field(default_factory=lambda: f"vittne-{uuid.uuid4().hex[:8]}")
    _process: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Start it and wait until it is up. Raises RuntimeError with what its console says when it does not come up."""
        assert self._process is None
        for part in ("upper", "work", "root"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        if not (self.folder / "upper/etc/resolv.conf").exists():
            bring_ways_out(self.folder / "upper")
        # Ends with the test run, however that ends; and nspawn's end takes all of the machine with it.
        command = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--net=/proc/{self.room.pid}/ns/net"]
        command += ["unshare", "--mount", "sh", "-c", _BOOT, "boot", str(self.base), str(self.folder), self.name]
        with self.console.open("ab") as out:
            self._process = subprocess.Popen(
                [*command, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "ROOT": str(self.folder / "root")},
            )
        self._wait_until_up(time.monotonic() + 120)
        for room_end in ("desk", "mirror"):
            self.room.run("ip", "link", "set", room_end, "up")
        self.room.run("ip", "address", "replace", f"{DESK_ADDRESS}/30", "dev", "desk")
        self.run("ip", "address", "replace", f"{ADDRESS}/30", "dev", "host0")
        for inner in ("host0", "mirror0"):
            self.run("ip", "link", "set", inner, "up")

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def leader(self) -> int:
        """Its first process, as this machine counts. Raises RuntimeError when it is off."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.name} is off:\n{self._said()}")
        pid = self._process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() in ("systemd", "init"):
                    return int(child)
        raise LookupError

    @property
    def root(self) -> Path:
        """Its disk, seen from outside."""
        return Path(f"/proc/{self.leader}/root")

    def enter(self, outside: bool = False) -> list[str]:
        """Return the words before a command that runs in it; outside: with the network of this machine."""
        spaces = ["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wdns=/root"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        clean = ["env", "-i", path, "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        ways = [f"{name}={value}" for name, value in ways_out().items()] if outside else []
        return ["nsenter", "--target", str(self.leader), *spaces, *([] if outside else ["--net"]), *clean, *ways]

    def run(
        self, *command: str, check: bool = True, given: str = "", outside: bool = False, timeout_s: float = 300
    ) -> Ran:
        """Run a command in it as root to its end. Raises RuntimeError with what it said when check and it failed."""
        whole = [*self.enter(outside), *command]
        done = subprocess.run(whole, input=given, capture_output=True, text=True, check=False, timeout=timeout_s)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
        return Ran(done.returncode, done.stdout, done.stderr)

    def shell(self, script: str, check: bool = True, outside: bool = False, timeout_s: float = 300) -> Ran:
        """Run a piece of shell in it."""
        return self.run("sh", "-euc", script, check=check, outside=outside, timeout_s=timeout_s)

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """Write a file of root's in it, with its folders."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        target.chmod(mode)

    def reboot(self) -> None:
        """Let it shut itself down in order, and boot it again."""
        self.run("systemctl", "reboot", check=False)
        self._ended(90)
        self.boot()

    def power_off(self) -> None:
        """Take its power away: nothing in it is told. boot() starts it again from what is on its disk."""
        os.kill(self.leader, 9)
        self._ended(30)

    def stop(self) -> None:
        """Stop it for sure; what it wrote is left in its folder."""
        if self._process is None:
            return
        end(self._process, 60)
        self._process = None
        for tree in ("systemd", "unified", ""):
            top = Path("/sys/fs/cgroup") / tree / self.name
            for group, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(group)

    def _wait_until_up(self, until: float) -> None:
        while time.monotonic() < until:
            # Asked again and again: who asks a systemd that is not ready with --wait may wait for an answer for ever.
            with contextlib.suppress(LookupError, OSError, subprocess.TimeoutExpired):
                said = self.run("systemctl", "is-system-running", check=False, timeout_s=10)
                if said.out.strip() in _UP:
                    return
            time.sleep(0.5)
        raise RuntimeError(f"{self.name} did not come up:\n{self._said()}")

    def _ended(self, timeout_s: float) -> None:
        assert self._process is not None
        self._process.wait(timeout_s)
        self.stop()

    def _said(self) -> str:
        return self.console.read_text(errors="replace")[-3000:] if self.console.exists() else ""


@contextlib.contextmanager
def booted(
    folder: Path, release: str = "bookworm", packages: tuple[str, ...] = (), options: tuple[str, ...] = ()
) -> Iterator[Machine]:
    """Boot a machine of a release with more packages than machines.image.BASE, and stop it when the block ends.

    folder: on a disk (not a tmpfs of this machine), for what it writes. options: more words for systemd-nspawn, as
    --bind-ro=PATH. Raises CannotMake where tools are missing.
    """
    base = image(release, packages)
    with building() as made:
        machine = Machine(base, folder, made.room("outside"), options)
        try:
            machine.boot()
            yield machine
        finally:
            machine.stop()
