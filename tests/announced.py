"""Calls in which something was heard, closed by the real registrar as a worker has them closed."""

from __future__ import annotations

import atexit
import base64
import os
import shutil
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
from cuts import START_US, at

from vittne.appliance.announcements.files import as_bytes, sound_hash
from vittne.appliance.announcements.operations import ADD_ANNOUNCEMENT, AddAnnouncement
from vittne.appliance.config import Config, checked
from vittne.appliance.control.client import drain
from vittne.appliance.control.operation import Caller
from vittne.appliance.policy.decide import decide, policy_rules
from vittne.appliance.protocol import CloseCalls, pack, parse_request
from vittne.appliance.registrar import CallClosed, PartClosed, PartOpened, Registrar
from vittne.appliance.seal.keys import make_capsule
from vittne.appliance.seal.manifest import digest, meta_body
from vittne.appliance.seal.part import PartWriter
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED, CallRow, StreamRow
from vittne.appliance.store.times import rfc3339
from vittne.capture import record
from vittne.codecs.base import I16
from vittne.codecs.g711 import A_LAW, MU_LAW


def _spoken(name: str) -> I16:
    return A_LAW[np.frombuffer((files("vittne.appliance.speech") / f"{name}.al").read_bytes(), np.uint8)]


SOUND: Final = _spoken("caller")[:18_240]
ANOTHER: Final = _spoken("callee")[18_000:]
WELCOME = sound_hash(as_bytes(SOUND))  # enrolled as welcome-en
OTHER = "b" * 64  # of which nobody knows
PARTIES = ("caller", "callee")
RULE = '[[announcement]]\nname = "hotline"\nside = "callee"\nwithin_s = 10.0\n'
LENGTH_S = 4


def rec(number: int) -> str:
    return str(UUID(int=number << 96))


def configured(text: str) -> Config:
    return checked(tomllib.loads(text), "the test")


def prompt(
    state: str = "full", after_s: float = 1.0, party: str = "callee", name: str = "welcome-en", **more: Any
) -> dict[str, Any]:
    """Return an announcement as a worker tells of it; after_s: from the answer."""
    begin = START_US + round(after_s * 1_000_000)
    return {
        "reference": WELCOME,
        "name": name,
        "purpose": "notice",
        "stream": 1 + PARTIES.index(party),
        "party": party,
        "begin": rfc3339(begin),
        "end": rfc3339(begin + 2_000_000),
        "offset_s": after_s,
        "state": state,
        "share": 1.0 if state == "full" else 0.5,
        "required_share": 1.0 if state == "full" else 0.5,
        "score": 0.83,
        "overlap": 0.1,
        **more,
    }


def heard(*announcements: Mapping[str, Any], why: str = "", **more: Any) -> dict[str, Any]:
    """Return what a worker heard: both parties were listened to, unless why says otherwise."""
    listened = [
        {"stream": n, "party": party, "from": rfc3339(START_US), "seconds": 0.0 if why else 30.0, "why": why}
        for n, party in enumerate(PARTIES, 1)
    ]
    return {
        "detector": "1",
        "window_s": 30.0,
        "listened": listened,
        "announcements": list(announcements),
        "consent": [],
        "speech": {"caller": [[0, 500], [2500, 3500]], "callee": [[1000, 3000]]},
        "states": [],
        **more,
    }


@dataclass
class Archive:
    """A data directory whose calls end one after the other under the rules of a configuration."""

    data: Path
    text: str = ""
    voices: Sequence[I16] = field(default_factory=lambda: [np.zeros(LENGTH_S * 8000, np.int16)] * 2)

    gap_ms: tuple[int, int] | None = None  # before a gate: not stored
    origin: Path | None = None  # what it begins as; None: nothing in it but the prompt

    def __post_init__(self) -> None:
        shutil.copytree(self.origin or _empty(), self.data)

    def close(self, number: int, said: Mapping[str, Any] | None, **about: Any) -> CallRow:
        """Record a call in which something was heard; return what the catalogue says of it. about: of the report."""
        registrar = self.registrar()
        try:
            closed = self.ended(registrar, number, said, **about)
            request = parse_request(pack(CloseCalls([closed]))[4:])
            assert isinstance(request, CloseCalls)
            registrar.close_calls(request.calls)
        finally:
            registrar.close()
        return self.row(number)

    def registrar(self) -> Registrar:
        return Registrar(self.data, policy_rules(configured(self.text)))

    def row(self, number: int) -> CallRow:
        with Catalogue(self.data / "catalogue.db", read_only=True) as catalogue:
            return catalogue.get(rec(number))

    def config(self) -> Path:
        file = self.data.parent / "vittne.toml"
        file.write_text(self.text)
        return file

    def ended(self, registrar: Registrar, number: int, said: Mapping[str, Any] | None, **about: Any) -> CallClosed:
        """Write a recording as a worker does, and return what it says at the end."""
        recording = rec(number)
        report = _report(recording, about)
        if said is not None:
            report["heard"] = said
        report |= decide(report, registrar.policy).members()
        folder = registrar.store.open_recording(recording, START_US)
        key = os.urandom(32)
        registrar.open_parts([PartOpened(recording, 0, make_capsule(registrar.public, key, recording, 0))])
        writer = PartWriter(folder / "part-0.floe", recording, 0, key)
        for n, party in enumerate(PARTIES):
            told = {"party": party, "seat": n, "ssrc": f"{n + 1:08X}", "kind": "audio", "formats": _FORMATS}
            writer.append([record.encode_json(record.STREAM, at(0), told, n + 1)])
            writer.append(_packets(n, self.voices[n]))
        if self.gap_ms is not None:
            gap = {"reason": "before-gate", "from_ns": at(self.gap_ms[0]), "to_ns": at(self.gap_ms[1])}
            writer.append([record.encode_json(record.GAP, at(0), gap)])
        meta = meta_body({**report, "state": "finished", "folder": "", "size_bytes": 0})
        done = writer.finish([record.encode(record.META, at(LENGTH_S * 1000), meta)], at(LENGTH_S * 1000))
        index = tuple((offset, (at_ns or 0) // 1000) for offset, at_ns in done.index)
        part = PartClosed(
            0, done.bytes, done.groups, done.sha256, START_US, START_US + 10**6, False, index, done.contents
        )
        return CallClosed(report, str(folder.relative_to(registrar.store.recordings_dir)), (part,), digest(meta))


@cache
def _empty() -> Path:
    """Make an empty data directory, once: its keys and its catalogue take a while."""
    folder = tempfile.TemporaryDirectory(prefix="vittne-announced-")
    atexit.register(folder.cleanup)
    data = Path(folder.name) / "data"
    registrar = Registrar(data)
    enrol(registrar, "welcome-en", "en", SOUND)
    registrar.close()
    return data


def enrol(registrar: Registrar, name: str, language: str, samples: I16, **more: Any) -> str:
    """Enrol a prompt; return its hash."""
    coded = base64.b64encode(as_bytes(samples)).decode()
    order = AddAnnouncement(**{"name": name, "samples": coded, "purpose": "notice", "language": language, **more})
    drain(ADD_ANNOUNCEMENT.do(registrar, order, Caller("Ann")))
    return sound_hash(as_bytes(samples))


_FORMATS = {"0": ["PCMU", 8000, 1, ""]}


def _report(recording: str, about: Mapping[str, Any]) -> dict[str, Any]:
    streams = tuple(
        StreamRow(party, "PCMU", 0, 8000, n + 1, f"10.0.0.{n + 1}:4000", "10.0.0.9:5000", 200, 200, START_US, START_US)
        for n, party in enumerate(PARTIES)
    )
    row = CallRow(
        recording,
        FINISHED,
        ("a@b",),
        "sip:+4930555123@example.org",
        "sip:200@example.org",
        START_US,
        START_US,
        START_US + LENGTH_S * 1_000_000,
        outcome="recorded",
        streams=streams,
        details={"flags": [], "gaps": [], "voices": [], "facts": {"addresses": ["10.0.0.1", "10.0.0.9"]}},
    )
    report = row.as_json()
    for n, stream in enumerate(report["streams"], 1):
        stream["number"] = n
    details = {**report["details"], **about.pop("details", {})} if "details" in (about := dict(about)) else {}
    return {**report, **({"details": details} if details else {}), **about}


def mu_law(samples: I16) -> bytes:
    """Return samples as G.711: each the code whose value is nearest."""
    order = np.argsort(MU_LAW, kind="stable")
    values = MU_LAW[order].astype(np.int32)
    middles = (values[1:] + values[:-1]) / 2
    return order[np.searchsorted(middles, samples)].astype(np.uint8).tobytes()


def _packets(n: int, samples: I16) -> list[bytes]:
    coded = mu_law(samples)
    packets = []
    for i in range(len(samples) // 160):
        head = b"\x80\x00" + i.to_bytes(2, "big") + (i * 160).to_bytes(4, "big") + (n + 1).to_bytes(4, "big")
        packets.append(record.encode(record.RTP, at(20 * i), head + coded[i * 160 : i * 160 + 160], stream=n + 1))
    return packets
