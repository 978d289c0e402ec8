"""A support bundle: a tar file, gzipped, with what helps to find a fault, and nothing that may not leave the house."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import re
import sqlite3
import ssl
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any, BinaryIO, Final

from vittne.appliance.opened import OpenedRecording
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.support.names import Names
from vittne.appliance.support.text import scrub_line, scrub_text, scrub_value
from vittne.appliance.version import VERSION

TOP: Final = "vittne-support"
_LIBRARIES: Final = (
    *("numpy", "av", "cryptography", "joserfc", "rfc3161-client", "aiohttp", "SQLAlchemy", "alembic", "pydantic"),
    *("structlog", "prometheus-client", "obstore", "pylibsrtp", "uvloop"),
)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_OWN_LABELS: Final = frozenset(
    """le version alarm weight reason layer outcome quality stat process state mark verdict queue database cause trigger
    method route code major minor patchlevel implementation generation""".split()  # noqa: SIM905
)
_MEMORY: Final = "/dev/shm"  # noqa: S108 - a call's packets are never on a disk, scrubbed or not
_ABOUT: Final = """\
This is a support bundle of Vittne, a call recorder. It was made to be sent to people who help.

What stands for something (user-..., host-..., text-..., addresses in 10.0.0.0/8 and fd00::/8) was made with a random
key of this bundle only, by HMAC-SHA-256: the same number, name or address is the same everywhere in here, and nobody
can go back to it. Whoever made the bundle may have kept a table (--keep-names), to translate answers.

Taken out, whatever the file:
- voices: RTP has its headers, what was said is zeros
- keyed digits: events, INFO and KPML bodies, every body that is no session description
- numbers, names, display names, addresses, hosts, Call-IDs, tags, User-Agents that nobody knows: replaced
- passwords, tokens, credentials, keys of SRTP and ICE, certificates: gone
- subjects, texts of reasons, headers that are not known, with their names: replaced
- of the configuration every text that is no fixed word of it; of the log every word that the program itself does not
  say; of tracebacks all but the places
Nothing in here was recorded audio, and no key in here opens any.

What is in it:
"""


@dataclass(slots=True)
class Wanted:
    """What goes in, as it is; all of it is scrubbed on its way.

    told: of a recorder that runs (telling.py); configured: as settings.py told it, scrubbed already; journal: lines of
    the log; doctor: findings; call, opened: the call that goes in. notes: what could not be had, and why.
    """

    at_us: int
    told: Mapping[str, Any] = field(default_factory=dict)
    configured: Mapping[str, Any] | None = None
    journal: Sequence[str] = ()
    runs: Sequence[Mapping[str, Any]] = ()
    doctor: Any = None
    call: CallRow | None = None
    opened: OpenedRecording | None = None
    notes: list[str] = field(default_factory=list)


class _Tar:
    """The file, and what it says of its contents."""

    def __init__(self, stream: BinaryIO, at_us: int) -> None:
        self._zip = gzip.GzipFile(fileobj=stream, mode="wb", mtime=at_us // 1_000_000)
        self._tar = tarfile.open(fileobj=self._zip, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see close()
        self._at_s = at_us // 1_000_000
        self.lines: list[str] = []

    def add(self, name: str, words: str, content: bytes) -> None:
        """Add a file. words: what is in it."""
        self.stream(name, words, io.BytesIO(content), len(content))

    def stream(self, name: str, words: str, content: BinaryIO, size: int) -> None:
        """Add a file that is read."""
        about = tarfile.TarInfo(f"{TOP}/{name}")
        about.size, about.mtime, about.mode = size, self._at_s, 0o600
        self._tar.addfile(about, content)
        if words:
            self.lines.append(f"  {name:<16} {words} ({size} bytes)")

    def json(self, name: str, words: str, value: Any) -> None:
        """Add a value."""
        self.add(name, words, (json.dumps(value, indent=1, default=str) + "\n").encode())

    def close(self) -> None:
        """End it."""
        self._tar.close()
        self._zip.close()


def write_bundle(stream: BinaryIO, wanted: Wanted, names: Names) -> list[str]:
    """Write a bundle; return what CONTENTS.txt says is in it."""
    tar = _Tar(stream, wanted.at_us)
    tar.json("versions.json", "program, libraries, system", versions())
    if wanted.configured is not None:
        tar.json("settings.json", "settings that differ from the defaults", wanted.configured)
    told = wanted.told
    if told:
        tar.json("state.json", "how the recorder does, as on the page Now", _state(told["state"], names))
        tar.add("metrics.txt", "what Prometheus would read", _metrics(told["metrics"], names))
        tar.json("alarms.json", "alarms since the start", [scrub_value(one, names) for one in told["alarms"]])
    if wanted.runs:
        words = "the last runs: packets, what was dropped and why, outcomes"
        tar.json("runs.json", words, scrub_value(list(wanted.runs), names))
    if wanted.doctor is not None:
        tar.json("doctor.json", "what `vittne doctor` found", scrub_value(wanted.doctor, names))
    lines = [*wanted.journal] or [*told.get("log", ())]
    if lines:
        text = "".join(scrub_line(line, names) + "\n" for line in lines)
        tar.add("log.txt", f"{len(lines)} lines of the log", text.encode())
    if wanted.call is not None:
        _add_call(tar, wanted, names)
    notes = [scrub_text(note, names) for note in wanted.notes]
    text = _ABOUT + "\n".join(tar.lines) + "\n"
    text += "\nWhat could not be had:\n" + "".join(f"  {note}\n" for note in notes) if notes else ""
    text += f"\nMade at {rfc3339(wanted.at_us)} by Vittne {VERSION}.\n"
    tar.add("CONTENTS.txt", "", text.encode())
    tar.close()
    return tar.lines


def _add_call(tar: _Tar, wanted: Wanted, names: Names) -> None:
    from vittne.appliance.packets import PacketIndex  # noqa: PLC0415 - numpy, only where there is a call
    from vittne.appliance.support import calls  # noqa: PLC0415

    call, opened = wanted.call, wanted.opened
    assert call is not None
    tar.json("call.json", f"what the catalogue knows of {calls.about(call)}", calls.call_json(call, names))
    if opened is None:
        return
    tar.add("ladder.txt", "its signalling, drawn", calls.ladder_of(call, opened, names).encode())
    where = _MEMORY if os.path.isdir(_MEMORY) else None
    with tempfile.TemporaryFile(dir=where) as packets:
        calls.write_pcap_of(PacketIndex(opened), packets, names)
        size = packets.tell()
        packets.seek(0)
        tar.stream("call.pcap", "its packets: headers, SIP as in the ladder, voices as zeros", packets, size)
    wanted.notes += opened.problems


def versions() -> dict[str, Any]:
    """Return what runs here; no name of the machine."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "vittne": VERSION,
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "system": _system(),
        "cores": os.cpu_count(),
        "memory_bytes": pages,
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "libraries": libraries,
    }


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _state(state: Mapping[str, Any], names: Names) -> Any:
    """Return it; versions are ours, all other texts are looked at."""
    return {**scrub_value(state, names), "version": state.get("version", "")}


def _metrics(text: str, names: Names) -> bytes:
    """Return metrics whose labels are scrubbed: names of sites, targets and authorities are a house's own."""
    found = []
    for line in text.splitlines():
        name, brace, rest = line.partition("{")
        labels, _, value = rest.rpartition("}")
        is_plain = line.startswith("#") or not brace
        found.append(line if is_plain else f"{name}{{{scrub_labels(labels, names)}}}{value}")
    return "".join(f"{line}\n" for line in found).encode()


def scrub_labels(labels: str, names: Names) -> str:
    """Return labels of a metric; those whose values are words of ours stay."""
    found = []
    for name, value in _LABEL.findall(labels):
        shown = value if name in _OWN_LABELS else scrub_text(value, names)
        found.append(f'{name}="{shown}"')
    return ",".join(found)
