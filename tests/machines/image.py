"""Images of machines: a release of Debian with systemd, made once by debootstrap and kept in the user's cache.

Nothing is fetched from elsewhere than this machine's own packages come from: mirror, name servers and certificates
are read from its configuration. An image is never written to again: who boots it writes beside it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import IO, Final

TOOLS: Final = {  # what is needed of this machine: program, package of Debian
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "setpriv": "util-linux",
}
BASE: Final = ("systemd", "systemd-sysv", "dbus", "iproute2", "procps", "ca-certificates", "python3", "adduser")
_RECIPE: Final = "2"  # another number when images are made in another way
# Shown to a machine as they are here, so that apt and pip in it find what they find outside.
_OUTSIDE: Final = ("/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_WAYS_OUT: Final = ("PIP_CERT", "PIP_INDEX_URL", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")


class CannotMake(Exception):
    """What this machine lacks, in words."""


def image(release: str = "bookworm", packages: tuple[str, ...] = ()) -> Path:
    """Return the root folder of a release with these packages and BASE; makes it when it is not there (a minute).

    packages: Debian's names. Raises CannotMake where a tool or the right is missing.
    """
    check_tools()
    wanted = sorted({*BASE, *packages})
    name = f"{release}-{hashlib.sha256(' '.join([_RECIPE, *wanted]).encode()).hexdigest()[:12]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vittne-machines"
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / name
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other wait for the first
        if not made.is_dir():
            _make(made.with_name(f"{name}.begun"), release, wanted, cache / f"{name}.log")
            made.with_name(f"{name}.begun").rename(made)
    return made


def check_tools() -> None:
    """Raise CannotMake naming what is missing: a machine is never left out silently."""
    missing = [f"{tool} (package {package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise CannotMake(f"missing for booting machines: {', '.join(missing)}; .ci/need installs them")
    if os.geteuid() != 0:
        raise CannotMake("machines are booted by root only")


def ways_out() -> dict[str, str]:
    """Return those environment variables of this process that say how packages are fetched from outside."""
    return {name: value for name, value in os.environ.items() if name in _WAYS_OUT}


def bring_ways_out(root: Path) -> None:
    """Copy the files that say how names are found and packages are fetched into a root folder."""
    for path in _OUTSIDE:
        target = root / path.lstrip("/")
        if Path(path).is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target)


def _make(root: Path, release: str, packages: list[str], log: Path) -> None:
    if root.exists():
        shutil.rmtree(root)  # begun by a run that was ended
    with log.open("wb") as out:
        _run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(BASE)}", release, str(root), _mirror()], out, log
        )
        bring_ways_out(root)
        more = [package for package in packages if package not in BASE]
        inside = ["systemd-nspawn", "--register=no", "--keep-unit", "-q", "-D", str(root), "--resolv-conf=off"]
        environment = [f"--setenv={name}={value}" for name, value in ways_out().items()]
        install = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"
        if more:
            _run([*inside, *environment, "--", "sh", "-c", f"{install} {' '.join(more)}"], out, log)
    shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
    (root / "etc/machine-id").write_text("uninitialized\n")  # each machine gets its own
    # Its first boot enables whatever is there; that one waits for a time server, which a machine without way out lacks.
    preset = root / "etc/systemd/system-preset/00-no-waiting.preset"
    preset.parent.mkdir(parents=True, exist_ok=True)
    preset.write_text("disable chrony-wait.service\n")
    (root / "var/log/journal").mkdir(parents=True, exist_ok=True)  # what it said outlives a reboot


def _run(command: list[str], out: IO[bytes], log: Path) -> None:
    done = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise CannotMake(f"{command[0]} ended with {done.returncode}:\n{log.read_text(errors='replace')[-2000:]}")


def _mirror() -> str:
    """Return where this machine gets the main part of Debian from."""
    asked = ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines():
        release, component, uri = line.split()
        if component == "main" and "-" not in release and uri.rstrip("/").endswith("/debian"):
            return uri
    raise CannotMake("apt-get of this machine names no mirror of Debian (a line for .../debian, main)")
