"""Versions of a recording: what a cut keeps, how that is committed to, and what must hold between two versions.

A cut makes the next version: the same records in the same order, but for those that go, and one part more that
says who cut, why and what. Parts without any record that goes are taken over as they are, file and key; the
others are written anew under new keys, and the old keys are destroyed. FORMAT.md, "Versions".
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vittne.appliance.seal import records
from vittne.appliance.seal.groups import contents_leaf, contents_salt, next_key
from vittne.appliance.seal.history import CutEntry
from vittne.appliance.seal.manifest import (
    MANIFEST_FILE,
    SEALED,
    SIGNATURE_FILE,
    BadManifest,
    Manifest,
    SealedCut,
    SealedPart,
    digest,
    former_files,
    read_manifest,
)
from vittne.appliance.seal.merkle import GrowingTree, leaf_hash
from vittne.appliance.seal.part import PartReader, PartSummary, PartWriter
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.store.errors import explain
from vittne.capture.record import encode_json

I64 = npt.NDArray[np.int64]

CUT: Final = "cut"  # the EVENT, and the reason of a GAP
KEPT: Final = 10  # type of the record that says what became of the groups of an old part
WHOLE: Final = "s"  # a group that stays as it was, and its salt
LESS: Final = "h"  # one that lost records, and the hash of its leaf
GONE: Final = "x"  # one of which nothing stayed, and the hash of its leaf
_GROUPS_TOLD: Final = 10_000  # in one record, which holds a megabyte
SALT_BYTES: Final = 32
_NOTHING: Final = np.zeros(0, np.int64)


class Kept:
    """Adds up the records that a version took over from the one before: whatever did not go, in order, without END."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.records = 0
        self.groups: dict[int, tuple[int, list[str]]] = {}  # old part -> new part, and what is told of each group

    def add(self, plain: bytes, rows: records.Columns, goes: I64 = _NOTHING) -> list[memoryview]:
        """Take in a group; return the pieces of it that stay. goes: the rows that do not."""
        stays = rows.type != records.END
        stays[goes] = False
        self.records += int(np.count_nonzero(stays))
        pieces = _pieces(plain, rows, stays)
        for piece in pieces:
            self._hash.update(piece)
        return pieces

    def commitment(self, salt: bytes) -> str:
        """Return what stands in manifest and ledger: it tells nothing to who has not the salt."""
        return digest(salt + self._hash.digest())


def _pieces(plain: bytes, rows: records.Columns, stays: npt.NDArray[np.bool_]) -> list[memoryview]:
    starts = np.append(rows.offset - records.HEADER_BYTES, len(plain))
    borders = np.flatnonzero(np.diff(stays.astype(np.int8), prepend=0, append=0))
    return [memoryview(plain)[starts[a] : starts[b]] for a, b in borders.reshape(-1, 2).tolist()]


@dataclass(frozen=True, slots=True)
class NewPart:
    """The number and the data key of a part that is written."""

    n: int
    key: bytes


def take_over(
    folder: Path,
    staged: Path,
    manifest: Manifest,
    keys: Mapping[int, bytes],
    anew: Mapping[int, NewPart],
    goes: Mapping[int, I64],
    kept: Kept,
) -> Iterator[SealedPart]:
    """Yield the parts of the next version, in order, each once it is in staged (not synced).

    keys: of the old parts. anew: for the old parts that are written anew. goes: rows of the groups, counted over all
    parts, that do not stay. Raises StoreError, PartDamaged.
    """
    count = 0
    for part in manifest.parts:
        new = anew.get(part.n)
        key, told, done = keys[part.n], [], None
        writer = PartWriter(staged / f"part-{new.n}.floe", manifest.rec, new.n, new.key) if new is not None else None
        end_ns = part.to_us * 1000
        with PartReader(folder / part.file, manifest.rec, part.n, keys[part.n], finished=not part.cut) as reader:
            for plain in reader.groups():
                rows = records.columns(plain)
                pieces = kept.add(plain, rows, goes.get(count, _NOTHING))
                has_end = bool(len(rows)) and rows.type[-1] == records.END
                if writer is not None:
                    told.append(_group_told(key, plain, count in goes, bool(pieces) or has_end))
                    if has_end:  # in one group with what stood before it, as it was
                        done = writer.finish(pieces, int(rows.at_ns[-1]))
                    else:
                        writer.append(pieces)
                count, key = count + 1, next_key(key)
        if writer is None or new is None:
            link(folder / part.file, staged / part.file)
            yield part
        else:
            kept.groups[part.n] = (new.n, told)
            yield sealed_part(done or writer.finish(at_ns=end_ns), part.from_us, part.to_us)


def _group_told(key: bytes, plain: bytes, is_touched: bool, is_there: bool) -> str:
    """Return what the next version says of a group of the old part, that stays or is written anew."""
    salt = contents_salt(key)
    if not is_touched:
        return WHOLE + salt.hex()
    return (LESS if is_there else GONE) + leaf_hash(contents_leaf(salt, plain)).hex()


def kept_records(kept: Kept, at_ns: int) -> list[bytes]:
    """Return the KEPT records of the parts that were written anew."""
    return [
        encode_json(
            KEPT, at_ns, {"part": old, "now": new, "first": first, "groups": told[first : first + _GROUPS_TOLD]}
        )
        for old, (new, told) in sorted(kept.groups.items())
        for first in range(0, len(told), _GROUPS_TOLD)
    ]


@dataclass(slots=True)
class Regrown:
    """The commitment of an old part, computed anew from the part that took its place and what is told of its groups."""

    part: int  # the old one
    told: list[str] = field(default_factory=list)
    whole: int = 0  # groups that turned out to be what they were
    _tree: GrowingTree = field(default_factory=GrowingTree)
    _at: int = 0
    _more: bool = False

    def take(self, plain: bytes) -> None:
        """Take in the next group of the new part."""
        self._pass_by(GONE)
        if self._at < len(self.told) and self.told[self._at].startswith(WHOLE):
            self._tree.add(contents_leaf(bytes.fromhex(self.told[self._at][1:]), plain))
            self._at += 1
            self.whole += 1
        elif self._at < len(self.told):
            self._tree.add_leaf(bytes.fromhex(self.told[self._at][1:]))
            self._at += 1
        elif len(plain) != records.HEADER_BYTES:  # but for an END that the old part had not, nothing was added
            self._more = True

    def root(self) -> str:
        """Return the commitment, once all groups of the new part were taken in."""
        self._pass_by(GONE)
        return self._tree.root().hex() if self._at == len(self.told) and not self._more else ""

    def _pass_by(self, kind: str) -> None:
        while self._at < len(self.told) and self.told[self._at].startswith(kind):
            self._tree.add_leaf(bytes.fromhex(self.told[self._at][1:]))
            self._at += 1


def take_over_manifests(folder: Path, staged: Path, version: int) -> None:
    """Keep the manifest of a version, and of those before it, beside the next one's."""
    for one in range(1, version):
        for name in former_files(one):
            link(folder / name, staged / name)
    for name, former in zip((MANIFEST_FILE, SIGNATURE_FILE), former_files(version), strict=True):
        link(folder / name, staged / former)


def sealed_part(summary: PartSummary, from_us: int, to_us: int) -> SealedPart:
    """Return a finished part as it stands in a manifest."""
    index = tuple((offset, at_ns // 1000) for offset, at_ns in summary.index if at_ns)
    counts = (summary.n, summary.bytes, summary.groups, summary.sha256)
    return SealedPart(*counts, from_us, to_us, False, index, summary.contents)


def link(old: Path, new: Path) -> None:
    """Give a file that never changes a second name; where the disk has no links, a second copy. Raises StoreError."""
    try:
        try:
            os.link(old, new, follow_symlinks=False)
        except PermissionError:
            shutil.copyfile(old, new, follow_symlinks=False)
    except OSError as error:
        raise explain(error, "take over a file", new) from error


def next_streams(manifest: Manifest, gone: Mapping[int, int]) -> Manifest:
    """Return the manifest with so many packets of each stream less."""
    streams = [replace(one, stored=max(one.stored - gone.get(one.n, 0), 0)) for one in manifest.streams]
    return replace(manifest, streams=tuple(streams))


@dataclass(slots=True)
class Added:
    """What the part that a cut added says."""

    event: bytes = b""  # body of the EVENT record
    streams: set[int] = field(default_factory=set)  # that have a GAP of this cut
    regrown: dict[int, Regrown] = field(default_factory=dict)  # by the number of the part that was written anew

    def take(self, plain: bytes, rows: records.Columns) -> None:
        """Take in a group of that part."""
        for row in range(len(rows)):
            body = plain[int(rows.offset[row]) : int(rows.offset[row] + rows.length[row])]
            if rows.type[row] == records.EVENT:
                self.event = body
            elif rows.type[row] == records.GAP:
                self.streams.add(int(rows.stream[row]))
            elif rows.type[row] == KEPT:
                said = json.loads(body)
                one = self.regrown.setdefault(int(said["now"]), Regrown(int(said["part"])))
                one.told += [str(group) for group in said["groups"]]

    @property
    def told(self) -> dict[str, Any]:
        """The EVENT record; empty when it cannot be read."""
        try:
            value = json.loads(self.event)
        except (ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    def is_back(self, rows: records.Columns) -> bool:
        """Say whether there is an RTP packet of the span among some records."""
        told = self.told
        here = (rows.type == records.RTP) & np.isin(rows.stream, list(self.streams))
        inside = (rows.at_ns >= _number(told, "from_ns")) & (rows.at_ns < _number(told, "to_ns"))
        return bool((here & inside).any())

    def wrong_groups(self, former: Manifest, manifest: Manifest) -> str | None:
        """Say which part that was written anew is not the old one, as its commitment in the former manifest says."""
        now = {part.n for part in manifest.parts}
        roots = {one.part: one.root() for n, one in self.regrown.items() if n in now}
        for part in former.parts:
            if part.n not in now and part.contents and roots.get(part.n) != part.contents:
                return f"what stayed of part {part.n} is not what the former manifest vouches for"
        return None

    def wrong(self, cut: SealedCut, kept: Kept) -> str | None:
        """Say what does not fit between this, what was kept, and the manifest."""
        if digest(self.event) != cut.event:
            return "who cut it, and why, is not what the manifest vouches for"
        salt = self.told.get("salt")
        if not isinstance(salt, str) or kept.commitment(salt.encode()) != cut.kept or kept.records != cut.records:
            return "what was kept is not what was there before the cut"
        return None


def _number(told: dict[str, Any], name: str) -> int:
    value = told.get(name)
    return value if isinstance(value, int) else 0


def wrong_in_chain(folder: Path, manifest: Manifest, key: VerifyKey, entries: Sequence[CutEntry]) -> str | None:
    """Say what is wrong between a manifest, those of the versions before, and the ledger's entries of its cuts."""
    try:
        for former in formers(folder, manifest, key):
            words = _wrong_step(former, manifest, entries)
            if words is not None:
                return words
            manifest = former[0]
    except BadManifest as error:
        return f"the manifest of a former version {error}"
    return None


def formers(folder: Path, manifest: Manifest, key: VerifyKey) -> Iterator[tuple[Manifest, str]]:
    """Yield the manifests of the versions before this one, the newest first, with their hashes. Raises BadManifest."""
    while manifest.cut is not None:
        before = manifest.cut.version - 1
        former, sha256 = read_manifest(folder, key, former_files(before))
        if sha256 != manifest.cut.before or former.rec != manifest.rec or former.version != before:
            raise BadManifest("is not the one that was cut")
        yield former, sha256
        manifest = former


def _wrong_step(former: tuple[Manifest, str], manifest: Manifest, entries: Sequence[CutEntry]) -> str | None:
    old, sha256 = former
    cut = manifest.cut
    assert cut is not None
    entry = next((one for one in entries if one.version == cut.version), None)
    if entry is None:
        return f"the ledger has no entry of the cut that made version {cut.version}"
    if (entry.before, entry.kept, entry.event) != (sha256, cut.kept, cut.event):
        return f"the ledger's entry of the cut that made version {cut.version} says something else"
    parts = {part.n: part for part in old.parts}
    if any(part != parts.get(part.n, part) for part in manifest.parts):
        return f"version {cut.version} has a part under an old number that is not the old part"
    gone = sum(stream.stored for stream in old.streams) - sum(stream.stored for stream in manifest.streams)
    if old.state == SEALED and gone != cut.packets:
        return f"version {cut.version} says that {cut.packets} packets are gone, and lacks {gone}"
    return None


def destroyed_parts(folder: Path, manifest: Manifest, key: VerifyKey) -> set[int]:
    """Return the numbers of parts of former versions that are no more. Raises BadManifest."""
    numbers = {part.n for former, _ in formers(folder, manifest, key) for part in former.parts}
    return numbers - {part.n for part in manifest.parts}
