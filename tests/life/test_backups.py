"""What the catalogue alone knows about lives, when it is written anew; and what others say of an erased recording."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cuts import REC, three_parts
from lives import FAR_US, NAMES, classed, everything
from lives import call as call_of
from rig.desk import desk_of

from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.verify import verify_all
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.holds import HoldTable
from vittne.appliance.store.times import now_us
from vittne.capture.pause import Pause

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
    assert vittne("user", "add", "anna", "--role", "compliance", "--data", held)[0] == 0
    users = vittne("user", "list", "--json", "--data", held)[1]

    status, _, error = vittne("rebuild", "--data", held)

    assert status == 0, error
    after = call_of(held)
    assert after == before
    assert (after.restricted_us is not None, after.expires_us, after.retention_class) == (True, FAR_US, "gdpr-90d")
    with Catalogue(held / "catalogue.db", read_only=True) as catalogue:
        assert HoldTable(catalogue).of([REC]) == {REC: ("case",)}
    assert json.loads(vittne("list", "--json", "--data", held)[1])[0]["caller"] == "4711"
    assert vittne("user", "list", "--json", "--data", held)[1] == users
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


def test_a_standing_pause_outlives_a_rebuilt_catalogue(vittne: Vittne, data: Path) -> None:
    registrar = Registrar(data)
    at = now_us() * 1000
    standing = Pause("stands", "api", "token", at, at, 0, at + 10**12, 0, scope="agent", select={"agent": "7"})
    registrar.note_pauses([standing])
    registrar.close()

    assert vittne("rebuild", "--data", data)[0] == 0

    with desk_of(data, None) as desk:
        assert [(one.id, one.select) for one in desk.for_start() if one.is_live] == [("stands", {"agent": "7"})]


def test_whenever_a_rebuild_dies_what_was_on_hold_is_still_known(
    vittne: Vittne, held: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each of its renames, one after the other; then it is done again, as its user would."""
    real = os.replace

    class Killed(BaseException):
        pass

    for spared in range(3):
        done: list[Path] = []

        def replace(source: Path, target: Path, done: list[Path] = done, spared: int = spared) -> None:
            if len(done) == spared:
                raise Killed
            done.append(target)
            real(source, target)

        monkeypatch.setattr("vittne.appliance.rebuild.os.replace", replace)
        with suppress(Killed):
            vittne("rebuild", "--data", held)
        monkeypatch.setattr("vittne.appliance.rebuild.os.replace", real)
        Registrar(held).close()  # the next start
        assert vittne("rebuild", "--data", held)[0] == 0
        assert vittne("erase", REC, "--reason", "asked", "--data", held)[0] == 1
