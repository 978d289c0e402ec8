"""Verification notices what an intruder may do to an archive, and says nothing when nobody did anything."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import UUID

import ledgers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.appliance.keyring import renewal
from vittne.appliance.seal import records
from vittne.appliance.seal.finish import finish_recordings, only_to_rename
from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.journal import flushed, header
from vittne.appliance.seal.keys import ArchiveKey, ArchivePair, KeyStore, make_capsule, open_keys
from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.seal.manifest import (
    CRASH,
    SEALED,
    Manifest,
    SealedPart,
    SealedStream,
    digest,
    meta_body,
    write_manifest,
)
from vittne.appliance.seal.part import PartWriter
from vittne.appliance.seal.rotation import rotate_key
from vittne.appliance.seal.signing import load_verifier, new_key, save_key
from vittne.appliance.seal.verdict import FAILS, HOLDS, UNCHECKED, Check, Verdict
from vittne.appliance.seal.verify import ARCHIVE, verify, verify_all
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.files import Store
from vittne.appliance.store.rows import FINISHED, CallRow

START = 1_700_000_000_000_000
RECS = [str(UUID(int=n << 96)) for n in range(1, 5)]


@dataclass
class Box:
    """A small real data directory and what writes into it."""

    data_dir: Path
    store: Store
    ledger: Ledger
    archive_key: ArchivePair
    key_store: KeyStore
    catalogue: Catalogue

    @classmethod
    def make(cls, data_dir: Path) -> Box:
        store = Store(data_dir)
        return cls(
            data_dir,
            store,
            open_ledger(data_dir),
            ArchiveKey.create(data_dir),
            KeyStore(data_dir / "keys.db"),
            Catalogue(data_dir / "catalogue.db"),
        )

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
        self.key_store.close()
        self.catalogue.close()

    def begin(self, rec: str) -> tuple[Path, bytes]:
        """Do what comes before a part's first byte: its folder, its key, its entry."""
        key = os.urandom(32)
        capsule = make_capsule(self.archive_key.public, key, rec, 0)
        self.key_store.put([(rec, 0, capsule)])
        self.ledger.record({"t": "rec.open", "rec": rec, "part": 0, "capsule": digest(capsule.encode())}, START)
        self.ledger.flush()
        return self.store.open_recording(rec, START), key

    def record(self, rec: str, sealed_meta: dict[str, str] | None = None) -> Path:
        """Record one call of ten packets, and finish it."""
        row = call(rec)
        folder, key = self.begin(rec)
        meta = meta_body({**row.as_json(), **(sealed_meta or {})})
        writer = PartWriter(folder / "part-0.floe", rec, 0, key)
        writer.append([records.encode(records.RTP, n, bytes(172), stream=1) for n in range(10)])
        summary = writer.finish([records.encode(records.META, 10, meta)])
        part = SealedPart(0, summary.bytes, summary.groups, summary.sha256, START, START + 200_000)
        manifest = Manifest(
            rec,
            SEALED,
            (part,),
            outcome="recorded",
            streams=(SealedStream(1, "PCMA", 10, 10, 0), SealedStream(2, "PCMA", 7, 0, 0)),
            meta_sha256=digest(meta),
        )
        (path,) = finish_recordings(self.store, self.ledger, [(folder, manifest)])
        self.catalogue.upsert_call(row)
        return path


def call(rec: str) -> CallRow:
    return CallRow(
        id=rec,
        state=FINISHED,
        call_ids=(f"{rec}@example.org",),
        caller="sip:100@example.org",
        callee="sip:200@example.org",
        started_us=START,
        answered_us=START,
        ended_us=START + 200_000,
        outcome="recorded",
        folder=f"recordings/2023/11/14/{rec}",
    )


def failed(data_dir: Path) -> set[str]:
    """Return "subject: check" of all that fails, with the recording's number for its id."""
    names = {rec: str(n) for n, rec in enumerate(RECS)}
    return {
        f"{names.get(verdict.subject, verdict.subject)}: {check.name}"
        for verdict in verify_all(data_dir)
        for check in verdict.checks
        if check.result == FAILS
    }


def words(data_dir: Path, name: str, rec: str | None = None) -> str:
    verdict = verify(data_dir, rec) if rec else list(verify_all(data_dir))[-1]
    return next(check.words for check in verdict.checks if check.name == name)


def forge_folder(target: Path, rec: str, data_dir: Path) -> None:
    """Put a recording together as an intruder would, who has all but the private key."""
    target.mkdir()
    part = SealedPart(0, 1, 1, hashlib.sha256(b"x").hexdigest(), START, START)
    (target / "part-0.floe").write_bytes(b"x")
    write_manifest(
        target, Manifest(rec, SEALED, (part,)), replace(new_key(), name=load_verifier(data_dir / "keys").name)
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three recordings, made once and copied by each test."""
    box = Box.make(tmp_path_factory.mktemp("archive") / "data")
    for rec in RECS[:3]:
        box.record(rec)
    box.close()
    return box.data_dir


@pytest.fixture
def data_dir(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "data"))


def folder(data_dir: Path, n: int) -> Path:
    return data_dir / "recordings/2023/11/14" / RECS[n]


def test_an_archive_that_nobody_touched_holds(data_dir: Path) -> None:
    verdicts = list(verify_all(data_dir))

    assert [verdict.subject for verdict in verdicts] == [*RECS[:3], ARCHIVE]
    assert all(verdict.ok for verdict in verdicts)
    results = {check.result for verdict in verdicts for check in verdict.checks}
    assert results == {HOLDS}
    names = [check.name for check in verdicts[0].checks]
    assert names == ["manifest", "ledger", "files", "content", "catalogue"]


def test_one_recording_is_verified_by_its_id(data_dir: Path) -> None:
    verdict = verify(data_dir, RECS[1])

    assert verdict.ok
    assert Check("content", HOLDS, "all groups open, 10 RTP packets") in verdict.checks
    (files,) = (check.words for check in verdict.checks if check.name == "files")
    assert files.startswith("1 part, ")


def remove(data_dir: Path) -> None:
    shutil.rmtree(folder(data_dir, 1))


def hide(data_dir: Path) -> None:
    folder(data_dir, 1).rename(folder(data_dir, 1).parents[3] / "elsewhere")


def swap(data_dir: Path) -> None:
    spare = data_dir / "spare"
    folder(data_dir, 0).rename(spare)
    folder(data_dir, 1).rename(folder(data_dir, 0))
    spare.rename(folder(data_dir, 1))


def swap_parts(data_dir: Path) -> None:
    spare = data_dir / "spare"
    (folder(data_dir, 0) / "part-0.floe").rename(spare)
    (folder(data_dir, 1) / "part-0.floe").rename(folder(data_dir, 0) / "part-0.floe")
    spare.rename(folder(data_dir, 1) / "part-0.floe")


def smuggle(data_dir: Path) -> None:
    forge_folder(folder(data_dir, 3), RECS[3], data_dir)


def copy_under_another_name(data_dir: Path) -> None:
    shutil.copytree(folder(data_dir, 0), folder(data_dir, 3))


def exchange(data_dir: Path) -> None:
    shutil.rmtree(folder(data_dir, 0))
    forge_folder(folder(data_dir, 0), RECS[0], data_dir)


def add_a_file(data_dir: Path) -> None:
    (folder(data_dir, 0) / "part-1.floe").write_bytes(b"x")


def remove_a_part(data_dir: Path) -> None:
    (folder(data_dir, 0) / "part-0.floe").unlink()


def put_a_pipe_in_place_of_a_part(data_dir: Path) -> None:
    remove_a_part(data_dir)
    os.mkfifo(folder(data_dir, 0) / "part-0.floe")


def put_a_pipe_in_place_of_a_manifest(data_dir: Path) -> None:
    (folder(data_dir, 0) / "manifest.json").unlink()
    os.mkfifo(folder(data_dir, 0) / "manifest.json")


def put_a_link_in_place_of_a_part(data_dir: Path) -> None:
    (folder(data_dir, 0) / "part-0.floe").rename(data_dir / "elsewhere")
    (folder(data_dir, 0) / "part-0.floe").symlink_to(data_dir / "elsewhere")


def put_a_file_in_place_of_a_recording(data_dir: Path) -> None:
    remove(data_dir)
    folder(data_dir, 1).touch()


def garble_a_row(data_dir: Path) -> None:
    with sqlite3.connect(data_dir / "catalogue.db") as database:
        database.execute("UPDATE calls SET parties = '[' WHERE id = ?", (RECS[1],))
        database.execute("UPDATE calls SET started_us = 9000000000000000000 WHERE id = ?", (RECS[2],))


def garble_the_catalogue(data_dir: Path) -> None:
    (data_dir / "catalogue.db").write_bytes(b"x" * 20_000)


def garble_the_key_store(data_dir: Path) -> None:
    (data_dir / "keys.db").write_bytes(b"x" * 20_000)


def cut_a_part(data_dir: Path) -> None:
    os.truncate(folder(data_dir, 0) / "part-0.floe", 4096)


def remove_the_signature(data_dir: Path) -> None:
    (folder(data_dir, 0) / "manifest.sig").unlink()


def lay_something_between(data_dir: Path) -> None:
    (folder(data_dir, 0).parent / "notes.txt").touch()


def shorten_the_ledger(data_dir: Path) -> None:
    (data_dir / "ledger/journal").write_bytes(ledgers.journal(data_dir)[:-30])


def forget_a_row(data_dir: Path) -> None:
    with sqlite3.connect(data_dir / "catalogue.db") as database:
        database.execute("DELETE FROM calls WHERE id = ?", (RECS[2],))


def change_a_row(data_dir: Path) -> None:
    with sqlite3.connect(data_dir / "catalogue.db") as database:
        database.execute("UPDATE calls SET caller = 'sip:666@example.org' WHERE id = ?", (RECS[2],))


def invent_a_row(data_dir: Path) -> None:
    with Catalogue(data_dir / "catalogue.db") as catalogue:
        catalogue.upsert_call(call(RECS[3]))


def destroy_a_key(data_dir: Path) -> None:
    with sqlite3.connect(data_dir / "keys.db") as database:
        database.execute("DELETE FROM data_keys WHERE recording_id = ?", (RECS[2],))


def exchange_a_key(data_dir: Path) -> None:
    capsule = make_capsule(ArchiveKey.load_public(data_dir), bytes(32), RECS[2], 0)
    with sqlite3.connect(data_dir / "keys.db") as database:
        database.execute("UPDATE data_keys SET key = ? WHERE recording_id = ?", (capsule.encode(), RECS[2]))


def exchange_the_archive_key(data_dir: Path) -> None:
    (data_dir / "other").mkdir()
    other = ArchiveKey.create(data_dir / "other")
    (data_dir / "keys/archive.pub").write_bytes(other.public.pem())
    shutil.rmtree(data_dir / "other")


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (remove, {"archive: removed"}),
        (hide, {"archive: removed"}),
        (swap, {"0: manifest", "1: manifest"}),
        (swap_parts, {"0: files", "1: files"}),
        (smuggle, {"3: manifest", "archive: smuggled"}),
        (copy_under_another_name, {"3: manifest", "archive: smuggled"}),
        (exchange, {"0: manifest"}),
        (add_a_file, {"0: files"}),
        (remove_a_part, {"0: files"}),
        (cut_a_part, {"0: files"}),
        (put_a_pipe_in_place_of_a_part, {"0: files"}),
        (put_a_pipe_in_place_of_a_manifest, {"0: manifest"}),
        (put_a_link_in_place_of_a_part, {"0: files"}),
        (put_a_file_in_place_of_a_recording, {"1: manifest"}),
        (garble_a_row, {"1: catalogue", "2: catalogue"}),
        (garble_the_catalogue, {"archive: catalogue"}),
        (garble_the_key_store, {"archive: key store"}),
        (remove_the_signature, {"0: manifest"}),
        (lay_something_between, {"archive: folders"}),
        (shorten_the_ledger, {"archive: ledger"}),
        (forget_a_row, {"2: catalogue"}),
        (change_a_row, {"2: catalogue"}),
        (invent_a_row, {"archive: catalogue"}),
        (destroy_a_key, {"2: content"}),
        (exchange_a_key, {"2: content"}),
        (exchange_the_archive_key, {"archive: archive key"}),
    ],
)
def test_what_an_intruder_did_is_noticed(attack: Callable[[Path], None], expected: set[str], data_dir: Path) -> None:
    attack(data_dir)

    assert failed(data_dir) == expected


@settings(max_examples=25, deadline=None)
@given(
    which=st.sampled_from(["part-0.floe", "manifest.json", "manifest.sig"]),
    place=st.integers(0, 8191),
    bit=st.integers(0, 7),
)
def test_one_altered_bit_anywhere_in_a_recording_is_noticed(which: str, place: int, bit: int, archive: Path) -> None:
    path = folder(archive, 0) / which
    good = path.read_bytes()
    bad = bytearray(good)
    bad[place % len(bad)] ^= 1 << bit
    path.write_bytes(bad)
    try:
        assert not verify(archive, RECS[0]).ok
    finally:
        path.write_bytes(good)


def test_words_name_what_happened(data_dir: Path) -> None:
    assert words(data_dir, "removed") == "all 3 sealed recordings are there or were erased by entry"
    remove(data_dir)
    assert RECS[1] in words(data_dir, "removed")
    assert words(data_dir, "folder", RECS[1]) == "the ledger says that it was sealed, but it is gone: it was removed"
    assert "nor was there ever one" in words(data_dir, "folder", RECS[3])
    assert "nor was there ever one" in words(data_dir, "folder", "../../keys")
    cut_a_part(data_dir)
    assert words(data_dir, "files", RECS[0]).startswith("part-0.floe was cut short: 8192 bytes were sealed")
    change_a_row(data_dir)
    assert words(data_dir, "catalogue", RECS[2]) == (
        "the catalogue was altered: sealed in the recording is another caller"
    )


def test_an_older_version_put_back_is_noticed(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    path = box.record(RECS[0])
    shutil.copytree(path, tmp_path / "older")
    hidden = path.rename(path.with_name(f".{path.name}"))
    part = SealedPart(0, *summed(hidden / "part-0.floe"), START, START)
    finish_recordings(box.store, box.ledger, [(hidden, Manifest(RECS[0], CRASH, (part,)))])
    assert verify(tmp_path, RECS[0]).ok

    shutil.rmtree(path)
    (tmp_path / "older").rename(path)

    assert words(tmp_path, "ledger", RECS[0]) == "the ledger has a newer manifest: an older version was put back"


def summed(path: Path) -> tuple[int, int, str]:
    data = path.read_bytes()
    return len(data), 2, digest(data)


def test_content_other_than_the_manifest_says_is_noticed(tmp_path: Path) -> None:
    # Signed and entered by us all the same: what a fault of our own would look like.
    box = Box.make(tmp_path)
    path = box.record(RECS[0])
    part = SealedPart(0, *summed(path / "part-0.floe"), START, START)
    streams = (SealedStream(1, "PCMA", 10, 10, 0),)
    for manifest, expected in [
        (Manifest(RECS[0], SEALED, (part,), streams=streams), HOLDS),
        (Manifest(RECS[0], SEALED, (part,), streams=streams, meta_sha256="00" * 32), FAILS),
        (Manifest(RECS[0], SEALED, (part,)), FAILS),
        (Manifest(RECS[0], SEALED, (replace(part, groups=3),), streams=streams), FAILS),
        (Manifest(RECS[0], SEALED, (replace(part, cut=True),), streams=streams), HOLDS),
    ]:
        hidden = path.rename(path.with_name(f".{path.name}"))
        finish_recordings(box.store, box.ledger, [(hidden, manifest)])
        content = next(check for check in verify(tmp_path, RECS[0]).checks if check.name == "content")
        assert content.result == expected, content


def test_a_part_that_lacks_its_end_is_no_finished_part(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    hidden, key = box.begin(RECS[0])
    writer = PartWriter(hidden / "part-0.floe", RECS[0], 0, key)
    writer.append([records.encode(records.RTP, 0, bytes(172), stream=1)])
    summary = writer.abandon()
    part = SealedPart(0, summary.bytes, summary.groups, summary.sha256, START, START)
    box.catalogue.upsert_call(call(RECS[0]))

    finish_recordings(box.store, box.ledger, [(hidden, Manifest(RECS[0], CRASH, (part,)))])
    assert "ends without END" in words(tmp_path, "content", RECS[0])

    hidden = folder(tmp_path, 0).rename(hidden)
    cut = Manifest(RECS[0], CRASH, (replace(part, cut=True),))
    finish_recordings(box.store, box.ledger, [(hidden, cut)])
    assert verify(tmp_path, RECS[0]).ok


def test_without_the_archive_key_all_but_the_content_is_checked(data_dir: Path) -> None:
    (data_dir / "keys/keyring.json").unlink()

    verdicts = list(verify_all(data_dir))

    assert all(verdict.ok for verdict in verdicts)
    results = {
        (verdict.subject, check.name) for verdict in verdicts for check in verdict.checks if check.result == UNCHECKED
    }
    assert results == {*((rec, "content") for rec in RECS[:3]), (ARCHIVE, "archive key")}


def test_a_key_kept_elsewhere_unmasks_an_archive_made_anew(tmp_path: Path) -> None:
    true = Box.make(tmp_path / "true")
    forged = Box.make(tmp_path / "forged")
    forged.record(RECS[0])

    assert all(verdict.ok for verdict in verify_all(forged.data_dir))
    verdicts = list(verify_all(forged.data_dir, trusted=true.ledger.key.verifier))
    assert [verdict.ok for verdict in verdicts] == [False, False]


def test_a_key_kept_elsewhere_still_leads_to_the_one_that_followed_it(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    box.record(RECS[0])
    first = box.ledger.key.verifier
    box.ledger.close()
    rotate_key(tmp_path)
    second = load_verifier(tmp_path / "keys")
    rotate_key(tmp_path, fips=True)

    for trusted in (None, first, second, load_verifier(tmp_path / "keys")):
        assert all(verdict.ok for verdict in verify_all(tmp_path, trusted=trusted))
    stranger = replace(new_key(), name=first.name).verifier
    assert not all(verdict.ok for verdict in verify_all(tmp_path, trusted=stranger))


def test_a_ledger_that_was_signed_anew_by_a_key_that_nobody_named_is_unmasked(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    box.record(RECS[0])
    first = box.ledger.key.verifier
    box.ledger.close()
    forger = replace(new_key(), name=first.name)
    lines, note = flushed(ledgers.lines(tmp_path), box.ledger.checkpoint, forger)
    (tmp_path / "ledger/journal").write_bytes(header(0, ()) + lines)
    (tmp_path / "ledger/checkpoint").write_bytes(note)
    (tmp_path / "keys/ledger.head").write_bytes(note)
    save_key(tmp_path / "keys", forger)
    Ledger(tmp_path / "ledger", forger).close()  # it is in order for who trusts the forger

    about = list(verify_all(tmp_path, trusted=first))[-1]
    assert [check.ok for check in about.checks if check.name == "ledger"] == [False]


def test_recordings_verify_once_their_keys_are_under_a_bucket_and_after_an_epoch(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    for rec in RECS[:2]:
        box.record(rec)
    with open_keys(tmp_path) as keys:
        assert keys.adopt(RECS[0], "main", "mifid-5y", "2023-11") == 1
        assert all(verdict.ok for verdict in verify_all(tmp_path))

        renewal.epoch(keys, box.ledger, "main")

    verdicts = list(verify_all(tmp_path))
    assert all(verdict.ok for verdict in verdicts)
    assert not any(check.result == UNCHECKED for verdict in verdicts for check in verdict.checks)


def test_an_erased_recording_is_no_removed_one_and_nothing_of_it_may_be_here(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    folders = [box.record(rec) for rec in RECS[:3]]
    for rec in RECS[:3]:
        box.ledger.record({"t": "rec.erase", "rec": rec, "reason": "requested"}, START)
    box.ledger.flush()
    assert failed(tmp_path) == {"0: erased", "1: erased", "2: erased", "archive: erased"}
    assert "its keys are here" in words(tmp_path, "erased", RECS[0])

    for rec in RECS[:3]:
        box.key_store.erase(rec)
    assert "what the catalogue says of it is here" in words(tmp_path, "erased", RECS[0])
    for rec in RECS[:3]:
        box.catalogue.upsert_call(replace(call(rec), caller="", callee="", call_ids=(), folder="", erased_us=START))
    assert failed(tmp_path) == {"0: erased", "1: erased", "2: erased"}
    assert "1 of its files are here" in words(tmp_path, "erased", RECS[0])

    shutil.rmtree(folders[0])
    for folder in folders[1:]:
        (folder / "part-0.floe").unlink()  # signature and manifest stay
    assert failed(tmp_path) == set()
    for rec in RECS[:2]:
        assert "at 2023-11-14T22:13:20" in words(tmp_path, "erased", rec)


def test_a_recording_being_written_is_no_fault_and_one_that_vanished_is(tmp_path: Path) -> None:
    box = Box.make(tmp_path)
    hidden, _ = box.begin(RECS[0])

    assert failed(tmp_path) == set()
    assert "1 are being written" in words(tmp_path, "begun")
    hidden.rmdir()
    assert failed(tmp_path) == {"archive: begun"}
    box.ledger.record({"t": "rec.discard", "rec": RECS[0], "reason": "no-media"})
    box.ledger.flush()
    assert failed(tmp_path) == set()


def test_a_recording_sealed_but_not_yet_named_is_verified_and_only_to_be_renamed(data_dir: Path) -> None:
    hidden = folder(data_dir, 0).rename(folder(data_dir, 0).with_name(f".{RECS[0]}"))
    history, _ = read_history(data_dir / "ledger", load_verifier(data_dir / "keys"))

    assert failed(data_dir) == set()
    assert only_to_rename(hidden, history)
    (hidden / "part-0.floe").write_bytes(b"x")
    assert failed(data_dir) == {"0: files"}
    (hidden / "manifest.json").write_bytes(b"{}")
    assert not only_to_rename(hidden, history)
    (hidden / "manifest.json").unlink()
    assert not only_to_rename(hidden, history)


def test_progress_goes_up_to_all_bytes(data_dir: Path) -> None:
    told: list[tuple[int, int]] = []

    list(verify_all(data_dir, progress=lambda done, total: told.append((done, total))))

    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {3 * 2 * 8192}


def test_nothing_about_the_call_is_readable_without_the_key(data_dir: Path) -> None:
    readable = b"".join(
        path.read_bytes()
        for name in ("ledger", "recordings")
        for path in (data_dir / name).rglob("*")
        if path.is_file()
    )

    assert b"example.org" not in readable
    assert json.loads((folder(data_dir, 0) / "manifest.json").read_bytes())["rec"] == RECS[0]


def test_a_verdict_fails_with_any_of_its_checks() -> None:
    assert Verdict("x", (Check("a", HOLDS, ""), Check("b", UNCHECKED, ""))).ok
    assert not Verdict("x", (Check("a", HOLDS, ""), Check("b", FAILS, ""))).ok
