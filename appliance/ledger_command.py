"""`vittne ledger`: what the ledger says, and proofs of it. Reads only, also while a recorder runs."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.outfile import progress, whole_file
from vittne.appliance.seal import events
from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE, HEAD_FILE
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.seal.tlogproof import SUFFIX
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import clean

_SHORTEST_ID: Final = 4


@dataclass(frozen=True, slots=True)
class Listing:
    """Which entries are listed. Times in microseconds UTC."""

    since_us: int | None = None
    until_us: int | None = None
    kind: str = ""
    as_json: bool = False


def show(data: Path, as_json: bool) -> int:
    """Print the ledger's state."""
    view, key = _open(data)
    path = view.directory / CHECKPOINT_FILE
    published_at = rfc3339(path.stat().st_mtime_ns // 1000)
    told: dict[str, Any] = {
        "origin": view.checkpoint.origin,
        "key": key.text(),
        "size": view.checkpoint.size,
        "root": _base64(view.checkpoint.root),
        "published": {
            "size": view.published.size,
            "root": _base64(view.published.root),
            "at": published_at,
            "signatures": len(view.note.decode().split("\n— ")) - 1,
        },
        "head": None if view.head is None else {"size": view.head.size, "root": _base64(view.head.root)},
        "unsigned_bytes": view.tail_bytes,
    }
    if as_json:
        sys.stdout.write(json_object(told))
        return 0
    published = told["published"]
    print(f"ledger      {told['origin']}")
    print(f"key         {told['key']}")
    print(f"entries     {told['size']}, root {told['root']}")
    print(f"checkpoint  {published['size']} entries, {published['at']}, {published['signatures']} signatures")
    if view.head is not None:
        print(f"remembered  {view.head.size} entries, in keys/{HEAD_FILE}")
    if view.tail_bytes:
        print(f"unsigned    {view.tail_bytes} bytes: being written, or left by a crash")
    return 0


def list_entries(data: Path, listing: Listing) -> int:
    """Print entries, the oldest first."""
    view, _ = _open(data)
    found = _chosen(view, listing)
    if listing.as_json:
        sys.stdout.writelines(json_array({"index": index, **entry} for index, entry in found))
        return 0
    for index, entry in found:
        rest = "  ".join(f"{name}={_short(entry[name])}" for name in sorted(entry.keys() - {"at", "t"}))
        print(f"{index:>8}  {clean(entry['at'])}  {clean(entry['t']):12}  {rest}".rstrip())
    return 0


def prove(data: Path, index: int | None, recording: str, output: str) -> int:
    """Write the proof of an entry; of a recording: of the entry of its manifest that counts."""
    view, _ = _open(data)
    if index is None:
        index = _sealed_at(view, recording)
    proof = view.prove(index)
    if not output:
        sys.stdout.write(proof.text().decode())
        return 0
    with whole_file(output, force=False) as (stream, _path):
        stream.write(proof.text())
    name = "" if output.endswith(SUFFIX) else f" (the usual name ends in {SUFFIX})"
    print(f"entry {index} of {_size_of(proof.note)} is proven in {clean(output)}{name}", file=sys.stderr)
    return 0


def consistency(data: Path, kept: Path) -> int:
    """Say whether the ledger contains the one that a kept checkpoint is of."""
    view, key = _open(data)
    old = _kept_checkpoint(kept, key)
    steps = view.consistency(old)
    print(f"holds: the first {old.size} of {view.published.size} entries are those of the checkpoint that was kept")
    for step in steps:
        print(f"  {_base64(step)}")
    return 0


def check(data: Path) -> int:
    """Read everything through; what is wrong is raised as LedgerDamaged."""
    key = load_verifier(data / "keys")
    with progress("reading", 100) as bar:

        def advance(done: int, total: int) -> None:
            bar(100 * done // max(total, 1))

        scan = scan_ledger(data / "ledger", key, progress=advance)
    print(f"holds: {scan.checkpoint.size} entries have the root that {scan.checkpoint.origin} signed")
    print(f"  bundles and tiles say the same, up to the {scan.published.size} entries that are published")
    print(f"  nothing is missing of what keys/{HEAD_FILE} remembers")
    if scan.tail_bytes:
        print(f"  {scan.tail_bytes} bytes after them are not signed yet")
    return 0


def _open(data: Path) -> tuple[LedgerView, VerifyKey]:
    key = load_verifier(data / "keys")
    return LedgerView(data / "ledger", key), key


def _chosen(view: LedgerView, listing: Listing) -> Iterator[tuple[int, dict[str, Any]]]:
    since = None if listing.since_us is None else rfc3339(listing.since_us)
    until = None if listing.until_us is None else rfc3339(listing.until_us)
    mark = f'"t":"{listing.kind}"'.encode()
    for index, line in view.entries():
        if listing.kind and mark not in line:
            continue
        entry = dict(read_entry(line))
        at = str(entry["at"])  # times of one form sort as text
        is_then = (since is None or at >= since) and (until is None or at < until)
        if is_then and listing.kind in ("", entry["t"]):
            yield index, entry


def _sealed_at(view: LedgerView, recording: str) -> int:
    """Return the index of the entry in which a recording's newest manifest is. Raises StoreError."""
    wanted = recording.strip().lower()
    if len(wanted) < _SHORTEST_ID or not wanted.replace("-", "").isalnum():
        raise StoreError("this is no id", clean(recording, 60), "give a recording's id, or its first letters")
    mark = f'"rec":"{wanted}'.encode()
    for index, line in view.backwards():
        if mark in line and read_entry(line)["t"] in (events.SEALED, events.CUT):
            return index
    next_step = "`vittne list` has the ids; a call that goes on is sealed when it ends"
    raise StoreError("no recording of this id was sealed", wanted, next_step)


def _kept_checkpoint(path: Path, key: VerifyKey) -> Checkpoint:
    try:
        with path.open("rb") as stream:
            return open_checkpoint(stream.read(NOTE_LIMIT + 1), key)
    except OSError as error:
        raise explain(error, "read the checkpoint", path) from error
    except BadNote as error:
        raise StoreError(
            f"this is no checkpoint of this ledger: {error}", path, "give the file that was kept"
        ) from error


def _size_of(note: bytes) -> str:
    return note.split(b"\n")[1].decode()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _short(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(clean(one, 36) for one in value[:3])}{', ...' if len(value) > 3 else ''}]"
    return clean(value, 80)
