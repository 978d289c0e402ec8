"""Stored calls are listened to again: what is found is entered beside what was known, and comes out the same twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from announced import ANOTHER, LENGTH_S, RULE, SOUND, WELCOME, Archive, enrol, heard, prompt, rec

from vittne.appliance.control.client import drain
from vittne.appliance.control.operation import Caller
from vittne.appliance.hearing.detector import VERSION
from vittne.appliance.life.operations import RESTRICT, Restrict
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.verdicts.table import Kept, VerdictTable
from vittne.codecs.base import I16

Vittne = Callable[..., tuple[int, str, str]]
AT = 8000  # the sample at which the prompt begins


def voice(sound: I16) -> I16:
    """Return a voice that says something from the first second on."""
    samples = np.random.default_rng(1).integers(-40, 40, LENGTH_S * 8000).astype(np.int16)
    samples[AT : AT + len(sound)] = sound[: len(samples) - AT]
    return samples


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """Call 1: the prompt is played, and nobody listened. Call 2: only somebody else speaks."""
    archive = Archive(tmp_path_factory.mktemp("stored") / "data", RULE)
    archive.voices = [voice(ANOTHER), voice(SOUND)]
    assert archive.close(1, None).announced == "not-listened"
    archive.voices = [voice(ANOTHER), voice(ANOTHER)]
    archive.close(2, None)
    return archive


@pytest.fixture
def archive(stored: Archive, tmp_path: Path) -> Archive:
    copy = Archive(tmp_path / "data", stored.text, origin=stored.data)
    copy.config()
    return copy


def check(vittne: Vittne, archive: Archive, *options: object) -> tuple[int, dict[str, Any]]:
    where = ("--data", archive.data, "--config", archive.config(), "--json")
    status, out, error = vittne("announcement", "check", *options, *where)
    assert out, error
    return status, json.loads(out)


def verdicts(archive: Archive, number: int) -> list[Kept]:
    with Catalogue(archive.data / "catalogue.db", read_only=True) as catalogue:
        return VerdictTable(catalogue).of(rec(number))


def test_what_was_played_is_heard_afterwards_and_entered_beside(vittne: Vittne, archive: Archive) -> None:
    status, told = check(vittne, archive, "--all")

    before, now = verdicts(archive, 1)
    assert (status, told["changed"], told["entered"]) == (0, 2, 2)
    assert [one.told["announced"] for one in (before, now)] == ["not-listened", "full"]
    assert archive.row(1).announced == "full"
    assert (now.told["reference"], now.told["party"], now.told["detector"]) == (WELCOME, "callee", VERSION)
    assert now.told["offset_ms"] == pytest.approx(1000, abs=200)
    assert archive.row(2).announced == "none"


def test_the_same_again_comes_out_the_same_and_is_not_entered_twice(vittne: Vittne, archive: Archive) -> None:
    _, first = check(vittne, archive, "--all")

    status, second = check(vittne, archive, "--all")

    assert (status, second["entered"], second["changed"], second["differing"]) == (0, 0, 0, 0)
    assert [one["now"] for one in second["calls"]] == [one["now"] for one in first["calls"]]
    assert len(verdicts(archive, 1)) == 2


@pytest.mark.parametrize(("said", "announced"), [(heard(prompt()), "full"), (None, "not-listened")])
def test_a_prompt_that_was_not_stored_is_not_taken_for_one_that_was_not_played(
    vittne: Vittne, tmp_path: Path, said: dict[str, Any] | None, announced: str
) -> None:
    """A gate opened at its end, and what was before is not kept."""
    archive = Archive(tmp_path / "data", RULE + 'otherwise = ["quarantine"]\n', gap_ms=(0, 1000))
    archive.voices = [voice(ANOTHER), voice(ANOTHER)]
    archive.close(1, said)

    status, told = check(vittne, archive, "--all")

    assert (status, told["calls"][0]["now"]["reason"]) == (0, "not stored")
    row = archive.row(1)
    assert (row.announced, row.quarantined_us) == (announced, None)
    assert row.announced != "full" or len(verdicts(archive, 1)) == 1


def test_that_another_thing_comes_out_of_the_same_is_told(vittne: Vittne, archive: Archive) -> None:
    check(vittne, archive, "--all")
    registrar = archive.registrar()
    (_, now) = registrar.verdicts.of(rec(1))
    other = {"announced": "none", "expected": True, "proven": False, "detector": VERSION}
    row = registrar.catalogue.get(rec(1))
    registrar.verdicts.put([(row, Kept(rec(1), 3, now.at_us, "check", other, now.references))])
    registrar.close()

    status, told = check(vittne, archive, "--id", rec(1))

    assert (status, told["differing"]) == (1, 1)


def test_without_entering_nothing_is_changed(vittne: Vittne, archive: Archive) -> None:
    _, told = check(vittne, archive, "--all", "--dry-run")

    assert (told["changed"], told["entered"]) == (2, 0)
    assert archive.row(1).announced == "not-listened"
    assert len(verdicts(archive, 1)) == 1


def test_looks_are_entered_as_an_analysis(vittne: Vittne, archive: Archive) -> None:
    check(vittne, archive, "--id", rec(1))

    kinds = [row["kind"] for row in json.loads(vittne("audit", "--json", "--data", archive.data)[1])]

    assert kinds[-2:] == ["analyse", "verdict.check"]
    assert "play" not in kinds
    assert vittne("audit", "--check", "--data", archive.data)[0] == 0


def test_what_is_restricted_is_not_listened_to(vittne: Vittne, archive: Archive) -> None:
    registrar = archive.registrar()
    drain(RESTRICT.do(registrar, Restrict(recording=rec(1), reason="asked"), Caller("Ann")))
    registrar.close()

    status, told = check(vittne, archive, "--id", rec(1))

    assert (status, told["failed"], told["entered"]) == (1, 1, 0)
    assert "restricted" in told["calls"][0]["problem"]


def test_another_prompt_is_listened_for_by_its_name(vittne: Vittne, archive: Archive) -> None:
    registrar = archive.registrar()
    reference = enrol(registrar, "later", "de", ANOTHER)
    registrar.close()

    check(vittne, archive, "--id", rec(2), "--with", "later")

    found = verdicts(archive, 2)[-1]
    assert (found.told["reference"], found.told["language"], found.references) == (reference, "de", (reference,))


def test_a_call_that_turns_out_announced_proves_its_ground_and_a_rebuild_knows(
    vittne: Vittne, archive: Archive
) -> None:
    check(vittne, archive, "--all")
    before = [archive.row(number) for number in (1, 2)]
    for path in archive.data.glob("catalogue.db*"):
        path.unlink()

    assert vittne("rebuild", "--data", archive.data)[0] == 0

    again = [archive.row(number) for number in (1, 2)]
    assert [(row.announced, row.details["announcement"]) for row in again] == [
        (row.announced, row.details["announcement"]) for row in before
    ]
    assert [one.made_by for one in verdicts(archive, 1)] == ["recorder", "ledger"]


def test_what_turns_out_unannounced_goes_into_quarantine_and_not_back(vittne: Vittne, archive: Archive) -> None:
    archive.text = RULE + 'otherwise = ["quarantine"]\n'
    check(vittne, archive, "--id", rec(2))
    was_in = archive.row(2).quarantined_us is not None
    vittne("announcement", "release", rec(2), "--reason", "told orally", "--data", archive.data)

    archive.text += "within_s = 3.0\n" if "within_s" not in archive.text else '# again\nnot_listened = ["alarm"]\n'
    check(vittne, archive, "--id", rec(2))

    assert was_in
    assert len(verdicts(archive, 2)) == 3
    assert archive.row(2).quarantined_us is None


def test_a_program_erases_nothing_that_was_kept(vittne: Vittne, archive: Archive) -> None:
    archive.text = RULE + 'otherwise = ["discard"]\n'

    check(vittne, archive, "--id", rec(2))

    row = archive.row(2)
    assert (bool(row.folder), row.quarantined_us is not None) == (True, True)


def test_what_was_known_of_speech_stays(vittne: Vittne, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "data", RULE)
    archive.voices = [voice(ANOTHER), voice(SOUND)]
    archive.close(1, heard())

    check(vittne, archive, "--all")

    details = archive.row(1).details
    assert details["heard"]["speech"]["callee"] == [[1000, 3000]]
    assert details["announcement"]["overlap_permille"] > 0


def test_which_calls_has_to_be_said(vittne: Vittne, archive: Archive) -> None:
    status, _, error = vittne("announcement", "check", "--data", archive.data, "--config", archive.config())

    assert (status, "--all" in error) == (1, True)
