"""What the catalogue alone knows about lives, when it is written anew; and what others say of an erased recording."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cuts import REC, three_parts
from lives import FAR_US, NAMES, classed, everything
from lives import call as call_of

from vittne.appliance.seal.verify import verify_all
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.holds import HoldTable

Vittne = Callable[..., tuple[int, str, str]]


@pytest.fixture
def held(vittne: Vittne, tmp_path: Path) -> Path:
    """One recording: held, restricted, with a class and a correction."""
    data = tmp_path / "held"
    three_parts(data)
    classed(data, "gdpr-90d", None, FAR_US)
    for command in (
        ("hold", "place", "--label", "case", "--reason", "court", "--id", REC),
        ("restrict", REC, "--reason", "contested"),
        ("correct", REC, "--set", "caller=4711", "--reason", "trunk"),
    ):
        assert vittne(*command, "--data", data)[0] == 0
    return data


def test_a_rebuilt_catalogue_takes_over_what_the_former_one_knew(vittne: Vittne, held: Path) -> None:
    before = call_of(held)

    status, _, error = vittne("rebuild", "--data", held)

    assert status == 0, error
    after = call_of(held)
    assert after == before
    assert (after.restricted_us is not None, after.expires_us, after.retention_class) == (True, FAR_US, "gdpr-90d")
    with Catalogue(held / "catalogue.db", read_only=True) as catalogue:
        assert HoldTable(catalogue).of([REC]) == {REC: ("case",)}
    assert json.loads(vittne("list", "--json", "--data", held)[1])[0]["caller"] == "4711"
    assert vittne("audit", "--check", "--data", held)[0] == 0
    assert vittne("erase", REC, "--reason", "asked", "--data", held)[0] == 1


def test_where_holds_were_lost_nothing_is_erased_until_somebody_looked(vittne: Vittne, held: Path) -> None:
    for path in held.glob("catalogue.db*"):
        path.unlink()
    assert "nothing is erased" in vittne("rebuild", "--data", held)[1]

    for command in (("erase", REC, "--reason", "asked"), ("retention", "run")):
        status, _, error = vittne(*command, "--data", held)
        assert (status, "was lost with the catalogue" in error) == (1, True)
    (held / "holds.lost").unlink()

    assert vittne("erase", REC, "--reason", "asked", "--data", held)[0] == 0


def test_an_erased_recording_stays_erased_when_the_catalogue_is_written_anew(vittne: Vittne, data: Path) -> None:
    vittne("erase", REC, "--reason", "asked", "--data", data)
    for path in data.glob("catalogue.db*"):
        path.unlink()

    status, _, error = vittne("rebuild", "--data", data)

    assert status == 0, error
    assert (call_of(data).outcome, call_of(data).erased_us is not None) == ("erased", True)
    assert vittne("verify", "--all", "--data", data)[0] == 0
    assert vittne("rebuild", "--check", "--data", data)[0] == 0


def test_the_catalogue_that_was_put_aside_forgets_him_too(vittne: Vittne, data: Path) -> None:
    assert vittne("rebuild", "--data", data)[0] == 0
    assert any(name in (data / "catalogue.before.db").read_bytes() for name in NAMES)

    assert vittne("erase", REC, "--reason", "asked", "--data", data)[0] == 0

    left = everything(data)
    assert [name for name in NAMES if name in left] == []


def test_scrub_and_audit_find_nothing_wrong_with_an_erased_recording(vittne: Vittne, data: Path) -> None:
    vittne("erase", REC, "--reason", "asked", "--data", data)

    assert vittne("scrub", "--data", data)[0] == 0
    status, said, _ = vittne("audit", "--check", "--data", data)
    assert (status, "agree" in said) == (0, True)
    assert all(verdict.ok for verdict in verify_all(data))


def test_a_row_of_the_trail_that_somebody_emptied_himself_is_noticed(vittne: Vittne, data: Path) -> None:
    import sqlite3  # noqa: PLC0415

    with sqlite3.connect(data / "catalogue.db") as database:
        database.execute("UPDATE audit SET details = '{}', salt = ''")

    status, said, _ = vittne("audit", "--check", "--data", data)

    assert (status, "was altered" in said) == (1, True)


def test_the_certificate_is_final_once_a_key_epoch_is_in_the_ledger(vittne: Vittne, data: Path) -> None:
    vittne("erase", REC, "--reason", "asked", "--data", data)

    status, _, told = vittne("erase", "--certificate", REC, "--data", data)

    assert (status, told) == (0, "not final yet: no key epoch came since\n")
