"""The manifest: what a finished recording consists of, signed, and free of personal data.

    manifest.json  canonical JSON (RFC 8785), described in MANIFEST below
    manifest.sig   the signature over manifest.json as it is: Ed25519, 64 bytes (FIPS: ECDSA, P-256, SHA-256, DER)

    openssl pkeyutl -verify -pubin -inkey ledger.pub.pem -rawin -in manifest.json -sigfile manifest.sig

SHA-256 of manifest.json is in the ledger. Who spoke with whom is not in here: that is sealed in the META
record, of which the manifest has the hash. The record holds a random salt, so nobody can find out what is in
it by trying; erasing the key leaves a manifest that says nothing about anybody.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from vittne.appliance.seal.canonical import Json, NotCanonical, canonical, parse
from vittne.appliance.seal.signing import SigningKey
from vittne.appliance.seal.verifykey import SIGNATURE_LIMIT, VerifyKey
from vittne.appliance.store.errors import explain
from vittne.appliance.store.files import is_id, open_plain
from vittne.appliance.store.times import from_rfc3339, rfc3339

MANIFEST_FILE: Final = "manifest.json"
SIGNATURE_FILE: Final = "manifest.sig"
VERSION: Final = 1
SEALED: Final = "sealed"  # ended as it should
CRASH: Final = "crash"  # finished at the next start: its last part is cut, META may be missing
MANIFEST_LIMIT: Final = 64 << 20  # bytes; a week's call with an index entry every two seconds has some 8 MB
_SALT_BYTES: Final = 16

T = TypeVar("T")


class BadManifest(ValueError):
    """A manifest that is not there, not signed by us, or not one. The text completes "the manifest ..."."""


@dataclass(frozen=True, slots=True)
class SealedPart:
    """One file of a recording."""

    n: int
    size_bytes: int
    groups: int
    sha256: str  # hex, over the file
    from_us: int  # arrival of its first packet, UTC
    to_us: int
    cut: bool = False  # its writer was killed: no END record; all of its groups are whole
    index: tuple[tuple[int, int], ...] = ()  # (offset, time in us) of groups, for seeking
    contents: str = ""  # hex, commitment to the records of every group; "" after a crash

    @property
    def file(self) -> str:
        """The name of the file in the recording's folder."""
        return f"part-{self.n}.floe"

    def as_json(self) -> dict[str, Json]:
        """Return the part as it stands in a manifest."""
        return {
            "n": self.n,
            "file": self.file,
            "bytes": self.size_bytes,
            "groups": self.groups,
            "sha256": self.sha256,
            "from": rfc3339(self.from_us),
            "to": rfc3339(self.to_us),
            "cut": self.cut,
            "index": [list(entry) for entry in self.index],
            **({"contents": self.contents} if self.contents else {}),
        }


@dataclass(frozen=True, slots=True)
class SealedStream:
    """Counts of one stream; n is its number in the records, packets what was seen, stored what is sealed."""

    n: int
    codec: str
    packets: int
    stored: int
    lost: int

    def as_json(self) -> dict[str, Json]:
        """Return the stream as it stands in a manifest."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class SealedGap:
    """A time of which nothing is stored, and why."""

    from_us: int
    to_us: int
    reason: str

    def as_json(self) -> dict[str, Json]:
        """Return the gap as it stands in a manifest."""
        return {"from": rfc3339(self.from_us), "to": rfc3339(self.to_us), "reason": self.reason}


@dataclass(frozen=True, slots=True)
class SealedCut:
    """How a version was made out of the one before it. Hashes are SHA-256 in hex; FORMAT.md says over what."""

    version: int  # from 2 on
    before: str  # manifest.json of the version before, which stays in the folder
    kept: str  # commitment to every record that stayed, in order
    records: int  # how many those are
    packets: int  # RTP packets that are gone
    reports: int  # RTCP packets that are gone
    milliseconds: int  # of the span
    part: int  # the part that was added: who cut, why, from when to when
    event: str  # body of the EVENT record in that part

    def as_json(self) -> dict[str, Json]:
        """Return the cut as it stands in a manifest."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the signature vouches for."""

    rec: str
    state: str  # SEALED or CRASH
    parts: tuple[SealedPart, ...]
    outcome: str = ""  # DESIGN section 4
    outcome_reasons: tuple[str, ...] = ()
    gaps: tuple[SealedGap, ...] = ()
    streams: tuple[SealedStream, ...] = ()
    clock: Mapping[str, Json] = field(default_factory=dict)  # where times come from, how far off they may be
    meta_sha256: str = ""  # hex, over the body of the META record; "" when there is none
    policy: Mapping[str, str] = field(
        default_factory=dict
    )  # rule that recorded it, class, site; without those not given
    cut: SealedCut | None = None  # None: as it was recorded
    announcement: Mapping[str, Json] = field(default_factory=dict)  # the verdict at sealing (appliance/verdicts)
    imported: Mapping[str, str] = field(default_factory=dict)  # of what came from elsewhere; empty: it was captured

    @property
    def version(self) -> int:
        """1 as it was recorded, one more for every cut."""
        return 1 if self.cut is None else self.cut.version

    def text(self, signer: VerifyKey) -> bytes:
        """Return manifest.json, naming the key that will sign it."""
        return canonical(
            {
                "v": VERSION,
                "rec": self.rec,
                "signer": f"{signer.name}+{signer.key_id.hex()}",
                "state": self.state,
                "outcome": self.outcome,
                "outcome_reasons": list(self.outcome_reasons),
                "parts": [part.as_json() for part in self.parts],
                "gaps": [gap.as_json() for gap in self.gaps],
                "streams": [stream.as_json() for stream in self.streams],
                "clock": dict(self.clock),
                "meta_sha256": self.meta_sha256,
                **({"policy": dict(self.policy)} if self.policy else {}),
                **({"announcement": dict(self.announcement)} if self.announcement else {}),
                **({"imported": dict(self.imported)} if self.imported else {}),
                **({} if self.cut is None else {"cut": self.cut.as_json()}),
            }
        )


def write_manifest(folder: Path, manifest: Manifest, key: SigningKey) -> str:
    """Write manifest and signature into a recording's hidden folder; return SHA-256 of manifest.json in hex.

    Nothing is synced: that is done for all recordings of a commit at once. Raises StoreError.
    """
    text = manifest.text(key.verifier)
    for name, data in ((MANIFEST_FILE, text), (SIGNATURE_FILE, key.sign(text))):
        try:
            with open(folder / name, "wb", opener=_private) as stream:
                stream.write(data)
        except OSError as error:
            raise explain(error, "write a manifest", folder / name) from error
    return digest(text)


def former_files(version: int) -> tuple[str, str]:
    """Return what manifest and signature of a version are called once there is a newer one."""
    return f"manifest.{version}.json", f"manifest.{version}.sig"


def read_manifest(
    folder: Path, key: VerifyKey, files: tuple[str, str] = (MANIFEST_FILE, SIGNATURE_FILE)
) -> tuple[Manifest, str]:
    """Return the manifest in a folder and its SHA-256 in hex. Raises BadManifest, StoreError.

    files: those of a former version. Nothing of it is looked at before its signature was found good.
    """
    text = _read(folder / files[0], MANIFEST_LIMIT)
    signature = _read(folder / files[1], SIGNATURE_LIMIT)
    if not key.accepts(signature, text):
        raise BadManifest("does not carry a valid signature of the ledger's key: it was altered or is not ours")
    return parse_manifest(text), digest(text)


def parse_manifest(text: bytes) -> Manifest:
    """Return the manifest that a text is. Raises BadManifest when it is none, or has members not known."""
    try:
        value = parse(text)
    except NotCanonical as error:
        raise BadManifest(f"cannot be read: {error}") from error
    try:
        return _manifest(_mapping(value), text)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadManifest(f"is not as this version writes it: {type(error).__name__} {error}"[:200]) from error


def digest(data: bytes) -> str:
    """Return SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def meta_body(meta: Mapping[str, Any]) -> bytes:
    """Return the body of a META record: the members given and a fresh salt, as JSON in UTF-8."""
    salted = {**meta, "salt": secrets.token_hex(_SALT_BYTES)}
    return json.dumps(salted, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _manifest(value: Mapping[str, Any], text: bytes) -> Manifest:
    if value["v"] != VERSION:
        raise ValueError(f"version {value['v']}")
    found = Manifest(
        rec=_typed(value["rec"], str),
        state=_typed(value["state"], str),
        outcome=_typed(value["outcome"], str),
        outcome_reasons=tuple(_typed(reason, str) for reason in _typed(value["outcome_reasons"], list)),
        parts=tuple(_part(_mapping(part)) for part in _typed(value["parts"], list)),
        gaps=tuple(_gap(_mapping(gap)) for gap in _typed(value["gaps"], list)),
        streams=tuple(_stream(_mapping(stream)) for stream in _typed(value["streams"], list)),
        clock=_mapping(value["clock"]),
        meta_sha256=_typed(value["meta_sha256"], str),
        policy={name: _typed(text, str) for name, text in _mapping(value.get("policy", {})).items()},
        cut=_cut(_mapping(value["cut"])) if "cut" in value else None,
        announcement=_mapping(value.get("announcement", {})),
        imported={name: _typed(text, str) for name, text in _mapping(value.get("imported", {})).items()},
    )
    if not is_id(found.rec) or found.state not in (SEALED, CRASH):
        raise ValueError("rec or state")
    # Numbers may be left out: one whose key was kept for a worker that died before it wrote is not used again.
    numbers = [part.n for part in found.parts]
    if min(numbers, default=0) < 0 or len(set(numbers)) < len(numbers):
        raise ValueError("parts are not numbered")
    # A cut gives parts that it wrote anew a new number in the place of the old one.
    if found.cut is None and numbers != sorted(numbers):
        raise ValueError("parts are not numbered upwards")
    if found.cut is not None and (found.cut.version < 2 or numbers[-1:] != [found.cut.part]):
        raise ValueError("version, or the part that was added")
    if canonical({**_mapping(parse(found.text(_NOBODY))), "signer": _typed(value["signer"], str)}) != text:
        raise ValueError("members that are not known")
    return found


def _part(value: Mapping[str, Any]) -> SealedPart:
    return SealedPart(
        n=_typed(value["n"], int),
        size_bytes=_typed(value["bytes"], int),
        groups=_typed(value["groups"], int),
        sha256=_typed(value["sha256"], str),
        from_us=from_rfc3339(value["from"]),
        to_us=from_rfc3339(value["to"]),
        cut=_typed(value["cut"], bool),
        index=tuple((_typed(offset, int), _typed(at_us, int)) for offset, at_us in value["index"]),
        contents=_typed(value.get("contents", ""), str),
    )


def _gap(value: Mapping[str, Any]) -> SealedGap:
    return SealedGap(from_rfc3339(value["from"]), from_rfc3339(value["to"]), _typed(value["reason"], str))


def _stream(value: Mapping[str, Any]) -> SealedStream:
    counts = (_typed(value[name], int) for name in ("packets", "stored", "lost"))
    return SealedStream(_typed(value["n"], int), _typed(value["codec"], str), *counts)


def _cut(value: Mapping[str, Any]) -> SealedCut:
    return SealedCut(
        version=_typed(value["version"], int),
        before=_typed(value["before"], str),
        kept=_typed(value["kept"], str),
        records=_typed(value["records"], int),
        packets=_typed(value["packets"], int),
        reports=_typed(value["reports"], int),
        milliseconds=_typed(value["milliseconds"], int),
        part=_typed(value["part"], int),
        event=_typed(value["event"], str),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = _typed(value, dict)
    return found


def _typed(value: Any, wanted: type[T]) -> T:
    if type(value) is not wanted:  # isinstance would take True for a number
        raise TypeError(f"{wanted.__name__} expected")
    found: T = value
    return found


def _read(path: Path, limit: int) -> bytes:
    try:
        with open_plain(path) as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise BadManifest(f"is gone: there is no {path.name}") from error
    except OSError as error:
        raise explain(error, "read a manifest", path) from error
    if len(data) > limit:
        raise BadManifest(f"is not ours: {path.name} is too large")
    return data


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


_NOBODY: Final = VerifyKey("", bytes(32))
