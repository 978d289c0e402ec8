"""The record of processing: what is kept, what for, how long, given to whom; and what has no ground."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cuts import REC
from lives import DAY_US, FAR_US, classed

from vittne.appliance.registrar import Registrar

Vittne = Callable[..., tuple[int, str, str]]


def grounded(data: Path, **basis: object) -> None:
    registrar = Registrar(data)
    registrar.catalogue.upsert_call(replace(registrar.catalogue.get(REC), basis=basis))
    registrar.close()


def test_the_inventory_adds_up_by_class_purpose_and_basis(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    classed(data, "mifid-5y", FAR_US, FAR_US + DAY_US)
    registrar = Registrar(data)
    row = registrar.catalogue.get(REC)
    basis = {"lawful_basis": "legal-obligation", "purpose": "=trades", "proven": True}
    registrar.catalogue.upsert_call(replace(row, basis=basis, site="hamburg"))
    registrar.close()
    config = tmp_path / "vittne.toml"
    config.write_text('[inventory]\ncontroller = "Example Bank"\nowner = "Desk"\nrecipients = ["a regulator"]\n')

    _, said, _ = vittne("inventory", "--json", "--data", data, "--config", config)
    _, sheet, _ = vittne("inventory", "--csv", "--data", data, "--config", config)
    _, page, _ = vittne("inventory", "--html", "--data", data, "--config", config)

    told = json.loads(said)
    (line,) = told["lines"]
    assert (line["class"], line["site"], line["recordings"], line["locked_for"]) == ("mifid-5y", "hamburg", 1, "5 y")
    assert (line["bytes"], line["owner"]) == (row.size_bytes, "Desk")
    assert (told["controller"], told["contact"], told["without_basis"]) == ("Example Bank", "", 0)
    assert [(one["name"], one["copies"]) for one in told["recipients"]] == [("a regulator", None), ("Ann", 1)]
    (cells,) = csv.DictReader(io.StringIO(sheet))
    assert cells["purpose"] == "'=trades"  # a spreadsheet must not compute it
    assert "Example Bank" in page
    assert "not named in the configuration" in page


def test_what_stands_in_a_purpose_is_text_on_the_page(vittne: Vittne, data: Path) -> None:
    grounded(data, lawful_basis="contract", purpose="<script>alert(1)</script>")

    _, page, _ = vittne("inventory", "--html", "--data", data)

    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_a_recording_without_a_basis_and_consent_without_proof_are_missing(vittne: Vittne, data: Path) -> None:
    status, said, _ = vittne("lawful-basis", "--missing", "--json", "--data", data)
    assert (status, [one["why"] for one in json.loads(said)]) == (1, ["no lawful basis"])
    assert vittne("lawful-basis", REC[:8], "--data", data)[0] == 1

    grounded(data, lawful_basis="consent", purpose="quality", proven=False)
    status, said, _ = vittne("lawful-basis", "--missing", "--data", data)
    assert (status, "consent that nothing proves" in said) == (1, True)

    grounded(data, lawful_basis="consent", purpose="quality", proven=True)
    assert vittne("lawful-basis", "--missing", "--data", data)[0] == 0
    assert "quality" in vittne("lawful-basis", REC[:8], "--data", data)[1]
    assert json.loads(vittne("lawful-basis", "--json", "--data", data)[1]) == [
        {"lawful_basis": "consent", "purpose": "quality", "proven": "yes", "recordings": 1}
    ]
