"""Requests of persons: found however they are written, given what they said themselves, and forgotten in the end."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recordings import samples_of
from rig.traces import says
from running import running

from vittne.appliance.control.server import Operator
from vittne.appliance.copies_cli import FORMATS
from vittne.appliance.life.precedence import Facts, decide
from vittne.appliance.life.settings import ExpiryConfig
from vittne.appliance.life.timer import RetentionTimer
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.subjects import cli, operations
from vittne.appliance.subjects.numbers import match
from vittne.appliance.subjects.reasons import for_the_letter

Vittne = Callable[..., tuple[int, str, str]]
ALICE = ("--number", "1001")


def call_of(data: Path) -> CallRow:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (row,) = catalogue.list_calls()
        return row


def opened(vittne: Vittne, data: Path, *who: str, kind: str = "access") -> str:
    status, said, error = vittne("subject", "open", "--kind", kind, *(who or ALICE), "--by", "Eve", "--data", data)
    assert (status, error) == (0, ""), error
    found = re.search("case ([a-z]{12}): due", said)  # a recorder in this process logs to the same place
    assert found is not None
    return found[1]


def shown(vittne: Vittne, data: Path, case: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vittne("subject", "show", case, "--json", "--data", data)[1])
    return found


def subject(vittne: Vittne, data: Path, *words: object) -> tuple[int, str, str]:
    return vittne("subject", *words, "--by", "Eve", "--data", data)


def everything(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file())


# Finding


@pytest.mark.parametrize(
    ("wanted", "seen", "country", "how"),
    [
        ("+49 30 555 1234", "sip:0049305551234@example.org", "", "sure"),
        ("+49 (30) 555-1234", "tel:+49-30-555-1234", "", "sure"),
        ("030 / 555 1234", "sip:+49305551234@example.org;user=phone", "DE", "sure"),
        ("030 5551234", "+44305551234", "DE", None),
        ("030 5551234", "+44305551234", "", "likely"),
        ("+46 8 555 123 45", "0855512345", "SE", "sure"),
        ("1001", "sip:1001@10.0.0.1", "", "sure"),
        ("1001", "sip:+4930551001@10.0.0.1", "", None),
        ("sip:Hedda@example.org", "sip:hedda@example.org:5070", "", "sure"),
        ("sip:hedda@example.org", "sip:hedda@example.com", "", "likely"),
        ("", "sip:10.0.0.1", "", None),
        ("anonymous", "", "", None),
    ],
)
def test_a_number_is_found_in_any_notation(wanted: str, seen: str, country: str, how: str | None) -> None:
    assert match(wanted, seen, country) == how


@pytest.mark.parametrize(
    ("who", "party", "how"),
    [
        (("--number", "sip:1001@example.net"), "caller", "sure"),
        (("--number", "1002"), "callee", "sure"),
        (("--name", "ALICE"), "caller", "likely"),
    ],
)
def test_a_person_is_found_on_either_side_and_by_name(
    vittne: Vittne, data: Path, who: tuple[str, ...], party: str, how: str
) -> None:
    (found,) = shown(vittne, data, opened(vittne, data, *who))["recordings"]

    assert (found["id"], found["party"], found["how"]) == (call_of(data).id, party, how)


def test_who_came_by_a_transfer_is_found_and_so_is_who_a_correction_names(vittne: Vittne, transferred: Path) -> None:
    (found,) = shown(vittne, transferred, opened(vittne, transferred, "--number", "1003"))["recordings"]
    assert (found["party"], found["shared"]) == ("callee", True)

    fix = ("--set", "caller=sip:+49305551234@x", "--reason", "typo")
    assert vittne("correct", found["id"], *fix, "--data", transferred)[0] == 0
    assert len(shown(vittne, transferred, opened(vittne, transferred, "--number", "0049305551234"))["recordings"]) == 1


def test_a_customer_is_found_by_a_tag_and_a_linked_call_with_him(vittne: Vittne, data: Path) -> None:
    registrar = Registrar(data)
    row = call_of(data)
    other = replace(row, id="00000001-1111-4000-8000-000000000000", call_ids=("other@x",), folder="", tags=("c-17",))
    tied = {**other.details, "links": [{"call_id": row.call_ids[0], "other": "other@x"}]}
    registrar.catalogue.upsert_call(replace(other, details=tied))
    registrar.close()

    found = shown(vittne, data, opened(vittne, data, "--customer", "C-17"))["recordings"]

    assert {one["id"]: one["how"] for one in found} == {other.id: "sure", row.id: "linked"}


def test_nobody_else_is_found(vittne: Vittne, data: Path) -> None:
    assert shown(vittne, data, opened(vittne, data, "--number", "001", "--name", "Ali"))["recordings"] == []


# The copy


def test_the_copy_has_the_persons_own_voice_and_a_page_that_names_nobody_else(
    vittne: Vittne, data: Path, tmp_path: Path
) -> None:
    case = opened(vittne, data)

    status, said, error = subject(vittne, data, "export", case, "-o", tmp_path / "copy", "--format", "wav")

    assert (status, "1 of 1 recordings" in said) == (0, True), error
    (sound,) = (tmp_path / "copy").glob("*.wav")
    heard, _ = samples_of(sound)
    both, _ = samples_of(exported(vittne, data, tmp_path / "both.wav"))
    assert heard.shape[1] == 1
    assert np.array_equal(heard[:, 0], both[:, 0])
    page = (tmp_path / "copy/index.html").read_text()
    assert f'href="{sound.name}"' in page
    assert not says(page, "1002")
    assert "•••002" in page
    looks = json.loads(vittne("audit", "--kind", "export", "--json", "--data", data)[1])
    assert looks[0]["details"]["party"] == "caller"


def exported(vittne: Vittne, data: Path, target: Path) -> Path:
    assert vittne("export", call_of(data).id, "--data", data, "-o", target)[0] == 0
    return target


def test_where_others_are_heard_on_his_side_the_copy_says_so_instead(
    vittne: Vittne, transferred: Path, tmp_path: Path
) -> None:
    case = opened(vittne, transferred, "--number", "1003")

    status, _, error = subject(vittne, transferred, "export", case, "-o", tmp_path / "copy")

    assert status == 1
    assert "Art. 15(4)" in error
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["index.html"]
    assert "Art. 15(4)" in (tmp_path / "copy/index.html").read_text()
    assert subject(vittne, transferred, "export", case, "-o", tmp_path / "all", "--with-others")[0] == 0
    assert [(a["act"], a["result"]) for a in shown(vittne, transferred, case)["acts"]] == [
        ("export", "refused"),
        ("export", "done"),
    ]


def test_a_vcon_of_the_copy_names_only_the_person(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    case = opened(vittne, data, kind="portability")

    assert subject(vittne, data, "export", case, "-o", tmp_path / "copy", "--format", "vcon")[0] == 0

    (file,) = (tmp_path / "copy").glob("*.vcon.json")
    assert vittne("vcon", "check", file, "--data", data)[0] == 0
    payload = json.loads(file.read_bytes())["payload"]
    said = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    assert b"sip:1001@" in said
    assert b"sip:1002@" not in said
    assert b"content_hash" in said


def test_what_is_only_likely_is_left_until_somebody_says_so(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    case = opened(vittne, data, "--name", "Alice")
    recording = call_of(data).id

    status, said, error = subject(vittne, data, "export", case, "-o", tmp_path / "none")
    assert (status, "0 of 0" in said, f"{recording}: not touched, it is likely" in error) == (1, True, True)

    assert subject(vittne, data, "export", case, "-o", tmp_path / "copy", "--also", recording[:8])[0] == 0
    assert subject(vittne, data, "export", case, "-o", tmp_path / "not", "--not", recording[:8])[0] == 0
    assert [path.name for path in (tmp_path / "not").iterdir()] == ["index.html"]


def test_a_restricted_recording_is_in_a_copy_only_for_a_purpose(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    case = opened(vittne, data, kind="restriction")
    assert subject(vittne, data, "restrict", case)[0] == 0
    assert call_of(data).restricted_us is not None

    refused = subject(vittne, data, "export", case, "-o", tmp_path / "a")
    allowed = subject(vittne, data, "export", case, "-o", tmp_path / "b", "--purpose", "consent")

    assert (refused[0], allowed[0]) == (1, 0)
    assert "restricted since" in refused[2]


# Erasing


def test_erasing_a_case_erases_what_may_go_and_a_dry_run_changes_nothing(vittne: Vittne, data: Path) -> None:
    case = opened(vittne, data, kind="erasure")
    assert subject(vittne, data, "erase", case, "--dry-run")[0] == 0
    assert call_of(data).erased_us is None

    status, said, _ = subject(vittne, data, "erase", case)

    assert (status, said) == (0, f"{call_of(data).id}: done\n")
    assert call_of(data).erased_us is not None
    assert vittne("erase", call_of(data).id, "--certificate", "--data", data)[0] == 0
    assert vittne("audit", "--check", "--data", data)[0] == 0


def test_what_is_held_stays_and_the_reason_for_the_letter_does_not_name_the_hold(vittne: Vittne, data: Path) -> None:
    case, recording = opened(vittne, data, kind="erasure"), call_of(data).id
    hold = ("hold", "place", "--label", "Gabler v. Tesman", "--reason", "trial", "--id", recording, "--data", data)
    assert vittne(*hold)[0] == 0

    for words in (("--dry-run",), ()):
        status, said, _ = subject(vittne, data, "erase", case, *words)
        assert status == 1
        assert "Art. 17(3)(e)" in said
        assert "Gabler" not in said

    assert call_of(data).erased_us is None
    (act,) = shown(vittne, data, case)["acts"]
    assert (act["recording"], act["result"]) == (recording, "refused")


def test_a_lock_is_told_with_its_law_and_its_end() -> None:
    facts = Facts(retention_class="mifid-5y", locked_until_us=4_102_444_800_000_000)

    assert "until 2100-01-01 (Art. 17(3)(b) GDPR)" in for_the_letter(decide("erase", facts, 0), facts)


def test_where_two_persons_must_want_it_the_case_says_what_to_approve(vittne: Vittne, data: Path) -> None:
    config = data.parent / "vittne.toml"
    config.write_text('[approval]\noperations = ["erase"]\n')
    case = opened(vittne, data, kind="erasure")

    status, said, _ = subject(vittne, data, "erase", case, "--config", config)

    assert status == 3
    assert "vittne request approve" in said
    assert call_of(data).erased_us is None


# The case


def test_a_case_is_due_in_a_month_and_being_late_is_an_exit_status(vittne: Vittne, data: Path) -> None:
    case = opened(vittne, data)
    assert vittne("subject", "due", "--data", data)[0] == 0

    opened(vittne, data, *ALICE, "--due", "2026-01-31")

    status, said, _ = vittne("subject", "due", "--data", data)
    assert (status, "overdue" in said) == (1, True)
    assert subject(vittne, data, "extend", case, "--due", "2999-01-01", "--reason", "many calls")[0] == 0
    assert subject(vittne, data, "extend", case, "--due", "2026-01-01", "--reason", "none")[0] == 1


def test_nobody_who_asked_is_in_the_ledger_or_the_trail(vittne: Vittne, data: Path) -> None:
    case = opened(vittne, data, "--number", "+49305551234", "--name", "Hedda Gabler", "--customer", "customer-4711")
    subject(vittne, data, "note", case, "Hedda Gabler wrote again")
    assert subject(vittne, data, "close", case, "--outcome", "granted")[0] == 0

    trail = vittne("audit", "--json", "--data", data)[1]
    told = vittne("ledger", "list", "--json", "--data", data)[1]
    assert "subject.open" in trail
    assert "subject.close" in told
    assert not any(word in trail + told for word in ("305551234", "Gabler", "customer-4711"))


def test_a_closed_case_forgets_whom_it_was_about(vittne: Vittne, data: Path) -> None:
    config = data.parent / "vittne.toml"
    config.write_text("[subjects]\nkeep_days = 0\n")
    case = opened(vittne, data, "--number", "+49305551234", "--name", "Hedda Gabler")
    subject(vittne, data, "note", case, "Hedda Gabler wrote again")
    assert b"Hedda Gabler" in everything(data)

    assert subject(vittne, data, "close", case, "--outcome", "granted", "--config", config)[0] == 0

    assert not any(word in everything(data) for word in (b"Hedda Gabler", b"305551234"))
    found = shown(vittne, data, case)
    assert (found["outcome"], found["who"]["names"], found["forgotten_at"] is None) == ("granted", [], False)
    assert subject(vittne, data, "note", case, "more")[0] == 1
    assert vittne("audit", "--check", "--data", data)[0] == 0


def test_it_knows_him_until_the_days_are_over(vittne: Vittne, data: Path) -> None:
    case = opened(vittne, data)
    subject(vittne, data, "close", case, "--outcome", "refused")

    assert "0 cases" in subject(vittne, data, "forget")[1]
    assert shown(vittne, data, case)["who"]["numbers"] == ["1001"]


def test_the_nightly_run_forgets_whom_closed_cases_were_about(vittne: Vittne, data: Path) -> None:
    case = opened(vittne, data)
    subject(vittne, data, "close", case, "--outcome", "granted")
    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE subjects SET forget_us = 1")

    registrar = Registrar(data)
    asyncio.run(RetentionTimer(Operator(registrar, OPERATIONS), registrar, ExpiryConfig()).once())
    registrar.close()

    assert shown(vittne, data, case)["who"]["numbers"] == []


def test_a_recorder_that_runs_does_it_as_well_and_a_rebuilt_catalogue_keeps_cases(vittne: Vittne, data: Path) -> None:
    with running(data):
        case = opened(vittne, data)
        assert subject(vittne, data, "restrict", case)[0] == 0

    assert vittne("rebuild", "--data", data)[0] == 0

    found = shown(vittne, data, case)
    assert [one["result"] for one in found["acts"]] == ["done"]
    assert found["recordings"][0]["restricted"]


def test_options_are_those_of_the_operations() -> None:
    assert (cli.KINDS, cli.OUTCOMES) == (operations.KINDS, operations.OUTCOMES)
    assert set(cli.FORMATS) <= set(FORMATS)
