"""Legal holds: what they lie on stays, whatever else would let it go."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from cuts import REC, START_US
from lives import DAY_US, NAMES, classed, everything, several
from lives import call as call_of

from vittne.appliance.life.operations import terms
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.audit import AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.holds import HoldTable

Vittne = Callable[..., tuple[int, str, str]]


def place(vittne: Vittne, data: Path, *more: object) -> str:
    status, said, error = vittne("hold", "place", "--reason", "a court asked", *more, "--data", data)
    assert status == 0, error
    return said.split()[1].rstrip(":")


def erase(vittne: Vittne, data: Path) -> tuple[int, str]:
    status, _, error = vittne("erase", REC, "--reason", "asked", "--data", data)
    return status, error


def test_any_number_of_holds_may_lie_on_a_recording_and_it_is_free_when_none_is_left(
    vittne: Vittne, data: Path
) -> None:
    one = place(vittne, data, "--label", "case 1", "--id", REC[:8])
    two = place(vittne, data, "--label", "case 2", "--number", "0401234777")

    status, error = erase(vittne, data)
    assert status == 1
    assert "under legal hold: 'case 1', 'case 2'" in error
    assert vittne("hold", "release", one, "--reason", "over", "--data", data)[0] == 0
    assert "under legal hold: 'case 2'" in erase(vittne, data)[1]
    assert vittne("hold", "release", two[:6], "--reason", "over", "--data", data)[0] == 0
    assert erase(vittne, data)[0] == 0


def test_a_hold_by_search_lies_on_what_was_found_then(vittne: Vittne, data: Path) -> None:
    hold = place(vittne, data, "--label", "case", "--until", "2023-11-14T22:14")
    ids = several(data, 3)

    status, said, _ = vittne("hold", "show", hold, "--json", "--data", data)

    assert (status, json.loads(said)["ids"]) == (0, [REC])
    assert len(ids) == 3


def test_a_standing_hold_takes_what_is_sealed_later_and_matches(vittne: Vittne, data: Path) -> None:
    hold = place(vittne, data, "--label", "case", "--number", "0401234777", "--standing")
    ids = several(data, 3)

    registrar = Registrar(data)
    registrar.life.holds.take_standing(ids[:2])
    assert registrar.life.holds.of([REC, *ids]) == {REC: ("case",), ids[0]: ("case",), ids[1]: ("case",)}
    registrar.life.holds.take_standing()
    assert len(registrar.life.holds.of([REC, *ids])) == 4
    registrar.close()
    assert vittne("hold", "release", hold, "--reason", "over", "--data", data)[0] == 0
    registrar = Registrar(data)
    registrar.life.holds.take_standing()
    assert registrar.life.holds.of([REC, *ids]) == {}
    registrar.close()


def test_sealing_asks_the_standing_holds(vittne: Vittne, data: Path) -> None:
    from vittne.appliance.registrar import CallClosed  # noqa: PLC0415

    place(vittne, data, "--label", "case", "--number", "5550001", "--standing")
    row = replace(call_of(data), id="99999999-1111-4000-8000-000000000000", caller="sip:5550001@x", folder="")
    registrar = Registrar(data)

    registrar.close_calls([CallClosed(row.as_json(), "")])

    assert registrar.life.holds.of([row.id]) == {row.id: ("case",)}
    registrar.close()


def test_a_hold_needs_ids_or_a_search_and_a_standing_one_a_search(vittne: Vittne, data: Path) -> None:
    for more, words in (
        (("--standing", "--id", REC), "needs a search"),
        ((), "a hold on everything"),
        (("--id", REC, "--number", "1"), "one of the two"),
        (("--id", "ffff"), "no call has this id"),
    ):
        status, _, error = vittne("hold", "place", "--label", "x", "--reason", "y", *more, "--data", data)
        assert status == 1
        assert words in error


def test_list_shows_holds_with_their_number_of_recordings(vittne: Vittne, data: Path) -> None:
    hold = place(vittne, data, "--label", "case 7", "--owner", "Legal", "--id", REC)
    assert vittne("hold", "list", "--data", data)[1].splitlines()[1].split()[:4] == [hold[:8], "case", "7", "Legal"]
    vittne("hold", "release", hold, "--reason", "over", "--by", "Bob", "--data", data)

    assert json.loads(vittne("hold", "list", "--json", "--data", data)[1]) == []
    (shown,) = json.loads(vittne("hold", "list", "--all", "--json", "--data", data)[1])
    assert (shown["label"], shown["recordings"], shown["released_by"]) == ("case 7", 1, "Bob")
    status, _, error = vittne("hold", "release", hold, "--reason", "again", "--data", data)
    assert (status, "released before" in error) == (1, True)


def test_the_trail_commits_to_a_hold_and_repeats_no_text_of_it(vittne: Vittne, data: Path) -> None:
    place(vittne, data, "--label", "Gabler ./. Tesman", "--id", REC)

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        row = list(AuditTable(catalogue).search())[-1]
        ((hold, count),) = HoldTable(catalogue).rows()
    assert row.kind == "hold.place"
    assert row.details == {"hold": hold.id, "recordings": count, "terms": terms(hold)}
    assert terms(replace(hold, label="another")) != terms(hold)


def test_a_released_hold_forgets_whom_it_was_about_with_the_recording(vittne: Vittne, data: Path) -> None:
    hold = place(vittne, data, "--label", "Hedda Gabler", "--number", "+4930555123")
    vittne("hold", "release", hold, "--reason", "Gabler settled", "--data", data)
    classed(data, "daily", None, START_US + DAY_US)

    assert erase(vittne, data)[0] == 0

    left = everything(data)
    assert [name for name in NAMES if name in left] == []
