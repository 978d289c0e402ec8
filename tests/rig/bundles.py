"""Evidence bundles for tests: an archive with stamps, an empty root in which a stranger looks, and a forger's tools."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cuts import three_parts
from ledgers import lines
from recordings import record
from rig.authority import Authority
from scenarios import basic

from vittne.appliance.__main__ import run
from vittne.appliance.evidence.log import Log
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.seal.note import sign_note
from vittne.appliance.seal.signing import SigningKey, load_key, load_verifier
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.times import from_rfc3339

PROGRAMS: Final = ("sh", "sha256sum", "openssl", "cut", "grep", "head", "tail", "sed", "base64", "ls", "test", "cat")
SCRIPTS: Final = ("verify.py", "primitives.py")
SOURCE: Final = Path(__file__).resolve().parents[2] / "appliance/evidence"


def note_of(data: Path) -> bytes:
    """The newest signed checkpoint."""
    return Log(data / "ledger", load_verifier(data / "keys")).note


def log_something(data: Path) -> None:
    """Let the ledger grow."""
    registrar = Registrar(data)
    registrar.ledger.record({"t": "clock", "step_us": 1})
    registrar.close()


def stamp(data: Path, authority: Authority, note: bytes = b"", name: str = "test") -> Path:
    """Have a checkpoint stamped, as it lies in an archive; return the folder."""
    note = note or note_of(data)
    folder = data / "stamps" / f"{note.splitlines()[1].decode()}-{name}"
    folder.mkdir(parents=True)
    (folder / "checkpoint").write_bytes(note)
    query = folder / "request.tsq"
    command = ["openssl", "ts", "-query", "-data", str(folder / "checkpoint"), "-sha256", "-cert", "-out", str(query)]
    subprocess.run(command, check=True, capture_output=True)
    (folder / "token.tsr").write_bytes(authority.answer(query.read_bytes()))
    (folder / "chain.pem").write_bytes(authority.signer.pem + authority.middle.pem + authority.root.pem)
    return folder


def two_recordings(where: Path) -> Path:
    """Make an archive with a call that can be heard and one of three parts; return its data directory."""
    data = record(basic.basic_call(), where).data
    three_parts(data)
    return data


def ids(data: Path) -> list[str]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return [call.id for call in catalogue.list_calls(Search())]


def bundle(data: Path, output: Path, *more: object, recs: Iterable[str] = ()) -> Path:
    """Make a bundle of all recordings, or of some."""
    wanted = list(recs) or ids(data)
    assert run(["bundle", *wanted, "--data", str(data), "-o", str(output), *map(str, more)]) == 0
    return output


@dataclass
class EmptyRoot:
    """A folder with python3, openssl, a few programs of coreutils, their libraries, and nothing else: for chroot."""

    top: Path
    python: str = field(default=os.path.realpath(sys.executable))

    @classmethod
    def make(cls, top: Path, sample: Path) -> EmptyRoot:
        """sample: a bundle; checking it shows which modules of the standard library are needed."""
        assert os.geteuid() == 0, "an empty root is entered with chroot(8): these tests must run as root"
        root = cls(top)
        for program in PROGRAMS:
            found = shutil.which(program)
            assert found, f"{program} is missing: it is what a stranger checks a bundle with"
            root._copy(Path(os.path.realpath(found)), Path("/usr/bin") / program)
        root._copy(Path(root.python), Path(root.python))
        for module in root._modules(sample):
            root._copy(module, module)
        (top / "tmp").mkdir()
        shutil.copytree(SOURCE, top / "trusted", ignore=lambda _, names: [n for n in names if n not in SCRIPTS])
        return root

    def look(self, bundle: Path, *options: str) -> tuple[int, str]:
        """Check a bundle that lies in the root with the trusted verify.py; return status and output."""
        inside = "/" + str(bundle.relative_to(self.top))
        return self.run([self.python, "-I", "/trusted/verify.py", *options, inside])

    def run(self, command: list[str], folder: str = "/") -> tuple[int, str]:
        """Run a command in the root."""
        chroot = shutil.which("chroot", path="/usr/sbin:/sbin:/usr/bin") or "chroot"
        entered = [chroot, str(self.top), "/usr/bin/sh", "-c", 'cd "$0" && exec "$@"', folder, *command]
        done = subprocess.run(
            entered, check=False, capture_output=True, text=True, env={"PATH": "/usr/bin"}, timeout=60
        )
        return done.returncode, done.stdout + done.stderr

    def _modules(self, sample: Path) -> list[Path]:
        code = (
            "import sys, runpy, encodings.ascii, encodings.utf_8_sig, _strptime; sys.argv = sys.argv[1:]\n"
            "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "except SystemExit: pass\n"
            "files = {getattr(m, '__file__', None) for m in list(sys.modules.values())}\n"
            "print(); print(*filter(None, files), sep='\\n')"
        )
        command = [self.python, "-I", "-c", code, str(SOURCE / "verify.py"), str(sample)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        library = sysconfig.get_paths()["stdlib"]
        return [Path(line) for line in lines if line.startswith(library) and "site-packages" not in line]

    def _copy(self, source: Path, target: Path) -> None:
        inside = self.top / target.relative_to("/")
        if inside.exists():
            return
        inside.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, inside)
        if source.suffix == ".py":
            return
        told = subprocess.run(["ldd", str(source)], check=False, capture_output=True, text=True).stdout
        for word in told.split():
            if word.startswith("/") and Path(word).is_file():
                self._copy(Path(word), Path(word))


@dataclass
class World:
    """top: the root, outside of chroot. The files in it are what a stranger got from elsewhere."""

    data: Path
    root: EmptyRoot
    authority: Authority
    good: Path  # the bundle

    @property
    def top(self) -> Path:
        return self.root.top

    def look(self, bundle: Path, *more: str) -> tuple[int, str]:
        """Check a bundle with what was got from elsewhere."""
        known = ("--key", "/known/key.pem", "--ca", "/known/ca.pem", "--checkpoint", "/known/checkpoint")
        return self.root.look(bundle, *known, *more)


# A forger's tools


def flip(path: Path, at: int) -> None:
    """Turn one bit of a file; at: a byte, counted from the end when below 0."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def replace(path: Path, old: bytes, new: bytes) -> None:
    """Write something else for the first time that it stands there."""
    data = path.read_bytes()
    assert old in data, f"{old!r} is not in {path}"
    path.write_bytes(data.replace(old, new, 1))


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON object, written back as it was: sorted, without spaces."""
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")))


def list_again(bundle: Path, key: SigningKey | None = None) -> None:
    """Make the lists of a bag fit what is in it now; sign them when there is a key, else take the signature away."""
    tags = ("tagmanifest-sha256.txt", "tagmanifest-sha256.note", "manifest-sha256.txt")
    paths = [path for path in sorted(bundle.rglob("*")) if path.is_file() and path.name not in tags]
    names = [path.relative_to(bundle).as_posix() for path in paths]

    def listed(some: list[str]) -> bytes:
        return "".join(f"{hashlib.sha256((bundle / n).read_bytes()).hexdigest()}  {n}\n" for n in some).encode()

    (bundle / tags[2]).write_bytes(listed([name for name in names if name.startswith("data/")]))
    (bundle / tags[0]).write_bytes(listed([*(name for name in names if not name.startswith("data/")), tags[2]]))
    (bundle / tags[1]).unlink(missing_ok=True)
    if key is not None:
        told = hashlib.sha256((bundle / tags[0]).read_bytes()).hexdigest()
        (bundle / tags[1]).write_bytes(sign_note(f"vittne-bundle/1\n{told}\n", key))


def rewritten(data: Path, where: Path, keep: Callable[[dict[str, Any]], bool], later_s: int = 0) -> Path:
    """Copy an archive, its ledger written anew by who has its key: without some entries, or with a fast clock."""
    written = lines(data)
    shutil.copytree(data, where)
    for name in ("ledger", "stamps"):
        shutil.rmtree(where / name, ignore_errors=True)
    (where / "ledger").mkdir()
    ledger = Ledger.create(where / "ledger", load_key(where / "keys"))
    for line in written:
        event = json.loads(line)
        at_us = from_rfc3339(event.pop("at"))
        if keep(event) and "row" not in event:  # rows of the audit trail go with their entries
            ledger.record(event, at_us + later_s * 1_000_000)
    ledger.flush()
    ledger.close()
    with Catalogue(where / "catalogue.db") as catalogue, catalogue.writing() as connection:
        connection.exec_driver_sql("DELETE FROM audit")
    return where
