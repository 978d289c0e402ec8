#!/usr/bin/python3
"""Builds the Debian package: dist/vittne_VERSION_ARCH.deb, for the release whose python3 runs this.

Run by `make package`. The package carries an environment of its own below /usr/lib/vittne with exactly what
requirements.lock says, checked by hash, as its publishers built it; nothing of it is seen by the rest of the machine.
It needs that release's Python, so there is one package for each release. Standard library only.
"""

from __future__ import annotations

import argparse
import datetime
import email.utils
import gzip
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
TOP: Final = HERE.parent.parent
HOME: Final = "usr/lib/vittne"
PYTHON: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
_BUILD_ONLY: Final = ("setuptools", "pip", "wheel")
# What publishers leave in wheels and nobody runs: it would be compiled on each machine.
_LEFT_OUT: Final = (
    "numpy/**/tests",
    "numpy/f2py",
    "numpy/_core/include",
    "numpy/_core/_*_tests.*",
    "**/*.pyi",
    "**/*.h",
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=TOP / "dist", help="where the package goes")
    options.add_argument("--work", type=Path, default=TOP / "build" / "package", help="is emptied first")
    options.add_argument("--revision", default="1", help="of the package, of one version of the program")
    wanted = options.parse_args()
    if Path(sys.executable).resolve() != Path(f"/usr/bin/{PYTHON}"):
        sys.exit(f"{sys.executable} is not the release's own Python; run this with /usr/bin/python3")
    print(build(wanted.out, wanted.work, wanted.revision))


def build(out: Path, work: Path, revision: str) -> Path:
    """Build the package; returns its path."""
    if work.exists():
        shutil.rmtree(work)
    root = work / "root"
    site = root / HOME / "lib" / PYTHON / "site-packages"
    site.mkdir(parents=True)
    install_programs(work, site)
    make_environment(root)
    place_files(root)
    version = f"{program_version()}-{revision}~{release()}"
    write_documents(root, site, version)
    write_control(root, version)
    settle_modes(root)
    out.mkdir(parents=True, exist_ok=True)
    made = out / f"vittne_{version}_{architecture()}.deb"
    run("dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--build", str(root), str(made))
    return made


def install_programs(work: Path, site: Path) -> None:
    """Fetch what the lock file says into site, then the program itself."""
    locked = work / "requirements.lock"
    blocks = re.split(r"\n(?=[a-zA-Z])", (TOP / "requirements.lock").read_text())
    locked.write_text("\n".join(block for block in blocks if block.split("==")[0] not in _BUILD_ONLY))
    run(sys.executable, "-m", "venv", str(work / "venv"))
    pip = [str(work / "venv/bin/python"), "-m", "pip", "--quiet", "--no-input", "--disable-pip-version-check"]
    build_end = work / "build.lock"
    build_end.write_text(next(block for block in blocks if block.startswith("setuptools==")))
    run(*pip, "install", "--require-hashes", "--requirement", str(build_end))
    wheel = ["--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(work / "wheel"), str(TOP)]
    into = ["install", "--target", str(site), "--no-compile", "--no-deps"]
    run(*pip, *into, "--require-hashes", "--only-binary", ":all:", "--requirement", str(locked))
    run(*pip, "wheel", *wheel)
    run(*pip, *into, "--no-index", *map(str, (work / "wheel").glob("*.whl")))
    for pattern in _LEFT_OUT:
        for path in site.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(site / "bin", ignore_errors=True)


def make_environment(root: Path) -> None:
    """Make site a virtual environment of the release's Python, without anything that would install into it."""
    (root / HOME / "bin").mkdir()
    for name in ("python", "python3", PYTHON):
        (root / HOME / "bin" / name).symlink_to(f"../../../bin/{PYTHON}")
    lines = ("home = /usr/bin", "include-system-site-packages = false", f"version = {sys.version.split()[0]}")
    (root / HOME / "pyvenv.cfg").write_text("\n".join(lines) + "\n")
    command = root / "usr/bin/vittne"
    command.parent.mkdir(parents=True)
    # -P and -s: nothing from the folder one stands in, nor from the home of who runs it.
    command.write_text(f'#!/bin/sh\nexec /{HOME}/bin/python3 -Ps -m vittne.appliance "$@"\n')


def place_files(root: Path) -> None:
    """Put units, users, folders, settings and lintian's exceptions where Debian has them."""
    units = TOP / "systemd"
    places = {
        units / "vittne.service": "usr/lib/systemd/system/vittne.service",
        units / "vittne.socket": "usr/lib/systemd/system/vittne.socket",
        units / "vittne-edge.service": "usr/lib/systemd/system/vittne-edge.service",
        units / "vittne-edge.socket": "usr/lib/systemd/system/vittne-edge.socket",
        units / "vittne.sysusers": "usr/lib/sysusers.d/vittne.conf",
        units / "vittne.tmpfiles": "usr/lib/tmpfiles.d/vittne.conf",
        units / "vittne-stop": f"{HOME}/vittne-stop",
        HERE / "vittne.toml": "etc/vittne/vittne.toml",
        HERE / "lintian-overrides": "usr/share/lintian/overrides/vittne",
    }
    for source, place in places.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, root / place)


def write_documents(root: Path, site: Path, version: str) -> None:
    """Write manual page, copyright and changelog."""
    documents = root / "usr/share/doc/vittne"
    documents.mkdir(parents=True)
    manual = root / "usr/share/man/man1/vittne.1.gz"
    manual.parent.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(site), "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"}
    page = subprocess.run([sys.executable, str(HERE / "manpage.py")], env=environment, capture_output=True, check=True)
    manual.write_bytes(gzip.compress(page.stdout, 9, mtime=0))
    made = subprocess.run([sys.executable, str(HERE / "licences.py"), str(site)], capture_output=True, check=True)
    (documents / "copyright").write_bytes(made.stdout)
    day = datetime.datetime.fromtimestamp(changed_at(), datetime.UTC)
    lines = [
        f"vittne ({version}) unstable; urgency=medium",
        "",
        "  * What changed: see changelog.gz beside this file.",
        "",
    ]
    lines += [f" -- {maintainer()}  {email.utils.format_datetime(day)}", ""]
    (documents / "changelog.Debian.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 9, mtime=0))
    (documents / "changelog.gz").write_bytes(gzip.compress((TOP / "CHANGELOG.md").read_bytes(), 9, mtime=0))


def write_control(root: Path, version: str) -> None:
    """Write what dpkg reads, and the scripts that it runs."""
    control = root / "DEBIAN"
    control.mkdir()
    files = sorted(path for path in root.rglob("*") if path.is_file() and control not in path.parents)
    after = f"python{sys.version_info.major} (<< {sys.version_info.major}.{sys.version_info.minor + 1})"
    values = {
        "VERSION": version,
        "ARCHITECTURE": architecture(),
        "MAINTAINER": maintainer(),
        "SIZE": str(sum(path.stat().st_size for path in files if not path.is_symlink()) // 1024),
        "PYTHON": f"{PYTHON}, python3 (>= {PYTHON.removeprefix('python')}~), {after}",
    }
    text = (HERE / "control").read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    (control / "control").write_text(text)
    (control / "conffiles").write_text("/etc/vittne/vittne.toml\n")
    for script in ("postinst", "prerm", "postrm"):
        text = (HERE / script).read_text().replace("@PYTHON@", PYTHON.removeprefix("python"))
        (control / script).write_text(text)
    sums = subprocess.run(
        ["md5sum", *(str(path.relative_to(root)) for path in files if not path.is_symlink())],
        cwd=root,
        capture_output=True,
        check=True,
    )
    (control / "md5sums").write_bytes(b"".join(line for line in sums.stdout.splitlines(True) if b"  etc/" not in line))


def settle_modes(root: Path) -> None:
    """Give all files the rights that policy wants, whatever umask this was built under."""
    programs = {root / "usr/bin/vittne", root / HOME / "vittne-stop"}
    programs |= {root / "DEBIAN" / script for script in ("postinst", "prerm", "postrm")}
    for path in [root, *root.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path in programs else 0o644)


def program_version() -> str:
    found = re.search(r'VERSION: Final = "([^"]+)"', (TOP / "appliance/version.py").read_text())
    assert found is not None
    return found.group(1)


def release() -> str:
    """Return the release this is built on, as deb12: one of its packages sorts before the next release's."""
    told = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    name = {"debian": "deb"}.get(told["ID"], told["ID"])
    return name + told.get("VERSION_ID", "0").strip('"')


def architecture() -> str:
    return subprocess.run(["dpkg", "--print-architecture"], capture_output=True, text=True, check=True).stdout.strip()


def maintainer() -> str:
    """Return who packs it: what Debian's tools take from the environment, where it is set."""
    name, address = os.environ.get("DEBFULLNAME", "Vittne maintainers"), os.environ.get("DEBEMAIL")
    return f"{name} <{address or 'vittne@packages.example'}>"


def changed_at() -> int:
    """Return when the newest of what is packed was changed: two builds of one commit say the same."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    asked = ["git", "-C", str(TOP), "log", "-1", "--format=%ct"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return int(given or said or (TOP / "CHANGELOG.md").stat()[stat.ST_MTIME])


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
