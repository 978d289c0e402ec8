"""Verdicts when everything dies between the end of a call and the last line that is written of it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import ledgers
import pytest
from announced import RULE, Archive, configured, heard, prompt, rec
from deaths import dying
from structlog.testing import capture_logs

from vittne.appliance.control.client import drain
from vittne.appliance.control.operation import Caller
from vittne.appliance.recover import recover
from vittne.appliance.seal.manifest import read_manifest
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.verdicts.alarms import UnannouncedAlarms
from vittne.appliance.verdicts.operations import ENTER_VERDICTS, EnterVerdicts, Found, Told
from vittne.appliance.verdicts.sums import sums
from vittne.appliance.verdicts.table import VerdictTable

KEPT = """
[[retention]]
name = "told"
announced = true
class = "mifid-5y"
[[retention]]
name = "all else"
class = "gdpr-90d"
[[basis]]
name = "all"
lawful_basis = "legitimate-interests"
purpose = "training"
proof = "announcement"
"""


def recovered(archive: Archive, times: int = 1) -> CallRow:
    for _ in range(times):
        registrar = archive.registrar()
        recover(registrar)
        registrar.close()
    return archive.row(1)


def close_and_die(archive: Archive, said: dict[str, Any], at: int) -> bool:
    """Close a call that was told of while it went on; whether it died of the at-th step."""
    registrar = archive.registrar()
    closed = archive.ended(registrar, 1, said)
    live = {**closed.report, "outcome": "", "outcome_reasons": [], "folder": f"recordings/{closed.folder}"}
    registrar.note_live([live])
    registrar.close()

    def work() -> None:
        registrar = archive.registrar()
        registrar.close_calls([closed])
        registrar.close()

    return dying(at, work)


@pytest.mark.sweep
def test_wherever_it_dies_a_sealed_verdict_is_in_the_ledger_once(tmp_path: Path) -> None:
    for at in count(1):
        archive = Archive(tmp_path / f"data-{at}", RULE)
        died = close_and_die(archive, heard(prompt()), at)

        row = recovered(archive, times=2)

        manifest, _ = read_manifest(archive.data / row.folder, load_verifier(archive.data / "keys"))
        entries = [one for one in ledgers.entries(archive.data) if one["t"] == "verdict"]
        assert [(one["rec"], one["n"], one["announced"]) for one in entries] == [(rec(1), 1, "full")], at
        assert (row.announced, manifest.announcement["announced"]) == ("full", "full")
        with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
            (kept,) = VerdictTable(catalogue).of(rec(1))
        assert (kept.told, len(kept.references)) == (manifest.announcement, 1), at
        assert "listened" in entries[0]
        if not died:
            break
    assert at > 5


@pytest.mark.sweep
def test_wherever_it_dies_what_may_not_be_kept_is_counted_and_never_half_there(tmp_path: Path) -> None:
    seen = set()
    for at in count(1):
        archive = Archive(tmp_path / f"data-{at}", RULE + 'otherwise = ["discard"]\n')
        died = close_and_die(archive, heard(), at)

        row = recovered(archive)

        seen.add((row.outcome, row.announced, bool(row.folder)))
        with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
            assert sums(catalogue, 0, 1 << 60).total.expected == 1, "an unannounced call is not lost to the sums"
        if not died:
            break
    assert ("discarded-by-policy", "none", False) in seen
    # the word of a worker that was cut off: nobody knows what came then
    assert seen <= {("discarded-by-policy", "none", False), ("partial", "not-listened", True)}


@pytest.mark.parametrize("said", [heard(prompt()), heard()], ids=["announced", "not announced"])
def test_a_call_whose_catalogue_row_came_too_late_is_kept_as_it_would_have_been(
    said: dict[str, Any], tmp_path: Path
) -> None:
    archive = Archive(tmp_path / "data", RULE + KEPT)
    before = archive.close(1, said)
    registrar = archive.registrar()
    live = {**before.as_json(), "outcome": "", "ended_at": None, "announced": "", "basis": {}, "retention_class": ""}
    details = {**before.details, "announcement": {}}
    registrar.catalogue.upsert_call(
        CallRow.from_json({**live, "details": details, "locked_until": None, "expires_at": None, "state": "recording"})
    )
    registrar.close()

    row = recovered(archive)

    names = ("retention_class", "announced", "basis", "outcome", "folder")
    assert [getattr(row, name) for name in names] == [getattr(before, name) for name in names]


def test_a_worker_that_says_what_was_decided_is_not_believed_after_a_crash(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    registrar = archive.registrar()
    closed = archive.ended(registrar, 1, heard())
    told = {"announced": "none", "expected": True, "proven": False, "then": ["discard"]}
    details = {**closed.report["details"], "announcement": told}
    registrar.note_live([{**closed.report, "details": details, "folder": f"recordings/{closed.folder}"}])
    registrar.close()

    row = recovered(archive)

    assert (row.outcome, row.announced, bool(row.folder)) == ("partial", "not-listened", True)


def test_alarms_on_calls_that_a_crash_ended_are_raised_at_the_start(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + 'not_listened = ["alarm"]\n')
    registrar = archive.registrar()
    closed = archive.ended(registrar, 1, heard())
    registrar.note_live([{**closed.report, "folder": f"recordings/{closed.folder}"}])
    registrar.close()
    registrar = archive.registrar()
    recover(registrar)
    untold = list(registrar.untold)
    registrar.close()

    with capture_logs() as logs:
        for one in untold:
            UnannouncedAlarms(configured("").unannounced).tell_one(one)

    assert [(line["recording"], line["reason"]) for line in logs] == [(rec(1), "restart")]


def test_a_later_verdict_that_only_the_ledger_has_is_taken_up_and_the_next_goes_on_from_it(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE + 'otherwise = ["quarantine"]\n')
    archive.close(1, heard(prompt()))

    def enter() -> None:
        registrar = archive.registrar()
        told = Told(announced="none", expected=True, proven=False, then=["quarantine"])
        found = [Found(recording=rec(1), told=told)]
        order = EnterVerdicts(found=found, recordings=1, changed=1, differing=0, failed=0)
        drain(ENTER_VERDICTS.do(registrar, order, Caller("Ann")))
        registrar.close()

    at = 1
    while dying(at, enter) and not later_entries(archive):
        at += 1
    assert [one["n"] for one in later_entries(archive)] == [2]

    row = recovered(archive)
    enter()

    assert (row.announced, row.quarantined_us is not None) == ("none", True)
    assert [one["n"] for one in later_entries(archive)] == [2, 3]
    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        assert [one.n for one in VerdictTable(catalogue).of(rec(1))] == [1, 2, 3]


def later_entries(archive: Archive) -> list[dict[str, Any]]:
    return [one for one in ledgers.entries(archive.data) if one["t"] == "verdict" and one["n"] > 1]
