"""Incidents: whom an account's acts concern, what was exposed, and the 72 hours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cuts import REC
from running import running

from vittne.appliance.compliance.incidents import IncidentTable
from vittne.appliance.control.operation import Caller
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.audit import AuditTable
from vittne.appliance.store.catalogue import Catalogue

Vittne = Callable[..., tuple[int, str, str]]


def scope(vittne: Vittne, data: Path, actor: str, *more: object) -> Any:
    status, said, error = vittne("incident", "scope", "--actor", actor, "--json", "--data", data, *more)
    assert (status, error) == (0, "")
    return json.loads(said)


def opened(vittne: Vittne, data: Path, *more: object) -> str:
    status, said, error = vittne("incident", "open", "a laptop was stolen", "--data", data, *more)
    assert status == 0, error
    found = re.search(r"^incident (\w+): the authority", said, re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_scope_of_an_account_is_what_it_copied_and_the_numbers_in_it(vittne: Vittne, data: Path) -> None:
    found = scope(vittne, data, " ann ")

    assert (found["exposed"], found["copied"], found["played"]) == ("content", [REC], [])
    assert found["numbers"] == ["+4930555123", "0401234777"]
    assert found["searches"] == 0
    assert "no passphrase" in found["keys_lack"]


def test_own_numbers_of_the_site_are_counted_apart(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    config = tmp_path / "vittne.toml"
    config.write_text('[site]\nown_numbers = ["+4930*"]\n')

    found = scope(vittne, data, "Ann", "--config", config)

    assert (found["persons"], found["own_persons"]) == (1, 1)


def test_an_account_that_did_nothing_exposed_nothing_and_the_time_counts(vittne: Vittne, data: Path) -> None:
    assert scope(vittne, data, "Bob")["exposed"] == "nothing"
    assert scope(vittne, data, "Ann", "--until", "2020-01-01")["exposed"] == "nothing"


def test_a_bundle_for_a_recipient_is_ciphertext_and_others_are_not(vittne: Vittne, data: Path) -> None:
    registrar = Registrar(data)
    registrar.audit.note("export", Caller("Eve"), REC, format="bundle", party="both", reason="for Court")
    registrar.close()
    assert scope(vittne, data, "Eve")["exposed"] == "ciphertext"

    registrar = Registrar(data)
    registrar.audit.note("export", Caller("Eve"), REC, format="bundle", party="both", reason="")
    registrar.close()
    assert scope(vittne, data, "Eve")["exposed"] == "content"


def test_an_incident_keeps_its_scope_and_its_clock_until_the_authority_is_told(vittne: Vittne, data: Path) -> None:
    incident = opened(vittne, data, "--actor", "Ann", "--by", "Carl", "--text", "of Hedda Gabler's adviser")
    assert vittne("incident", "list", "--data", data)[0] == 0
    assert vittne("incident", "note", incident[:6], "--told", "--text", "reported", "--data", data)[0] == 0
    assert vittne("incident", "close", incident, "--text", "keys changed", "--data", data)[0] == 0

    status, said, _ = vittne("incident", "show", incident, "--json", "--data", data)

    found = json.loads(said)
    assert (status, found["late"], found["scope"]["copied"]) == (0, False, [REC])
    assert [line["word"] for line in found["lines"]] == ["open", "told", "close"]
    status, _, error = vittne("incident", "note", incident, "--text", "more", "--data", data)
    assert (status, "it was closed at" in error) == (1, True)
    assert vittne("incident", "list", "--data", data)[1].strip() == "no incident is open"


def test_an_incident_that_nobody_told_in_72_hours_is_late(vittne: Vittne, data: Path) -> None:
    opened(vittne, data, "--known", "2026-01-01")

    status, said, _ = vittne("incident", "list", "--data", data)

    assert (status, " h over" in said) == (1, True)


def test_nothing_becomes_known_in_the_future(vittne: Vittne, data: Path) -> None:
    status, _, error = vittne("incident", "open", "x", "--known", "2999-01-01", "--data", data)

    assert (status, "in the future" in error) == (1, True)


def test_the_trail_commits_to_every_line_and_has_none_of_its_text(vittne: Vittne, data: Path) -> None:
    with running(data):  # the recorder does it
        incident = opened(vittne, data, "--by", "Carl", "--text", "Hedda Gabler called")

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        (line,) = IncidentTable(catalogue).get(incident).lines
        row = list(AuditTable(catalogue).search())[-1]
    assert (row.kind, row.actor, row.details["terms"]) == ("incident.open", "Carl", line.terms())
    assert "Gabler" not in json.dumps(row.details)
    assert vittne("audit", "--check", "--data", data)[0] == 0
