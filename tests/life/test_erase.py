"""Erasing: nothing of what was said or of who said it is left, and that it was done can be proven."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cuts import REC, START_US
from lives import ANN, DAY_US, FAR_US, NAMES, classed, copied, erasing, everything, folder
from lives import call as call_of
from rig.desk import desk_of
from running import running

from vittne.appliance.audit import commitment
from vittne.appliance.control.client import perform
from vittne.appliance.life.erase import Wanted, erasing_some, settle_erasures
from vittne.appliance.life.precedence import decide
from vittne.appliance.listing.operations import KEEP_SEARCH, KeepSearch
from vittne.appliance.listing.table import ListingTable
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.keys import KeyStore, unlock
from vittne.appliance.seal.part import PartReader
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_key
from vittne.appliance.seal.verdict import FAILS
from vittne.appliance.seal.verify import verify, verify_all
from vittne.appliance.store.audit import AuditRow, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us
from vittne.capture.pause import Pause

Vittne = Callable[..., tuple[int, str, str]]


def failed(data: Path) -> dict[str, str]:
    return {check.name: check.words for v in verify_all(data) for check in v.checks if check.result == FAILS}


def trail(data: Path) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(AuditTable(catalogue).search())


def ledger(data: Path) -> list[dict[str, object]]:
    entries: dict[int, bytes] = {}
    scan_ledger(data / "ledger", load_key(data / "keys").verifier, entries.__setitem__)
    return [dict(read_entry(entries[n])) for n in sorted(entries)]


def erase(vittne: Vittne, data: Path, *more: object) -> tuple[int, str, str]:
    return vittne("erase", REC, "--reason", "the person asked for it", "--by", "Ann", "--data", data, *more)


# What is gone


def test_no_name_number_address_or_id_of_the_parties_is_left_in_any_byte_on_the_disk(
    vittne: Vittne, data: Path
) -> None:
    before = everything(data)
    assert [name for name in NAMES if name not in before] == []
    assert vittne("correct", REC, "--set", "caller=sip:0401234777@x", "--reason", "typo", "--data", data)[0] == 0

    status, _, error = erase(vittne, data)

    assert (status, error) == (0, "")
    left = everything(data)
    assert [name for name in NAMES if name in left] == []


def test_a_search_that_somebody_keeps_for_him_goes_with_his_last_recording(vittne: Vittne, data: Path) -> None:
    number = NAMES[0].decode()
    for name, query in (("his", {"number": number}), ("mine", {"paused": True}), (f"about {number}", {"days": 3})):
        order = KeepSearch(owner="0123456789abcdef", name=name, query=query)
        perform(data, KEEP_SEARCH, order, "Ann")

    erase(vittne, data)

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        assert [one.name for one in ListingTable(catalogue).searches("0123456789abcdef", ())] == ["mine"]


def test_who_did_what_stays_in_the_trail_where_a_detail_named_a_party(vittne: Vittne, data: Path) -> None:
    erase(vittne, data)

    rows = trail(data)
    assert [(row.kind, row.actor, row.recording) for row in rows] == [("export", "Ann", REC), ("rec.erase", "Ann", REC)]
    assert (rows[0].details, rows[0].salt) == ({}, "")
    assert rows[1].details["reason"] == "the person asked for it"
    entries = ledger(data)
    assert rows[1].entry is not None
    assert entries[rows[1].entry]["row"] == commitment(rows[1])
    assert entries[rows[1].entry]["reason"] == "requested"


def test_a_detail_that_names_nobody_stays_and_can_be_held_against_the_ledger(vittne: Vittne, data: Path) -> None:
    assert vittne("restrict", REC, "--reason", "the person asked", "--data", data)[0] == 0
    assert vittne("unrestrict", REC, "--reason", "settled", "--data", data)[0] == 0

    erase(vittne, data)

    row = next(row for row in trail(data) if row.kind == "rec.restrict")
    assert row.details["reason"] == "the person asked"
    assert row.entry is not None
    assert ledger(data)[row.entry]["row"] == commitment(row)


def test_keys_and_files_are_gone_and_the_signed_manifest_stays(vittne: Vittne, data: Path) -> None:
    manifest = (folder(data) / "manifest.json").read_bytes()

    erase(vittne, data)

    store = KeyStore(data / "keys.db")
    assert store.parts(REC) == []
    store.close()
    assert sorted(path.name for path in folder(data).iterdir()) == ["manifest.json", "manifest.sig"]
    assert (folder(data) / "manifest.json").read_bytes() == manifest


def test_the_call_stays_listed_as_erased_with_its_times(vittne: Vittne, data: Path) -> None:
    before = call_of(data)
    erase(vittne, data)

    after = call_of(data)
    assert (after.outcome, after.caller, after.callee, after.parties, after.call_ids) == ("erased", "", "", (), ())
    assert (after.started_us, after.ended_us) == (before.started_us, before.ended_us)
    assert after.erased_us is not None
    assert [stream.source for stream in after.streams] == [""]
    assert after.streams[0].packets == 150


def test_a_reason_that_names_a_party_is_refused_because_it_would_outlive_him(vittne: Vittne, data: Path) -> None:
    for reason in ("Hedda Gabler asked", "+49 (30) 555-123 wrote to us", "see secret-call-id@192.0.2.77"):
        status, _, error = vittne("erase", REC, "--reason", reason, "--data", data)
        assert status == 1
        assert "names a party" in error
    assert call_of(data).erased_us is None


def test_an_erased_call_can_be_neither_heard_nor_exported_nor_read_nor_erased_again(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    erase(vittne, data)

    for command in (
        ("export", REC, "-o", tmp_path / "x.wav"),
        ("explain", REC),
        ("erase", REC, "--reason", "again"),
    ):
        status, _, error = vittne(*command, "--data", data)
        assert status == 1
        assert "it was erased at" in error, command


# What is proven


def test_verify_knows_an_erased_recording(vittne: Vittne, data: Path) -> None:
    erase(vittne, data)

    words = {check.name: check.words for check in verify(data, REC).checks}
    assert words["erased"].startswith("erased by entry ")
    assert words["ledger"] == "its manifest is the one that was entered"
    assert failed(data) == {}
    shutil.rmtree(folder(data))
    assert verify(data, REC).ok
    assert failed(data) == {}


def test_the_certificate_is_signed_names_no_party_and_a_stranger_checks_it(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    manifest = (folder(data) / "manifest.json").read_bytes()
    erase(vittne, data)

    status, said, _ = vittne("erase", "--certificate", REC, "--data", data)
    assert vittne("erase", "--certificate", REC, "-o", tmp_path / "c.json", "--data", data)[0] == 0

    shown = json.loads(said)
    assert status == 0
    assert (shown["rec"], shown["by"], shown["approvers"], shown["word"]) == (REC, "Ann", ["Ann"], "requested")
    sha256 = subprocess.run(["sha256sum"], input=manifest, capture_output=True, check=True).stdout.split()[0].decode()
    assert shown["manifest"] == sha256
    entry = ledger(data)[shown["entry"]]
    assert (entry["t"], entry["rec"], entry["manifest"]) == ("rec.erase", REC, sha256)
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(data / "keys/ledger.pub.pem"), "-rawin"]
    command += ["-in", str(tmp_path / "c.json"), "-sigfile", str(tmp_path / "c.json.sig")]
    assert b"Verified Successfully" in subprocess.run(command, capture_output=True, check=True).stdout
    (data / "certificates" / f"{REC}.json").write_bytes(b"{}")
    status, _, error = vittne("erase", "--certificate", REC, "--data", data)
    assert (status, "not signed" in error) == (1, True)


def test_a_dry_run_changes_no_byte(vittne: Vittne, data: Path) -> None:
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.suffix != ".db-shm"}

    status, said, _ = erase(vittne, data, "--dry-run")

    assert (status, "would be erased" in said) == (0, True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_running_recorder_erases_for_the_command(vittne: Vittne, data: Path) -> None:
    with running(data):
        assert erase(vittne, data)[0] == 0

    assert failed(data) == {}
    assert call_of(data).erased_us is not None


# Refusals


def test_a_refusal_says_why_and_is_entered_in_the_trail(vittne: Vittne, data: Path) -> None:
    classed(data, "mifid-5y", FAR_US, FAR_US)

    status, _, error = erase(vittne, data)

    assert status == 1
    assert "locked by class 'mifid-5y' until" in error
    row = trail(data)[-1]
    assert (row.kind, row.recording, row.details["decision"]["rule"]) == ("erase.refused", REC, "lock")
    assert row.details["decision"]["outcome"] == "refused"
    assert vittne("erase", REC, "--dry-run", "--data", data)[0] == 1


# Backups


def test_an_old_copy_of_the_keys_opens_old_files_until_the_key_epoch_and_verify_says_that_it_is_here(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    backup = copied(data, tmp_path / "backup")
    erase(vittne, data)
    (data / "keys.db").unlink()
    shutil.copy(backup / "keys.db", data / "keys.db")
    shutil.copy(folder(backup) / "part-0.floe", folder(data))

    store = KeyStore(data / "keys.db")
    kept = store.get(REC, 0)
    store.close()
    assert kept is not None
    key = unlock(data).data_key(kept, REC, 0)
    with PartReader(folder(data) / "part-0.floe", REC, 0, key) as reader:
        assert reader.plaintext()  # that is what a backup is, and what the certificate says
    found = failed(data)
    assert "its keys are here" in found["erased"] or "keys or names are here" in found["erased"]

    status, said, _ = vittne("erase", "--settle", "--data", data)

    assert (status, said) == (0, "1 erasures were brought to their end\n")
    assert failed(data) == {}
    assert [path.name for path in folder(data).glob("part-*")] == []


def test_a_whole_backup_that_was_put_back_beside_the_ledger_is_erased_again(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    backup = copied(data, tmp_path / "backup")
    erase(vittne, data)
    for name in ("keys.db", "catalogue.db"):
        for path in data.glob(f"{name}*"):
            path.unlink()
        shutil.copy(backup / name, data / name)
    shutil.rmtree(folder(data))
    shutil.copytree(folder(backup), folder(data))
    assert {"erased"} <= failed(data).keys()

    assert vittne("erase", "--settle", "--data", data)[0] == 0

    assert failed(data) == {}
    left = everything(data)
    assert [name for name in NAMES if name in left] == []


# Crashes

_KILLED_AT_EACH_STEP = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from lives import erasing
for last in range(int(sys.argv[2])):
    child = os.fork()
    if not child:
        for n, _ in enumerate(erasing(Path(sys.argv[1], str(last)))):
            if n == last:
                os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
"""


@pytest.mark.sweep
def test_a_kill_at_any_step_leaves_the_recording_whole_or_is_brought_to_its_end_at_the_next_start(
    data: Path, tmp_path: Path
) -> None:
    names = list(erasing(copied(data, tmp_path / "all")))
    for n in range(len(names)):
        copied(data, tmp_path / str(n))
    tests = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, "-c", _KILLED_AT_EACH_STEP, str(tmp_path), str(len(names)), tests]
    subprocess.run(command, check=True)

    ends = []
    for n, step in enumerate(names):
        here = tmp_path / str(n)
        is_entered = any(entry["t"] == "rec.erase" for entry in ledger(here))
        registrar = Registrar(here)
        recover(registrar)
        assert settle_erasures(registrar) == []
        assert registrar.life.unfinished_erasures() == []
        registrar.close()
        # The archive's catalogue says more than is sealed, for the names' sake: noticed as long as it stands there.
        assert failed(here).keys() == (set() if is_entered else {"catalogue"}), step
        left = everything(here)
        assert any(name in left for name in NAMES) != is_entered, step
        assert (here / "certificates" / f"{REC}.json").exists() == is_entered, step
        assert (folder(here) / "part-0.floe").exists() != is_entered, step
        ends.append(is_entered)
    entered = names.index("entered in the ledger")
    assert ends == [n >= entered for n in range(len(names))]


def test_a_row_of_the_trail_whose_entry_a_crash_prevented_is_entered_and_the_erasure_done(data: Path) -> None:
    registrar = Registrar(data)
    row = registrar.life.get(REC)
    decision = decide("erase", row.facts, 0)
    run = erasing_some(registrar, [Wanted(row, "requested", "he asked", ANN, ("Ann",), decision)])
    assert next(run) == "written down"
    details = {"reason": "he asked", "ledger": {"reason": "requested", "manifest": "ab" * 32}}
    registrar.audit.table.put([AuditRow("ab" * 16, 1, "rec.erase", "Ann", "terminal", REC, details, "cd" * 16)])
    registrar.close()

    registrar = Registrar(data)
    recover(registrar)
    registrar.close()

    assert call_of(data).erased_us is not None
    assert [(entry["reason"], entry["rec"]) for entry in ledger(data) if entry["t"] == "rec.erase"] == [
        ("requested", REC)
    ]
    assert failed(data) == {}


def test_a_catalogue_that_somebody_reads_is_emptied_by_the_next_try(vittne: Vittne, data: Path) -> None:
    reader = sqlite3.connect(data / "catalogue.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM calls").fetchall()
    status, _, error = erase(vittne, data)
    assert (status, "which somebody reads" in error) == (1, True)
    reader.close()

    assert vittne("erase", "--settle", "--data", data)[0] == 0

    left = everything(data)
    assert [name for name in NAMES if name in left] == []
    assert failed(data) == {}


def test_a_standing_pause_that_an_erased_call_was_under_goes_on_after_a_restart(vittne: Vittne, data: Path) -> None:
    registrar = Registrar(data)
    at = now_us() * 1000
    mine = ("secret-call-id@192.0.2.77", "anothers-call-id")
    lease = at + 3_600_000_000_000
    standing = Pause(
        *("22222222-0000-4000-8000-000000000000", "api", "token", at, at, 0, lease, 0),
        scope="agent",
        select={"agent": "7"},
        calls=(REC, "another"),
        call_ids=mine,
    )
    registrar.note_pauses([standing])
    registrar.close()

    assert erase(vittne, data)[0] == 0

    with desk_of(data, None) as desk:
        (known,) = [pause for pause in desk.for_start() if pause.is_live]
    assert (known.select, known.call_ids) == ({"agent": "7"}, ("anothers-call-id",))


def test_pauses_that_speak_of_an_erased_party_are_emptied_however_long_ago_they_were_asked(
    vittne: Vittne, data: Path
) -> None:
    registrar = Registrar(data)
    row = registrar.catalogue.get(REC)
    registrar.catalogue.upsert_call(replace(row, details={**row.details, "agent": "desk-4711"}))
    long_ago, at = (START_US - 40 * DAY_US) * 1000, START_US * 1000
    said: dict[str, Any] = {"reason": "Hedda Gabler pays", "external_id": "x", "to_at": at + 1, "ended_by": "api"}
    asked = Pause("asked", "api", "t", long_ago, long_ago, 0, at, 0, select={"ani": "+4930555123"}, **said)
    took = Pause("took", "api", "t", long_ago, long_ago, 0, at, 0, scope="agent", calls=("other", REC), **said)
    agent = Pause("agent", "api", "t", at, at, 0, at, 0, select={"agent": "desk-4711"}, to_at=at, ended_by="api")
    other = Pause(
        "other", "api", "t", at, at, 0, at, 0, select={"ani": "+49401"}, reason="stays", to_at=at, ended_by="x"
    )
    registrar.note_pauses([asked, took, agent, other])
    registrar.close()

    assert vittne("erase", REC, "--reason", "he asked", "--data", data)[0] == 0

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        left = {body["id"]: (body["select"], body["reason"]) for body in catalogue.list_pauses()}
    assert [left[name] for name in ("asked", "took", "agent")] == [({}, "")] * 3
    assert left["other"] == ({"ani": "+49401"}, "stays")
