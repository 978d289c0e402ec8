"""A call that was not announced may lie in quarantine: nobody hears it before a person has decided."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from announced import RULE, Archive, heard, prompt, rec

Vittne = Callable[..., tuple[int, str, str]]
QUARANTINE = RULE + 'otherwise = ["quarantine"]\n'


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A call without its announcement, in quarantine."""
    archive = Archive(tmp_path / "data", QUARANTINE)
    assert archive.close(1, heard()).quarantined_us is not None
    return archive


def released(archive: Archive) -> bool:
    return archive.row(1).quarantined_us is None


@pytest.mark.parametrize(
    "command",
    [
        ["export", rec(1), "-o", "out.wav"],
        ["export", rec(1), "--format", "vcon", "-o", "out.json"],
        ["bundle", rec(1), "-o", "out.zip"],
    ],
)
def test_nobody_copies_it(vittne: Vittne, archive: Archive, tmp_path: Path, command: list[str]) -> None:
    command[-1] = str(tmp_path / command[-1])

    status, _, error = vittne(*command, "--data", archive.data)

    assert (status, "in quarantine" in error, "not-heard" in error) == (1, True, True)
    assert not Path(command[-1]).exists()


def test_its_signalling_is_explained_and_its_packets_are_not(vittne: Vittne, archive: Archive) -> None:
    status, _, error = vittne("explain", rec(1), "--wireshark", "--data", archive.data)

    assert (status, "in quarantine" in error) == (1, True)
    assert vittne("explain", rec(1), "--data", archive.data)[0] == 0


def test_the_refusal_is_in_the_trail(vittne: Vittne, archive: Archive, tmp_path: Path) -> None:
    vittne("export", rec(1), "-o", tmp_path / "out.wav", "--data", archive.data)

    _, out, _ = vittne("audit", "--kind", "look.refuse", "--json", "--data", archive.data)

    assert [row["recording"] for row in json.loads(out)] == [rec(1)]


def test_a_reviewer_hears_it_by_saying_why(vittne: Vittne, archive: Archive, tmp_path: Path) -> None:
    wav = tmp_path / "out.wav"

    status, _, error = vittne("export", rec(1), "-o", wav, "--review", "quality team", "--data", archive.data)

    _, out, _ = vittne("audit", "--kind", "export", "--json", "--data", archive.data)
    assert (status, wav.exists()) == (0, True), error
    assert json.loads(out)[0]["details"]["review"] == "quality team"
    assert not released(archive)


def test_a_blank_reason_is_none(vittne: Vittne, archive: Archive, tmp_path: Path) -> None:
    assert vittne("export", rec(1), "-o", tmp_path / "a.wav", "--review", "  ", "--data", archive.data)[0] == 1


def test_it_is_listed_until_somebody_lets_it_out(vittne: Vittne, archive: Archive, tmp_path: Path) -> None:
    asked = ("announcement", "unannounced", "--quarantined", "--json", "--data", archive.data)
    before = json.loads(vittne(*asked)[1])

    status, _, error = vittne("announcement", "release", rec(1), "--reason", "told orally", "--data", archive.data)

    assert ([one["id"] for one in before], status) == ([rec(1)], 0), error
    assert json.loads(vittne(*asked)[1]) == []
    assert vittne("export", rec(1), "-o", tmp_path / "out.wav", "--data", archive.data)[0] == 0
    assert vittne("announcement", "unannounced", "--data", archive.data)[0] == 1
    assert vittne("audit", "--check", "--data", archive.data)[0] == 0


def test_it_can_be_discarded_for_good(vittne: Vittne, archive: Archive) -> None:
    status, _, error = vittne("announcement", "discard", rec(1), "--reason", "no notice", "--data", archive.data)

    row = archive.row(1)
    assert (status, row.erased_us is not None, row.quarantined_us) == (0, True, None), error
    assert vittne("erase", rec(1), "--certificate", "--data", archive.data)[0] == 0


def test_two_persons_let_it_out_where_that_is_configured(vittne: Vittne, archive: Archive) -> None:
    archive.text += '\n[approval]\noperations = ["quarantine-release"]\n'
    where = ("--data", archive.data, "--config", archive.config())

    status, _, _ = vittne("announcement", "release", rec(1), "--reason", "told orally", "--by", "Ann", *where)
    waits = json.loads(vittne("request", "list", "--json", *where)[1])
    himself = vittne("request", "approve", waits[0]["id"], "--by", "ann", *where)[0]
    was_in = not released(archive)
    other = vittne("request", "approve", waits[0]["id"], "--by", "Bob", *where)[0]

    assert (status, himself, was_in, other, released(archive)) == (3, 1, True, 0, True)


def test_what_is_not_in_quarantine_cannot_be_let_out(vittne: Vittne, archive: Archive) -> None:
    archive.close(2, heard(prompt()))

    status, _, error = vittne("announcement", "release", rec(2), "--reason", "x", "--data", archive.data)

    assert (status, "does not lie in quarantine" in error) == (1, True)


def test_the_list_of_calls_finds_it(vittne: Vittne, archive: Archive) -> None:
    archive.close(2, heard(prompt()))

    found = json.loads(vittne("list", "--quarantined", "--json", "--data", archive.data)[1])

    assert [one["id"] for one in found] == [rec(1)]
    assert found[0]["quarantined_at"] == found[0]["ended_at"]
