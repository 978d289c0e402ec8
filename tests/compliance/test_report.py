"""The auditor's report: what is found by looking, and what is said where no code stands behind a line."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cuts import REC, START_US, cut_span
from lives import DAY_US, FAR_US, classed
from running import running

from vittne.appliance.cli import parser
from vittne.appliance.compliance.finding import MET, NO_DATA, NOT_COVERED, NOT_MET, STATES
from vittne.appliance.compliance.report import TITLES
from vittne.appliance.compliance.requirements import requirements
from vittne.appliance.compliance_cli import REGIMES
from vittne.appliance.registrar import Registrar
from vittne.appliance.scrub.cycle import read_state, scrub
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.capture.pause import Pause

Vittne = Callable[..., tuple[int, str, str]]
EVER = ("--since", "2020-01-01")


def report(vittne: Vittne, data: Path, *more: object) -> dict[tuple[str, str, str], Any]:
    """Return what was found by regime, article and the check's command."""
    _, said, error = vittne("report", *more, *EVER, "--json", "--data", data)
    assert not error
    return {(row["regime"], row["article"], row["command"]): row for row in json.loads(said)["rows"]}


def state(found: dict[tuple[str, str, str], Any], regime: str, article: str, command: str) -> str:
    return str(found[regime, article, f"vittne {command}" if command else ""]["state"])


def read_through(data: Path) -> None:
    for _ in scrub(data, read_state(data), lambda _: None):
        pass


def test_every_regime_has_lines_and_every_command_that_a_line_names_is_taken() -> None:
    rows = requirements()

    assert {row.regime for row in rows} == set(REGIMES) == set(TITLES)
    for row in rows:
        if row.command:
            parser().parse_args(row.command.split())


def test_a_report_looks_at_all_lines_and_those_without_code_say_so(vittne: Vittne, data: Path) -> None:
    found = report(vittne, data)

    assert len(found) > 80
    assert {row["state"] for row in found.values()} == set(STATES)
    assert all(row["evidence"] for row in found.values())
    assert state(found, "soc2", "CC8.1", "") == NOT_COVERED


def test_a_regime_selects_its_lines_and_whoever_reads_the_status_is_told(vittne: Vittne, data: Path) -> None:
    status, said, _ = vittne("report", "mifid", "gdpr", *EVER, "--json", "--data", data)

    assert status == 1
    assert {row["regime"] for row in json.loads(said)["rows"]} == {"mifid", "gdpr"}


def test_the_archive_counts_as_checked_once_it_was_read_through_and_not_when_damaged(
    vittne: Vittne, calls: Path
) -> None:
    asked = ("hipaa", "164.312(c)(1), (2)", "scrub")
    assert state(report(vittne, calls), *asked) == NOT_MET
    read_through(calls)
    assert state(report(vittne, calls), *asked) == MET

    part = next(calls.rglob("part-0.floe"))
    body = bytearray(part.read_bytes())
    body[200] ^= 1
    part.write_bytes(body)
    read_through(calls)

    assert state(report(vittne, calls), *asked) == NOT_MET


def test_a_part_in_clear_is_found(vittne: Vittne, calls: Path) -> None:
    asked = ("pci", "3.5.1, 3.5.1.2", "verify --all")
    assert state(report(vittne, calls), *asked) == MET

    part = next(calls.rglob("part-0.floe"))
    part.write_bytes(part.read_bytes()[:78] + b"4111 1111 1111 1111 " * 250)

    found = report(vittne, calls)["pci", "3.5.1, 3.5.1.2", "vittne verify --all"]
    assert (found["state"], str(part.relative_to(calls)) in found["evidence"][1]) == (NOT_MET, True)


def test_a_row_of_the_trail_that_was_altered_is_found(vittne: Vittne, data: Path) -> None:
    asked = ("pci", "10.2, 10.3.4", "audit --check")
    assert state(report(vittne, data), *asked) == MET

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE audit SET actor = 'Bob'")
    database.close()

    assert state(report(vittne, data), *asked) == NOT_MET


def test_five_years_are_met_by_a_lock_of_five_years_and_not_by_an_end(vittne: Vittne, data: Path) -> None:
    asked = ("mifid", "2017/565 Art. 76(10)", "retention plan")
    classed(data, "gdpr-90d", None, FAR_US)
    assert state(report(vittne, data), *asked) == NOT_MET

    classed(data, "mifid-5y", FAR_US, FAR_US + DAY_US)
    assert state(report(vittne, data), *asked) == MET


def test_what_is_overdue_is_found(vittne: Vittne, data: Path) -> None:
    asked = ("gdpr", "Art. 5(1)(e)", "retention plan")
    classed(data, "gdpr-90d", None, FAR_US)
    assert state(report(vittne, data), *asked) == MET

    classed(data, "gdpr-90d", None, DAY_US)
    assert state(report(vittne, data), *asked) == NOT_MET


def test_a_call_without_a_recording_is_not_met_with_its_reason(vittne: Vittne, calls: Path) -> None:
    found = report(vittne, calls)["mifid", "Art. 16(7); SYSC 10A.1.6", "vittne coverage"]

    assert found["state"] == NOT_MET
    assert "4 calls answered (4 dialogs): 3 with a recording" in found["evidence"][0]
    assert any("no-media" in words for words in found["evidence"])


def test_what_was_cut_out_cannot_be_made_again_and_the_report_says_so(vittne: Vittne, data: Path) -> None:
    asked = ("sec", "17a-4(f)(2)(i)", "ledger list --type rec.cut")
    assert state(report(vittne, data), *asked) == MET

    cut_span(data, 1000, 1500)

    assert state(report(vittne, data), *asked) == NOT_MET


@pytest.mark.parametrize(
    ("synchronised", "error_us", "wanted"),
    [(True, 900, MET), (True, 2_000_000, NOT_MET), (False, 900, NOT_MET)],
    ids=["right", "two-seconds-off", "not-synchronised"],
)
def test_the_clock_is_judged_by_its_entries(
    synchronised: bool, error_us: int, wanted: str, vittne: Vittne, data: Path
) -> None:
    asked = ("mifid", "RTS 25 (2017/574)", "clock --history")
    assert state(report(vittne, data), *asked) == NO_DATA
    registrar = Registrar(data)
    said: dict[str, Json] = {"t": events.CLOCK, "source": "ntp", "synchronised": synchronised}
    registrar.ledger.record(said | {"offset_us": 5, "max_error_us": error_us})
    registrar.close()

    assert state(report(vittne, data), *asked) == wanted


def test_a_pause_that_came_too_late_is_not_met_until_what_was_stored_is_cut(vittne: Vittne, data: Path) -> None:
    asked = ("pci", "3.3.1, 3.3.1.2", "pauses --report")
    assert state(report(vittne, data), *asked) == MET
    at = START_US * 1000
    registrar = Registrar(data)
    late = Pause("22222222-0000-4000-8000-000000000000", "api", "t", at, at, 0, at, 0, incomplete_at=at + 1)
    registrar.note_pauses([replace(late, calls=(REC,), to_at=at + 2, ended_by="api")])
    registrar.close()
    assert state(report(vittne, data), *asked) == NOT_MET

    cut_span(data, 1000, 1500)

    assert state(report(vittne, data), *asked) == MET


def test_the_recorder_that_runs_is_looked_at(vittne: Vittne, data: Path) -> None:
    with running(data):
        _, said, _ = vittne("report", "pci", "--data", data)

    assert f"process {os.getpid()}: " in said


def test_a_backup_and_a_drill_count_when_they_were_made(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    backup, drill = ("soc2", "A1.2", "ledger list --type backup"), ("soc2", "A1.3", "ledger list --type drill")
    found = report(vittne, data)
    assert (state(found, *backup), state(found, *drill)) == (NOT_MET, NOT_MET)
    (tmp_path / "copy").mkdir()
    status, _, error = vittne("backup", tmp_path / "copy", "--data", data)
    assert status == 0, error

    found = report(vittne, data)

    assert (state(found, *backup), state(found, *drill)) == (MET, NOT_MET)


def test_a_request_that_is_overdue_is_found(vittne: Vittne, data: Path) -> None:
    asked = ("gdpr", "Art. 12(3), 15", "subject list")
    assert state(report(vittne, data), *asked) == NO_DATA
    status, _, error = vittne("subject", "open", "--kind", "access", "--number", "+4930555123", "--data", data)
    assert status == 0, error
    assert state(report(vittne, data), *asked) == MET

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE subjects SET due_us = 1")
    database.close()

    assert state(report(vittne, data), *asked) == NOT_MET


def test_without_a_plan_nothing_is_monitored(vittne: Vittne, data: Path) -> None:
    assert state(report(vittne, data), "mifid", "2017/565 Art. 76(6)", "review plan list") == NOT_MET


def test_a_number_in_the_ledger_is_found(vittne: Vittne, data: Path) -> None:
    asked = ("gdpr", "EDPB 02/2025", "ledger list")
    assert state(report(vittne, data), *asked) == MET
    registrar = Registrar(data)
    registrar.ledger.record({"t": events.DISCARDED, "rec": REC, "reason": "+4930555123"})
    registrar.close()

    assert state(report(vittne, data), *asked) == NOT_MET


def test_a_ledger_that_was_altered_vouches_for_nothing(vittne: Vittne, data: Path) -> None:
    journal = data / "ledger/journal"
    body = bytearray(journal.read_bytes())
    body[body.index(b'"t":"rec.seal"') + 5] ^= 1
    journal.write_bytes(body)

    found = report(vittne, data)

    assert state(found, "gdpr", "Art. 32(1)(d)", "ledger check") == NOT_MET
    assert state(found, "pci", "10.2, 10.3.4", "audit --check") == NOT_MET
    assert state(found, "gdpr", "EDPB 02/2025", "ledger list") == NOT_MET


def test_nothing_that_happened_is_nothing_to_judge(vittne: Vittne, calls: Path) -> None:
    found = report(vittne, calls)

    assert state(found, "gdpr", "Art. 17", "audit --kind rec.erase --kind erase.refused") == NO_DATA
    assert state(found, "sox", "802 (18 USC 1519, 1520)", "hold list") == NO_DATA


def test_the_page_needs_nothing_else_and_shows_text_as_text(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "vittne.toml"
    config.write_text('[site]\nname = "<b>Hamburg"\n')

    vittne("report", *EVER, "-o", tmp_path / "r.html", "--data", data, "--config", config)

    page = (tmp_path / "r.html").read_text()
    assert "&lt;b&gt;Hamburg" in page
    assert "<b>" not in page
    assert not any(word in page for word in ("src=", "href=", "url(", "<script"))
    assert page.count("<tr>") > 80


def test_the_pdf_has_every_line(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    file = tmp_path / "r.pdf"
    vittne("report", "soc2", *EVER, "-o", file, "--data", data)

    text = subprocess.run(["pdftotext", "-layout", str(file), "-"], capture_output=True, text=True, check=True).stdout
    assert [row.article for row in requirements() if row.regime == "soc2" and row.article[:5] not in text] == []
    assert "SOC 2" in text


def test_a_report_goes_to_no_file_that_is_there_and_no_other_kind(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("mine")

    assert "there is already a file" in vittne("report", "-o", tmp_path / "r.html", "--data", data)[2]
    assert "HTML or PDF" in vittne("report", "-o", tmp_path / "r.docx", "--data", data)[2]
    assert (tmp_path / "r.html").read_text() == "mine"
