"""Everything that can be held against each other about one recording.

Nothing here raises for what an intruder may have done to the files: it becomes a failed check, and the
words say what was found and what it means.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.seal import records
from vittne.appliance.seal.history import History
from vittne.appliance.seal.keptvcon import MOST_TEXT, KeptVcon
from vittne.appliance.seal.keys import CapsuleRefused, KeyStore
from vittne.appliance.seal.manifest import (
    MANIFEST_FILE,
    SEALED,
    SIGNATURE_FILE,
    BadManifest,
    Manifest,
    SealedPart,
    digest,
    former_files,
    read_manifest,
)
from vittne.appliance.seal.part import PartDamaged, PartReader
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.seal.spilled import SpilledHistory
from vittne.appliance.seal.verdict import Check, fails, holds, unchecked
from vittne.appliance.seal.versions import Added, Kept, destroyed_parts, formers, wrong_in_chain
from vittne.appliance.store.catalogue import Catalogue, NoSuchCall
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import open_plain, recording_of, staged_name

if TYPE_CHECKING:
    from vittne.appliance.seal.opener import Opener

Advance = Callable[[int], None]  # bytes that were read since the last call

_CHUNK: Final = 1 << 20
# What the catalogue says of a call and the sealed META record says too, as `list --json` shows it.
_COMPARED: Final = ("caller", "callee", "started_at", "answered_at", "ended_at", "outcome")


@dataclass(frozen=True, slots=True)
class Archive:
    """What a recording is held against. history is None when the ledger itself is damaged."""

    data_dir: Path
    key: VerifyKey
    history: History | SpilledHistory | None
    key_store: KeyStore | None
    archive_key: Opener | None
    why_no_key: str  # words for unchecked content
    catalogue: Catalogue | None


class _Wrong(Exception):
    """A check found something wrong; the text is its words."""


class _Missing(Exception):
    """A check cannot be made; the text says what is missing."""


def check_recording(archive: Archive, folder: Path, advance: Advance, elsewhere: str = "") -> Iterator[Check]:
    """Yield the checks of a recording's folder, from its signature to its content.

    elsewhere: why its parts, which are kept elsewhere, could not be had.
    """
    try:
        manifest, sha256 = read_manifest(folder, archive.key)
        if manifest.rec != recording_of(folder):
            raise BadManifest("is that of another recording: folders were swapped")
    except BadManifest as error:
        yield fails("manifest", f"the manifest {error}")
        return
    except StoreError as error:
        yield fails("manifest", str(error))
        return
    yield holds("manifest", f"signed by {archive.key.name}, state {manifest.state}")
    yield _checked("ledger", _in_ledger, archive.history, manifest.rec, sha256)
    if archive.history is not None and manifest.rec in archive.history.erasures:
        yield from check_erased(archive, manifest.rec, folder)
        return
    if manifest.cut is not None or staged_name(folder).exists():
        yield _checked("versions", _versions, archive, folder, manifest)
    if manifest.imported:
        yield holds("imported", _came(manifest))
    files = _checked("files", _files, folder, manifest, advance) if not elsewhere else unchecked("files", elsewhere)
    yield files
    meta: dict[str, Any] = {}
    if elsewhere:
        yield unchecked("content", "not opened, since its parts are not here")
    elif files.ok:
        yield _checked("content", _content, archive, folder, manifest, meta, advance)
    else:
        yield unchecked("content", "not opened, since the files are not those that were sealed")
    yield _checked("catalogue", _in_catalogue, archive, folder, meta)


def _came(manifest: Manifest) -> str:
    """Say where a recording came from: nothing of it was captured."""
    told = manifest.imported
    signed = {"none": "was not signed", "not-checked": "had a signature that could not be checked"}
    words = signed.get(told.get("signature", ""), "had a signature that held")
    by = ", by somebody who was trusted" if told.get("signature") == "trusted" else ""
    source = f"from a {told.get('from')} with SHA-256 {told.get('sha256')}"
    return f"not captured: {source}, which {words}{by}; kept {told.get('kept')}"


def check_erased(archive: Archive, recording_id: str, folder: Path | None = None) -> Iterator[Check]:
    """Yield the checks of a recording that the ledger says was erased: nothing of it may be here any more."""
    yield _checked("erased", _is_erased, archive, recording_id, folder)


def _is_erased(archive: Archive, recording_id: str, folder: Path | None) -> str:
    assert archive.history is not None
    told = archive.history.erasures[recording_id]
    back = "here, or here again: `vittne erase --settle` erases it anew"
    try:
        if archive.key_store is not None and archive.key_store.parts(recording_id):
            raise _Wrong(f"erased by entry {told.index}, and its keys are {back}")
        if archive.catalogue is not None and _is_told(archive.catalogue, recording_id):
            raise _Wrong(f"erased by entry {told.index}, and what the catalogue says of it is {back}")
    except StoreError as error:
        raise _Wrong(str(error)) from error
    names = [] if folder is None else sorted(path.name for path in folder.iterdir())
    files = [name for name in names if not name.startswith("manifest.")]
    if files:
        raise _Wrong(f"erased by entry {told.index}, and {len(files)} of its files are {back}")
    return f"erased by entry {told.index} at {archive.history.erased[recording_id]} ({told.word})"


def _is_told(catalogue: Catalogue, recording_id: str) -> bool:
    try:
        return catalogue.get(recording_id).erased_us is None
    except NoSuchCall:
        return False


def _checked(name: str, check: Callable[..., str], *arguments: object) -> Check:
    try:
        return holds(name, check(*arguments))
    except _Wrong as wrong:
        return fails(name, str(wrong))
    except _Missing as missing:
        return unchecked(name, str(missing))


def _in_ledger(history: History | SpilledHistory | None, recording_id: str, sha256: str) -> str:
    if history is None:
        raise _Missing("the ledger is damaged, so it proves nothing about this recording")
    sealed = history.seals.get(recording_id, [])
    if not sealed:
        raise _Wrong("the ledger has no entry of it: the recording was not sealed here")
    if sha256 != sealed[-1]:
        if sha256 in sealed:
            raise _Wrong("the ledger has a newer manifest: an older version was put back")
        raise _Wrong("the ledger has another manifest: this one was exchanged")
    return "its manifest is the one that was entered"


def _versions(archive: Archive, folder: Path, manifest: Manifest) -> str:
    """Hold a recording that was cut against its former versions' manifests, and see that their keys are gone."""
    if staged_name(folder).exists():
        raise _Wrong("a cut was begun and is not done: the next `vittne cut`, or the next start, brings it to its end")
    if archive.history is None:
        raise _Missing("the ledger is damaged, so it proves no cut")
    try:
        words = wrong_in_chain(folder, manifest, archive.key, archive.history.cuts.get(manifest.rec, []))
        if words is not None:
            raise _Wrong(words)
        for n in sorted(destroyed_parts(folder, manifest, archive.key)):
            if archive.key_store is not None and archive.key_store.get(manifest.rec, n) is not None:
                raise _Wrong(f"part {n} was cut away, and its key is still here, or was put back")
    except StoreError as error:
        raise _Wrong(str(error)) from error
    kept = "" if archive.key_store is None else ", the keys of what was cut away are gone"
    return f"version {manifest.version}, each cut is in the ledger{kept}"


def _files(folder: Path, manifest: Manifest, advance: Advance) -> str:
    for part in manifest.parts:
        _hashed(folder / part.file, part, advance)
    known = {MANIFEST_FILE, SIGNATURE_FILE, *(part.file for part in manifest.parts)}
    known.update(name for version in range(1, manifest.version) for name in former_files(version))
    extra = sorted(path.name for path in folder.iterdir() if path.name not in known)
    if extra:
        raise _Wrong(f"{len(extra)} files lie here that the manifest does not know, the first is {extra[0]!r}")
    count = len(manifest.parts)
    return f"{count} part{'s' * (count != 1)}, {sum(part.size_bytes for part in manifest.parts)} bytes, as sealed"


def _hashed(path: Path, part: SealedPart, advance: Advance) -> None:
    sha256 = hashlib.sha256()
    size = 0
    try:
        with open_plain(path) as stream:
            while chunk := stream.read(_CHUNK):
                sha256.update(chunk)
                size += len(chunk)
                advance(len(chunk))
    except FileNotFoundError:
        raise _Wrong(f"{part.file} is gone") from None
    except OSError as error:
        raise _Wrong(f"{part.file} cannot be read: {error.strerror}") from error
    if size != part.size_bytes:
        change = "cut short" if size < part.size_bytes else "made longer"
        raise _Wrong(f"{part.file} was {change}: {part.size_bytes} bytes were sealed, {size} are there")
    if sha256.hexdigest() != part.sha256:
        raise _Wrong(f"{part.file} was altered: its hash is not the sealed one")


def _content(archive: Archive, folder: Path, manifest: Manifest, meta: dict[str, Any], advance: Advance) -> str:
    """Open every group of every part; fill meta with what the META record says."""
    last = b""
    stored: Counter[int] = Counter()
    cut, added, kept = manifest.cut, Added(), Kept()
    came = _kept_vcon(manifest)
    if cut is not None:
        key = _data_key(archive, manifest.rec, cut.part)
        for rows, plaintext in _groups(folder / manifest.parts[-1].file, manifest.rec, manifest.parts[-1], key, _free):
            try:
                added.take(plaintext, rows)
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise _Wrong("what the part that a cut added says cannot be read") from error
    for part in manifest.parts:
        key = _data_key(archive, manifest.rec, part.n)
        for rows, plaintext in _groups(folder / part.file, manifest.rec, part, key, advance):
            if cut is not None and part.n != cut.part:
                kept.add(plaintext, rows)
                if part.n in added.regrown:
                    added.regrown[part.n].take(plaintext)
                if added.is_back(rows):
                    raise _Wrong("packets of the span that was cut are there")
            if came is not None:
                try:
                    came.take(plaintext, rows)
                except ValueError as error:
                    raise _Wrong(str(error)) from error
            stored.update(rows.stream[rows.type == records.RTP].tolist())
            for n in (rows.type == records.META).nonzero()[0]:
                last = plaintext[int(rows.offset[n]) : int(rows.offset[n] + rows.length[n])]
    if manifest.meta_sha256 and digest(last) != manifest.meta_sha256:
        raise _Wrong("what it says about the call (META) is not what the manifest vouches for")
    if manifest.state == SEALED:
        # A recording finished after a crash is counted without being read: the recorder cannot open it.
        counted = {stream.n: stream.stored for stream in manifest.streams if stream.stored}
        if counted != dict(stored):
            raise _Wrong("it does not hold as many packets of each stream as the manifest says")
    if came is not None and came.sha256() != manifest.imported.get("kept_sha256"):
        raise _Wrong("the vCon in it is not the one that the manifest vouches for")
    # After a crash META may be there, written right before it, and is not what became of the call.
    meta.update(_meta(last if manifest.meta_sha256 else b""))
    proven = "" if cut is None else _kept(archive, folder, manifest, added, kept)
    return f"all groups open, {stored.total()} RTP packets{proven}"


def _kept_vcon(manifest: Manifest) -> KeptVcon | None:
    return KeptVcon(MOST_TEXT) if manifest.imported else None


def _kept(archive: Archive, folder: Path, manifest: Manifest, added: Added, kept: Kept) -> str:
    """Hold what a cut left against what was there before it; return words about it."""
    assert manifest.cut is not None
    try:
        former, _ = next(formers(folder, manifest, archive.key))
    except BadManifest as error:
        raise _Wrong(f"the manifest of the version before {error}") from error
    words = added.wrong(manifest.cut, kept) or added.wrong_groups(former, manifest)
    if words is not None:
        raise _Wrong(words)
    groups = sum(len(one.told) for one in added.regrown.values())
    whole = sum(one.whole for one in added.regrown.values())
    return f"; of {groups} groups of parts written anew {whole} are proven to be as they were"


def wrong_files(folder: Path, manifest: Manifest, advance: Advance) -> str | None:
    """Say what is wrong with the files in a folder, by size and hash; None when all are as sealed."""
    try:
        _files(folder, manifest, advance)
    except _Wrong as error:
        return str(error)
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    return None


def check_content(archive: Archive, folder: Path, manifest: Manifest) -> str | None:
    """Say what is wrong with the parts in a folder that is not finished yet; None when all is as its manifest says."""
    try:
        _files(folder, manifest, _free)
        _content(archive, folder, manifest, {}, _free)
    except (_Wrong, _Missing) as error:
        return str(error)
    return None


def _free(_: int) -> None:
    """Not shown on the progress bar."""


def _groups(
    path: Path, recording_id: str, part: SealedPart, key: bytes, advance: Advance
) -> Iterator[tuple[records.Columns, bytes]]:
    """Yield the records of each group as columns, with the plaintext that they point into."""
    count = 0
    try:
        with PartReader(path, recording_id, part.n, key, finished=not part.cut) as reader:
            for plaintext in reader.groups():
                count += 1
                advance(len(plaintext))
                yield records.columns(plaintext), plaintext
    except (PartDamaged, records.RecordsDamaged) as error:
        raise _Wrong(f"{part.file} cannot be opened as it should: {error.reason}") from error
    except StoreError as error:
        raise _Wrong(str(error)) from error
    if count != part.groups:
        raise _Wrong(f"{part.file} has {count} groups, the manifest says {part.groups}")


def _data_key(archive: Archive, recording_id: str, part_no: int) -> bytes:
    if archive.history and recording_id in archive.history.erased:
        raise _Missing(f"its keys were erased at {archive.history.erased[recording_id]}, by entry in the ledger")
    if archive.key_store is None:
        raise _Missing("there is no key store (keys.db) here")
    try:
        kept = archive.key_store.get(recording_id, part_no)
    except StoreError as error:
        raise _Wrong(str(error)) from error
    if kept is None:
        raise _Wrong(f"the key of part {part_no} is gone: nobody can hear it")
    entered = archive.history.capsule(recording_id, part_no) if archive.history else None
    # Wrapped under a bucket it is another text; that it is the same key is then seen by its opening the part.
    if kept.bucket is None and entered not in (None, digest(kept.key)):
        raise _Wrong(f"the key of part {part_no} is not the one that was entered in the ledger")
    if archive.archive_key is None:
        raise _Missing(archive.why_no_key)
    try:
        return archive.archive_key.data_key(kept, recording_id, part_no)
    except (CapsuleRefused, ValueError) as error:
        raise _Wrong(f"the key of part {part_no} does not open: {error}") from error


def _meta(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise _Wrong("what it says about the call (META) cannot be read") from error
    return value if isinstance(value, dict) else {}


def _in_catalogue(archive: Archive, folder: Path, meta: dict[str, Any]) -> str:
    if archive.catalogue is None:
        raise _Missing("there is no catalogue here; it can be written again from the recordings")
    try:
        row = archive.catalogue.get(recording_of(folder))
        shown = row.as_json()
    except NoSuchCall:
        raise _Wrong("the catalogue does not know it: nobody would find it") from None
    except (StoreError, ValueError, TypeError, OverflowError) as error:
        raise _Wrong(f"what the catalogue holds cannot be read: {str(error)[:200]}") from error
    path = folder.with_name(recording_of(folder)).relative_to(archive.data_dir)
    if row.folder not in ("", str(path), str(path.with_name(f".{path.name}"))):
        raise _Wrong("the catalogue says that it lies elsewhere")
    differing = [name for name in _COMPARED if name in meta and meta[name] != shown[name]]
    if differing:
        raise _Wrong(f"the catalogue was altered: sealed in the recording is another {', '.join(differing)}")
    return "the catalogue says the same" if meta else "the catalogue knows it"
