"""`vittne vcon import`: vCons of others, one by one, out of files, folders and zips; one that is bad costs itself only.

Whatever is slow or dangerous (reading, decoding, sealing) is done here, in the command's own process; only filing is
done by the recorder where one runs. Begun again, it goes on: what was filed is known by uuid and hash.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vittne.appliance.control.client import login, perform
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.outfile import progress
from vittne.appliance.policy.decide import PolicyRules, decide
from vittne.appliance.seal import events
from vittne.appliance.seal.keys import ArchiveKey, make_capsule
from vittne.appliance.seal.manifest import MANIFEST_FILE
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store, arrived_name
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import clean
from vittne.appliance.vcon.digits import TooMuchText
from vittne.appliance.vcon.filing import FILE_IMPORT, CannotImport, FileImport, held, part_order, remove, versions_of
from vittne.appliance.vcon.reading import BadVcon, read_bytes
from vittne.appliance.vcon.sealed import write_part
from vittne.appliance.vcon.sources import MOST_BYTES, sources
from vittne.appliance.vcon.taking import Taken, original_hash, take
from vittne.appliance.vcon.trust import Trusted


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What was asked for. files: where sound beside vCons lies; again: also what was erased here once."""

    paths: tuple[Path, ...]
    files: Path | None = None
    key: Path | None = None
    trusted: Trusted | None = None
    site: str = ""
    retention_class: str = ""
    tags: tuple[str, ...] = ()
    dry_run: bool = False
    again: bool = False
    by: str = ""
    as_json: bool = False


@dataclass(slots=True)
class _Results:
    options: ImportOptions
    sums: Counter[str] = field(default_factory=Counter)
    told: list[dict[str, Any]] = field(default_factory=list)

    def add(self, result: str, name: str, words: str, **more: Any) -> None:
        self.sums[result] += 1
        if self.options.as_json:
            self.told.append({"file": name, "result": result, "words": words, **more})
        else:
            stream = sys.stderr if result == "failed" else sys.stdout
            print(f"{clean(name)}: {clean(words, 600)}", file=stream)


def run(data_dir: Path, options: ImportOptions, policy: LifePolicy, rules: PolicyRules) -> int:
    """Import all; return the exit status, 1 when something failed. Raises StoreError: nothing could be begun."""
    if options.retention_class and options.retention_class not in policy.classes:
        known = ", ".join(sorted(policy.classes))
        raise StoreError("there is no such class", options.retention_class, f"choose one of {known}")
    if any(not one.isprintable() or not 0 < len(one) <= 100 for one in (*options.tags, options.site or "-")):
        raise StoreError("a tag or site has up to 100 letters", data_dir, "write it shorter")
    importer = Importer(data_dir, options, policy, rules)
    results = _Results(options)
    total = sum(1 for _ in sources(options.paths))
    with progress("importing", total if total > 1 else 0) as bar:
        for number, (name, read) in enumerate(sources(options.paths)):
            bar(number)
            try:
                result, words, more = importer.one(read())
                results.add(result, name, words, **more)
            except (BadVcon, TooMuchText) as error:
                results.add("failed", name, f"not imported: {error}")
            except StoreError as error:
                results.add("failed", name, f"not imported: {error}")
                if _is_ours(error):
                    raise
    if options.as_json:
        print(json.dumps(results.told, indent=2))
    elif total != 1:
        print(", ".join(f"{count} {result}" for result, count in sorted(results.sums.items())) or "no vCons were found")
    return 1 if results.sums["failed"] else 0


def _is_ours(error: StoreError) -> bool:
    """Say whether an error is none of one file: the disk is full, the recorder went away."""
    return "no space left" in error.what or "went away" in error.what


class Importer:
    """Imports one vCon after the other into a data directory."""

    def __init__(self, data_dir: Path, options: ImportOptions, policy: LifePolicy, rules: PolicyRules) -> None:
        """Read what was imported before. Raises StoreError."""
        self._data_dir = data_dir
        self._options = options
        self._policy = policy
        self._rules = rules
        self._by = options.by or login()
        self._public = ArchiveKey.load_public(data_dir)
        with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            found = AuditTable(catalogue).search(AuditSearch(kinds=(events.IMPORTED,)))
            self._before = {str(row.details.get("ledger", {}).get("original")): row.recording for row in found}

    def one(self, data: bytes) -> tuple[str, str, dict[str, Any]]:
        """Import one; return (a word, words, what there is to tell). Raises BadVcon, StoreError."""
        if len(data) > MOST_BYTES:
            raise BadVcon(f"it is larger than {MOST_BYTES >> 20} MB")
        before = self._before.get(original_hash(data))
        if before is not None:
            state = self._state(before)
            if state == "here":
                return "known", f"is recording {before} already", {"recording": before}
            if state == "erased" and not self._options.again:
                raise CannotImport("it was imported and erased since", before, "--again imports it anew")
        taken = self.taken(data)
        if self._options.dry_run:
            return "would be imported", f"would be a recording: {words_of(taken)}", _told(taken)
        answer = self._file(taken)
        if "known" in answer:
            return "known", f"is recording {answer['known']} already", {"recording": answer["known"]}
        self._before[str(taken.imported["sha256"])] = taken.row.id
        return (
            "imported",
            f"is recording {taken.row.id}: {words_of(taken)}",
            {"recording": taken.row.id, **_told(taken)},
        )

    def taken(self, data: bytes) -> Taken:
        """Return what becomes of one. Raises BadVcon, TooMuchText, StoreError."""
        found = read_bytes(data, self._options.key, self._options.trusted, MOST_BYTES)
        try:
            taken = take(found, data, str(uuid.uuid4()), self._options.files, self._options.tags)
        except (BadVcon, TooMuchText):
            raise
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise BadVcon("it is not made as a vCon is") from error
        return self._ruled(self._linked(taken))

    def _state(self, recording: str) -> str:
        with Catalogue(self._data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            rows = catalogue.get_all([recording])
        return "gone" if not rows else "erased" if rows[0].erased_us is not None else "here"

    def _linked(self, taken: Taken) -> Taken:
        """Link it to the recordings of the same vCon's other versions, and of those that it says it was made from."""
        related: list[str] = []
        with Catalogue(self._data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            for one in [taken.imported["uuid"], *(told["uuid"] for told in taken.imported["related"])]:
                related += [row.id for row in versions_of(catalogue, one)]
        details = {**taken.row.details, "related": list(dict.fromkeys(related))[:1000]}
        return replace(taken, row=replace(taken.row, details=details))

    def _ruled(self, taken: Taken) -> Taken:
        """Give it site, class and times: the class that was said, else what rules say of such a call."""
        row = replace(taken.row, site=self._options.site)
        ruled = decide(row.as_json(), self._rules)
        row = replace(
            row,
            retention_class=ruled.class_,
            locked_until_us=ruled.lock_until,
            expires_us=ruled.delete_after,
            basis=ruled.basis,
        )
        if self._options.retention_class:
            kept = self._policy.classes[self._options.retention_class]
            ended = row.ended_us if row.ended_us is not None else row.started_us
            row = replace(
                row,
                retention_class=kept.name,
                locked_until_us=None if kept.least is None else kept.least.after(ended),
                expires_us=None if kept.greatest is None else kept.greatest.after(ended),
            )
        return replace(taken, row=row)

    def _file(self, taken: Taken) -> dict[str, Any]:
        with self.sealed(taken) as order:
            return perform(self._data_dir, FILE_IMPORT, order, self._by, policy=self._policy)

    @contextmanager
    def sealed(self, taken: Taken) -> Iterator[FileImport]:
        """Write the sealed part into a hidden folder and yield the order to file it; else nothing of it stays."""
        store = Store(self._data_dir, create=False)
        try:
            store.keep_room(sum(len(one.data) for one in taken.media) + len(taken.text), "import a vCon")
            folder = store.open_arriving(taken.row.id, taken.row.started_us)
        finally:
            store.close()
        place = str(arrived_name(folder).relative_to(self._data_dir))
        taken = replace(taken, row=replace(taken.row, folder=place))
        key = os.urandom(32)
        try:
            with held(folder):
                part, meta = write_part(folder, taken, key)
                yield FileImport(
                    recording=taken.row.id,
                    capsule=make_capsule(self._public, key, taken.row.id, 0),
                    part=part_order(part),
                    meta_sha256=meta,
                    report=json.dumps(replace(taken.row, size_bytes=part.size_bytes).as_json()),
                )
        finally:
            if folder.exists() and not (folder / MANIFEST_FILE).exists():
                remove(folder)


def words_of(taken: Taken) -> str:
    """Say what a vCon is as a recording, and what is not in it."""
    row, told = taken.row, taken.imported
    seconds = sum(one.samples / one.facts.rate for one in taken.media)
    parts = [
        f"{rfc3339(row.started_us)[:19]}Z, {row.caller or '?'} and {row.callee or '?'}, {seconds:.1f} s of sound",
        f"kept {taken.kept}",
        _SIGNATURE[told["signature"]],
    ]
    counts = ("keys_left_out", "keys_silenced", "numbers_masked")
    parts += [f"{told[name]} {name.replace('_', ' ')}" for name in counts if told[name]]
    parts += [f"left out: {count} of {kind}" for kind, count in told["left_out"].items()]
    parts += list(taken.notes[:5])
    if row.details["related"]:
        parts.append(f"another version of {', '.join(one[:8] for one in row.details['related'][:3])}")
    return "; ".join(parts)


_SIGNATURE: Final = {
    "none": "not signed",
    "not-checked": "signature not checked",
    "holds": "its signature holds, by a key that nobody vouched for",
    "trusted": "its signature is by who was given",
    "wrong": "its signature is wrong",
}


def _told(taken: Taken) -> dict[str, Any]:
    told = {name: value for name, value in taken.imported.items() if name not in ("dialogs", "media")}
    return {"imported": told, "class": taken.row.retention_class, "notes": list(taken.notes)}
