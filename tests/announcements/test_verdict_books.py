"""What was heard in a call becomes a verdict: in the catalogue, the signed manifest and the ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from announced import ANOTHER, RULE, WELCOME, Archive, enrol, heard, prompt, rec
from cuts import START_US

from vittne.appliance.audit_command import check as audit_check
from vittne.appliance.control.operation import Caller
from vittne.appliance.life.erase import Wanted, erasing_some
from vittne.appliance.life.precedence import decide
from vittne.appliance.recover import recover
from vittne.appliance.seal.manifest import read_manifest
from vittne.appliance.seal.scan import read_entry, scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.verdicts.cli import WORDS
from vittne.appliance.verdicts.judge import VERDICTS
from vittne.appliance.verdicts.table import VerdictTable

Vittne = Callable[..., tuple[int, str, str]]


def entries(data: Path, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []

    def visit(_: int, entry: bytes) -> None:
        event = dict(read_entry(entry))
        if event["t"] == kind:
            found.append(event)

    scan_ledger(data / "ledger", load_verifier(data / "keys"), visit)
    return found


def test_a_heard_announcement_is_in_catalogue_manifest_and_ledger(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)

    row = archive.close(1, heard(prompt()))

    manifest, _ = read_manifest(archive.data / row.folder, load_verifier(archive.data / "keys"))
    (entry,) = entries(archive.data, "verdict")
    assert row.announced == "full"
    assert row.details["announcement"] == manifest.announcement
    assert {name: entry[name] for name in manifest.announcement} == manifest.announcement
    assert (entry["reference"], entry["detector"], entry["offset_ms"], entry["n"]) == (WELCOME, "1", 1000, 1)
    assert (entry["share_permille"], entry["score_permille"], entry["overlap_permille"]) == (1000, 830, 100)
    assert row.details["heard"]["speech"]["callee"] == [[1000, 3000]]


def test_the_ledger_and_the_manifest_name_nobody(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)

    row = archive.close(1, heard(prompt(name="+4930555123")))

    (entry,) = entries(archive.data, "verdict")
    assert b"4930555123" not in (archive.data / row.folder / "manifest.json").read_bytes()
    assert entry["name"] == "welcome-en"
    assert not {"speech", "listened", "caller", "callee"} & (entry.keys() - {"listened"})
    assert len(entry["listened"]) == 64


@pytest.mark.parametrize(
    "said",
    [
        "x",
        {"detector": 1},
        {"announcements": [prompt() | {"share": 7.0}]},
        {"announcements": [prompt() | {"reference": "../../etc/passwd"}]},
        {"announcements": [prompt() | {"party": "Hedda"}]},
        {"speech": {"caller": [[5, 1]]}},
        {"listened": [{"party": "callee", "why": "<script>"}]},
    ],
)
def test_what_is_not_understood_is_as_if_nobody_had_listened(tmp_path: Path, said: Any) -> None:
    archive = Archive(tmp_path / "data", RULE)

    row = archive.close(1, said)

    assert (row.announced, row.details["announcement"]["reason"]) == ("not-listened", "not-told")
    assert "heard" not in row.details


def test_a_worker_cannot_say_itself_that_a_call_was_announced(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    lie = {"announced": "full", "expected": True, "proven": True}

    row = archive.close(1, heard(), announced="full", details={"announcement": lie})

    assert row.announced == "none"
    assert not row.details["announcement"]["proven"]


def test_speech_is_bounded_whatever_is_said(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")
    many = [[10 * n, 10 * n + 5 + n % 3] for n in range(5000)]

    row = archive.close(1, heard(speech={"caller": many}))

    kept = row.details["heard"]["speech"]["caller"]
    assert len(kept) == 2000
    assert (kept[0][0], kept[-1][1]) == (0, many[-1][1])
    assert all(begin <= end for begin, end in kept)


def test_who_spoke_how_long_is_told_from_the_answer_on(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")

    row = archive.close(1, heard())  # caller 0 to 0.5 and 2.5 to 3.5 s, callee 1 to 3 s, of four

    talk = row.details["heard"]["talk"]
    assert (talk["caller_ms"], talk["callee_ms"], talk["overlap_ms"]) == (1500, 2000, 500)
    assert (talk["silence_ms"], talk["longest_silence_ms"]) == (1000, 500)


def test_without_rules_and_listening_a_call_has_no_verdict(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data")

    row = archive.close(1, None)

    manifest, _ = read_manifest(archive.data / row.folder, load_verifier(archive.data / "keys"))
    assert (row.announced, manifest.announcement, entries(archive.data, "verdict")) == ("", {}, [])


def test_a_call_is_found_by_its_verdict_and_shown(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    archive.close(1, heard(prompt()))
    archive.close(2, heard())

    status, out, _ = vittne("list", "--announced", "none", "--json", "--data", archive.data)
    found = json.loads(out)
    _, shown, _ = vittne("show", rec(1), "--data", archive.data)
    _, verdicts, _ = vittne("announcement", "verdict", rec(1), "--json", "--data", archive.data)

    assert (status, [one["id"] for one in found]) == (0, [rec(2)])
    assert found[0]["details"]["announcement"]["reason"] == "not-heard"
    assert "welcome-en" in shown
    assert "100.0 % of it, score 0.83" in shown
    assert "both at once" in shown
    assert [(one["n"], one["by"], one["announced"]) for one in json.loads(verdicts)] == [(1, "recorder", "full")]


def test_told_again_after_a_crash_it_is_one_verdict(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    registrar = archive.registrar()
    closed = archive.ended(registrar, 1, heard(prompt()))

    registrar.close_calls([closed])
    registrar.close_calls([closed])
    registrar.close()

    assert len(entries(archive.data, "verdict")) == 1
    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        assert len(VerdictTable(catalogue).of(rec(1))) == 1


def test_a_lost_catalogue_gets_its_verdicts_again(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + 'otherwise = ["quarantine"]\n')
    for number, said in enumerate((heard(prompt()), heard(), None), 1):
        archive.close(number, said)
    vittne("announcement", "release", rec(2), "--reason", "it was a test", "--data", archive.data)
    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        before = list(catalogue.list_calls())
        verdicts = [VerdictTable(catalogue).of(row.id)[-1].told for row in before]
    for path in archive.data.glob("catalogue.db*"):
        path.unlink()

    status, _, error = vittne("rebuild", "--data", archive.data)

    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        assert (status, list(catalogue.list_calls())) == (0, before), error
        assert [VerdictTable(catalogue).of(row.id)[-1].told for row in before] == verdicts
    assert vittne("rebuild", "--check", "--data", archive.data)[0] == 0


def test_a_verdict_survives_a_death_between_sealing_and_the_catalogue(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    row = archive.close(1, heard(prompt()))
    registrar = archive.registrar()
    died = replace(row, state="recording", announced="", folder="", details={"flags": []})
    registrar.catalogue.upsert_call(died)

    recover(registrar)
    registrar.close()

    assert archive.row(1).announced == "full"


def test_erasing_takes_who_spoke_when_and_whom_it_was_between(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    archive.close(1, heard(prompt(), speech={"caller": [[1234, 5678]], "callee": []}))
    registrar = archive.registrar()
    row = registrar.life.get(rec(1))
    wanted = Wanted(row, "requested", "he asked", Caller("Ann"), ("Ann",), decide("erase", row.facts, 0))

    for _ in erasing_some(registrar, [wanted]):
        pass
    registrar.close()

    left = b"".join(path.read_bytes() for path in archive.data.glob("catalogue.db*"))
    assert (archive.row(1).announced, archive.row(1).details) == ("full", {})
    assert b"1234, 5678" not in left
    assert b"4930555123" not in left
    assert audit_check(archive.data) == 0


def test_times_of_verdicts_are_those_of_the_call(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)

    archive.close(1, heard(prompt(after_s=2.5)))

    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        (kept,) = VerdictTable(catalogue).of(rec(1))
        found = list(catalogue.list_calls(Search(announced="full")))
    assert kept.told["begin"] == "2023-11-14T22:13:22.500000Z"
    assert [row.started_us for row in found] == [START_US]


def test_a_prompt_whose_name_could_be_a_number_is_named_by_its_hash_alone(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + 'prompts = ["notice-*"]\n')
    registrar = archive.registrar()
    reference = enrol(registrar, "notice-20260101", "en", ANOTHER)
    registrar.close()

    row = archive.close(1, heard(prompt(reference=reference)))

    assert (row.announced, row.details["announcement"]["reference"]) == ("full", reference)
    assert "name" not in row.details["announcement"]


def test_an_auditor_finds_nobody_in_the_ledger(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    for number in range(1, 9):
        archive.close(number, heard(prompt(after_s=number)))

    _, out, _ = vittne("report", "gdpr", "--json", "--data", archive.data)

    rows = {row["asks"]: row for row in json.loads(out)["rows"]}
    assert rows["nobody is named in what cannot be erased"]["state"] == "met"


def test_a_bundle_with_a_verdict_is_whole(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    archive.close(1, heard(prompt()))
    where = tmp_path / "case"

    status, _, error = vittne("bundle", rec(1), "-o", where, "--data", archive.data)
    checked = subprocess.run([sys.executable, where / "verify.py", where], capture_output=True, text=True, check=False)

    assert status == 0, error
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_history_of_a_recording_has_its_verdicts(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    archive.close(1, heard(prompt()))

    _, out, _ = vittne("history", rec(1), "--data", archive.data)

    assert "verdict 1: full" in out


def test_the_command_line_knows_all_verdicts() -> None:
    assert WORDS == VERDICTS


@pytest.mark.parametrize(
    ("said", "announced"),
    [
        (heard(prompt()), "full"),
        (heard(), "not-listened"),
        (heard(prompt("partial")), "not-listened"),
        (heard(prompt("partial"), why="paused"), "not-listened"),
    ],
)
def test_a_call_that_goes_on_shows_what_was_heard_so_far_and_is_judged_by_it_after_a_crash(
    tmp_path: Path, said: dict[str, Any], announced: str
) -> None:
    archive = Archive(tmp_path / "data", RULE + 'otherwise = ["discard"]\n')
    registrar = archive.registrar()
    closed = archive.ended(registrar, 1, said)
    live = {**closed.report, "outcome": "", "outcome_reasons": [], "folder": f"recordings/{closed.folder}"}
    registrar.note_live([live, live | {"id": rec(2), "heard": "rubbish", "folder": ""}])
    registrar.close()
    shown = archive.row(1)

    registrar = archive.registrar()
    recover(registrar)
    registrar.close()

    assert len(shown.details["heard"]["announcements"]) == len(said["announcements"])
    assert "heard" not in archive.row(2).details
    assert (archive.row(1).outcome, archive.row(1).announced) == ("partial", announced)
