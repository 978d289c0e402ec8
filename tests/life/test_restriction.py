"""Restriction and correction: what is kept and not used, and what is shown otherwise than it was recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cuts import REC
from lives import call as call_of
from lives import folder
from running import running

from vittne.appliance.looks import PURPOSES
from vittne.appliance.seal.verify import verify
from vittne.appliance.store.audit import AuditRow, AuditTable
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]


def trail(data: Path) -> list[AuditRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return list(AuditTable(catalogue).search())


@pytest.fixture
def restricted(vittne: Vittne, data: Path) -> Path:
    assert vittne("restrict", REC, "--reason", "he contests it", "--by", "Ann", "--data", data)[0] == 0
    return data


def test_a_restricted_recording_is_listed_as_such_and_not_exported_or_read(
    vittne: Vittne, restricted: Path, tmp_path: Path
) -> None:
    assert "recorded (restricted)" in vittne("list", "--data", restricted)[1]
    for command in (("export", REC, "-o", tmp_path / "x.wav"), ("explain", REC)):
        status, _, error = vittne(*command, "--data", restricted)
        assert status == 1
        assert "it is restricted since" in error
        assert "--purpose consent|legal-claims" in error
    assert not (tmp_path / "x.wav").exists()
    assert trail(restricted)[-1].kind == "look.refuse"


def test_a_running_recorder_refuses_it_too(vittne: Vittne, restricted: Path, tmp_path: Path) -> None:
    with running(restricted):
        status, _, error = vittne("export", REC, "-o", tmp_path / "x.wav", "--data", restricted)

    assert (status, "it is restricted since" in error) == (1, True)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_purpose_of_the_law_opens_it_and_is_in_the_trail(
    purpose: str, vittne: Vittne, restricted: Path, tmp_path: Path
) -> None:
    more = ("--format", "pcap", "-o", tmp_path / "x.pcap", "--purpose", purpose)
    status, _, error = vittne("export", REC, *more, "--data", restricted)

    assert status == 0, error
    assert (tmp_path / "x.pcap").stat().st_size > 0
    assert trail(restricted)[-1].details == {"format": "pcap", "purpose": purpose}


def test_lifting_the_restriction_makes_it_usable_again(vittne: Vittne, restricted: Path, tmp_path: Path) -> None:
    assert vittne("unrestrict", REC, "--reason", "it was right", "--by", "Ann", "--data", restricted)[0] == 0

    assert vittne("export", REC, "--format", "pcap", "-o", tmp_path / "x.pcap", "--data", restricted)[0] == 0
    kinds = [row.kind for row in trail(restricted)]
    assert kinds[-3:] == ["rec.restrict", "rec.unrestrict", "export"]
    status, _, error = vittne("unrestrict", REC, "--reason", "again", "--data", restricted)
    assert (status, "it is not restricted" in error) == (1, True)


@pytest.mark.skipif(os.getuid() != 0, reason="root writes everywhere; only as root it is known who does not")
def test_a_copy_that_cannot_be_written_is_refused_all_the_same(restricted: Path, tmp_path: Path) -> None:
    above = [path for path in tmp_path.parents if path.name.startswith(("pytest-", "popen-"))]  # with workers one more
    for path in (restricted, *restricted.rglob("*"), *above, tmp_path):
        path.chmod(0o755 if path.is_dir() else 0o644)
    program = """
import os, sys
from pathlib import Path
from vittne.appliance.control import client
from vittne.appliance.looks import Look, enter_look
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
with Catalogue(Path(sys.argv[1], "catalogue.db"), read_only=True) as catalogue:
    catalogue.get(sys.argv[2])  # whatever is needed is loaded, since nobody may read where it lies
os.setuid(65534)
for purpose in ("", "consent"):
    try:
        enter_look(Path(sys.argv[1]), Look(kind="play", recording=sys.argv[2], purpose=purpose))
        print("looked")
    except StoreError as error:
        print(error.what)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(restricted), REC], capture_output=True, text=True, check=False
    )

    assert [line.split(" since")[0] for line in done.stdout.splitlines()] == ["it is restricted", "looked"], done.stderr


def test_a_correction_is_shown_marked_and_found_and_what_is_sealed_stays(vittne: Vittne, data: Path) -> None:
    before = (folder(data) / "part-2.floe").read_bytes()
    more = ("--set", "caller=sip:4711@example.org", "--reason", "number of the trunk", "--by", "Ann")
    assert vittne("correct", REC, *more, "--data", data)[0] == 0
    assert vittne("correct", REC, "--set", "caller=sip:4712@example.org", "--reason", "typo", "--data", data)[0] == 0

    (shown,) = json.loads(vittne("list", "--number", "4712", "--json", "--data", data)[1])
    assert shown["caller"] == "sip:4712@example.org"
    assert shown["corrected"] == {"caller": "sip:+4930555123@example.org"}
    assert "4712@example.org (corrected)" in vittne("show", REC, "--data", data)[1]
    assert "4712@example" in vittne("list", "--data", data)[1]
    assert call_of(data).caller == "sip:+4930555123@example.org"
    assert (folder(data) / "part-2.floe").read_bytes() == before
    assert json.loads(vittne("list", "--number", "no such", "--json", "--data", data)[1]) == []


def test_history_tells_all_versions_in_order(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    assert vittne("correct", REC, "--set", "caller=4711", "--reason", "trunk", "--by", "Ann", "--data", data)[0] == 0
    assert vittne("hold", "place", "--label", "case", "--reason", "court", "--id", REC, "--data", data)[0] == 0
    assert vittne("export", REC, "--format", "pcap", "-o", tmp_path / "x.pcap", "--data", data)[0] == 0

    told = json.loads(vittne("history", REC, "--json", "--data", data)[1])
    said = vittne("history", REC, "--data", data)[1]

    (made,) = told["corrections"]
    assert (made["before"], made["after"], made["by"]) == ("sip:+4930555123@example.org", "4711", "Ann")
    assert [hold["label"] for hold in told["holds"]] == ["case"]
    assert [row["kind"] for row in told["trail"]] == ["export", "rec.correct", "export"]
    assert told["erasure"] is None
    lines = [line.split("  ")[0] for line in said.splitlines()[2:]]
    assert lines == sorted(lines)
    assert said.count("\n") == 8  # id, head, version 1, correction, hold, three of the trail


def test_what_cannot_be_corrected_is_refused(vittne: Vittne, data: Path) -> None:
    for value, words in (
        ("outcome=recorded", "no such field"),
        ("caller", "no such field"),
        ("caller=sip:+4930555123@example.org", "is that already"),
        ("caller=\x1b[2J", "cannot be seen"),
    ):
        status, _, error = vittne("correct", REC, "--set", value, "--reason", "x", "--data", data)
        assert status == 1
        assert words in error
    assert verify(data, REC).subject == REC


def test_a_bundle_and_a_vcon_open_for_a_purpose_of_the_law_as_well(
    vittne: Vittne, restricted: Path, tmp_path: Path
) -> None:
    for command in (("bundle", REC, "--audio", "none", "--sealed"), ("export", REC, "--format", "vcon")):
        where = tmp_path / command[0]
        assert vittne(*command, "-o", where, "--data", restricted)[0] == 1
        assert not where.exists()

        status, _, error = vittne(*command, "-o", where, "--purpose", "legal-claims", "--data", restricted)

        assert (status, where.exists()) == (0, True), error
        assert trail(restricted)[-1].details["purpose"] == "legal-claims"


def test_an_erased_call_is_not_shown_as_corrected(vittne: Vittne, data: Path) -> None:
    for done in (("correct", REC, "--set", "caller=4711"), ("erase", REC)):
        assert vittne(*done, "--reason", "asked", "--by", "Ann", "--data", data)[0] == 0

    for shown in (("list",), ("show", REC)):
        assert "corrected" not in vittne(*shown, "--data", data)[1]
