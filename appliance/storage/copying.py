"""One recording and one target: copy it, let go of it, lock it, read it back. State comes back as a row.

parts ▸ manifests of former versions ▸ signature ▸ manifest.json: who finds that one finds all of it. Each file is read
back and hashed; killed at any step, the next try goes on with what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from vittne.appliance.life.certificate import FOLDER as CERTIFICATES
from vittne.appliance.seal.manifest import (
    MANIFEST_FILE,
    MANIFEST_LIMIT,
    SIGNATURE_FILE,
    BadManifest,
    Manifest,
    digest,
    former_files,
    parse_manifest,
    read_manifest,
)
from vittne.appliance.seal.verifykey import SIGNATURE_LIMIT, VerifyKey
from vittne.appliance.storage.fetching import bring_back
from vittne.appliance.storage.place import Place
from vittne.appliance.storage.table import DAMAGED, GONE, LEAVING, STORED, Stored, Wish
from vittne.appliance.storage.target import CopyFailed, Lock, NotThere, Spent, hash_of
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain
from vittne.appliance.store.times import now_us, rfc3339

_DAY_US: Final = 86_400_000_000


def push(at: Place, wish: Wish, spent: Spent) -> Stored:
    """Copy a recording and read it back. Raises CopyFailed, TargetAway."""
    folder = at.data_dir / wish.folder
    _bring_back_from_others(at, folder)
    place = str(folder.relative_to(at.data_dir / "recordings"))
    manifest, sha256 = _manifest(folder, at.key)
    lock = lock_of(wish)
    there = {one.key: one.size for one in at.target.files(at.key_of(place))}
    wanted: set[str] = set()
    size = 0
    for name, expected in _files(folder, manifest, sha256):
        key = at.key_of(place, name)
        size += _bring(at, key, folder / name, expected, lock, there.get(key), spent)
        wanted.add(key)
    until = _remove_others(at, place, there.keys() - wanted)
    now = now_us()
    return Stored(
        *(wish.recording, at.name, STORED, place, sha256, size, now, now, *_locked(at, wish)),
        next_us=until or 0,
        problem=f"files of a former version wait for their lock until {rfc3339(until)}" if until else "",
    )


def tidy(at: Place, row: Stored) -> Stored:
    """Remove what a cut left behind and a lock kept until now."""
    manifest, sha256, _, _ = remote_manifest(at, row.place)
    folder = at.data_dir / "recordings" / row.place
    wanted = {at.key_of(row.place, name) for name, _ in _files(folder, manifest, sha256, hashed=False)}
    there = {one.key for one in at.target.files(at.key_of(row.place))}
    until = _remove_others(at, row.place, there - wanted)
    return replace(row, next_us=until or 0, problem=row.problem if until else "")


def remove(at: Place, row: Stored) -> Stored:
    """Remove an erased recording's parts; manifests stay, with the certificate beside them."""
    until: int | None = None
    for one in list(at.target.files(at.key_of(row.place))):
        if one.key.rpartition("/")[2].startswith("part-"):
            kept = at.target.remove(one.key)
            until = max(until or 0, kept) if kept is not None else until
    if until is not None:
        now = now_us()
        words = f"waiting for lock until {rfc3339(until)}"
        # A hold of another's, or a refusal, has no end that is known: it is tried again the next day.
        return replace(row, state=LEAVING, next_us=until if until > now else now + _DAY_US, problem=words)
    for suffix in (".json", ".sig"):
        path = at.data_dir / CERTIFICATES / f"{row.recording}{suffix}"
        if path.exists():
            at.target.put(at.key_of(row.place, f"certificate{suffix}"), path, _hash(path), Lock(), lambda _: None)
    return replace(row, state=GONE, next_us=0, size_bytes=0, problem="")


def relock(at: Place, wish: Wish) -> Stored:
    """Let a copy's lock and hold be those of its recording."""
    assert wish.was is not None
    for one in list(at.target.files(at.key_of(wish.was.place))):
        at.target.relock(one.key, lock_of(wish))
    locked, held = _locked(at, wish)
    return replace(wish.was, locked_us=max(locked or 0, wish.was.locked_us or 0) or None, held=held)


def check(at: Place, row: Stored, spent: Spent) -> Stored:
    """Read a copy back. Returns it as DAMAGED, with what was found, when it is not as it was sealed."""
    words = ""
    try:
        manifest, sha256, _, _ = remote_manifest(at, row.place)
        if sha256 != row.manifest:
            raise CopyFailed("another manifest is there", f"{row.place}/{MANIFEST_FILE}", "")
        for part in manifest.parts:
            if hash_of(at.target, at.key_of(row.place, part.file), spent) != (part.sha256, part.size_bytes):
                raise CopyFailed("it is not as it was sealed", f"{row.place}/{part.file}", "")
    except CopyFailed as error:
        words = f"{error.what}: {error.where}"[:400]
    before = "" if row.state == DAMAGED else row.problem
    return replace(row, state=DAMAGED if words else STORED, problem=words or before, checked_us=now_us())


def lock_of(wish: Wish) -> Lock:
    """Return the lock that a recording's copy gets: as long as its class says, if that is not over."""
    until = wish.locked_us if wish.locked_us is not None and wish.locked_us > now_us() else None
    return Lock(until, wish.held)


def _locked(at: Place, wish: Wish) -> tuple[int | None, bool]:
    """Return which lock a target now has: none where it locks nothing, so that it gets one when it begins to."""
    return (wish.locked_us, wish.held) if at.target.settings.lock != "none" else (None, False)


def _files(folder: Path, manifest: Manifest, sha256: str, hashed: bool = True) -> Iterator[tuple[str, str]]:
    """Yield (name, SHA-256) of a recording's files, the manifest last."""
    for part in manifest.parts:
        yield part.file, part.sha256
    names = [name for version in range(1, manifest.version) for name in former_files(version)]
    for name in (*names, SIGNATURE_FILE):
        yield name, _hash(folder / name) if hashed else ""
    yield MANIFEST_FILE, sha256


def _bring(at: Place, key: str, path: Path, sha256: str, lock: Lock, there: int | None, spent: Spent) -> int:
    """Have a file at a target, read back; return its size."""
    try:
        size = path.stat().st_size
    except OSError as error:
        told = explain(error, "read a sealed file", path)
        raise CopyFailed(told.what, path, "`vittne verify` says what is wrong with it") from error
    if there == size and _is_there(at, key, sha256, size, spent):
        at.target.relock(key, lock)
        return size
    try:
        at.target.put(key, path, sha256, lock, spent)
    except FileNotFoundError as error:
        raise CopyFailed("a sealed file is gone", path, "`vittne verify` says what is wrong") from error
    if not _is_there(at, key, sha256, size, spent):
        if _hash(path) != sha256:
            raise CopyFailed("a file is not as it was sealed", path, "`vittne verify` says what is wrong with it")
        raise CopyFailed("what was read back is not what was sent", f"{at.name}: {key}", "is it tried again")
    return size


def _is_there(at: Place, key: str, sha256: str, size: int, spent: Spent) -> bool:
    if at.target.settings.verify == "checksum" and at.target.stands(key, sha256, size):
        return True
    try:
        return hash_of(at.target, key, spent) == (sha256, size)
    except NotThere:
        return False


def _remove_others(at: Place, place: str, keys: set[str]) -> int | None:
    """Remove what the version that counts does not have; return until when a lock keeps some of it."""
    until: int | None = None
    for key in sorted(keys):
        if key.startswith(at.key_of(place)):
            kept = at.target.remove(key)
            until = max(until or 0, kept) if kept is not None else until
    return until


def _manifest(folder: Path, key: VerifyKey) -> tuple[Manifest, str]:
    try:
        return read_manifest(folder, key)
    except BadManifest as error:
        raise CopyFailed(f"the manifest {error}", folder, "`vittne verify` says more") from error
    except StoreError as error:
        raise CopyFailed(error.what, error.where, error.next_step) from error


def _bring_back_from_others(at: Place, folder: Path) -> None:
    """Have the parts here, from another target where they left this machine."""
    try:
        bring_back(at.data_dir, folder, but=at.name)
    except StoreError as error:
        raise CopyFailed(error.what, error.where, error.next_step) from error


def remote_manifest(at: Place, place: str) -> tuple[Manifest, str, bytes, bytes]:
    """Return the manifest at a target, its SHA-256, it and its signature as they are. Raises CopyFailed, TargetAway."""
    text = small(at, at.key_of(place, MANIFEST_FILE), MANIFEST_LIMIT)
    signature = small(at, at.key_of(place, SIGNATURE_FILE), SIGNATURE_LIMIT)
    if not at.key.accepts(signature, text):
        raise CopyFailed("the manifest there carries no valid signature", f"{at.name}: {place}", "it is not ours")
    try:
        return parse_manifest(text), digest(text), text, signature
    except BadManifest as error:
        raise CopyFailed(f"the manifest there {error}", f"{at.name}: {place}", "it is not ours") from error


def small(at: Place, key: str, limit: int) -> bytes:
    """Return a file at a target that cannot be long. Raises CopyFailed, TargetAway."""
    found = bytearray()
    for piece in at.target.read(key):
        found += piece
        if len(found) > limit:
            raise CopyFailed("it is longer than it can be", f"{at.name}: {key}", "it is not ours")
    return bytes(found)


def _hash(path: Path) -> str:
    try:
        with open_plain(path) as stream:
            return digest(stream.read())
    except OSError as error:
        told = explain(error, "read a sealed file", path)
        raise CopyFailed(told.what, path, "`vittne verify` says what is wrong with it") from error
