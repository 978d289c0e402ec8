"""A reference is tried before it goes live: on stored calls, captures, sound files, and on what telephony does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledgers import entries
from prompts import NOTICE, OTHER, SIBLING, calls, speech, write_wav
from rig.traces import MEMORY, left_in_memory
from running import running

Vittne = Callable[..., tuple[int, str, str]]


def tried(vittne: Vittne, *words: object) -> dict[str, Any]:
    status, out, error = vittne("announcement", "try", *words, "--json")
    assert status == 0, error
    answer: dict[str, Any] = json.loads(out[out.index("{") :])
    return answer


def states(answer: dict[str, Any], party: str = "callee") -> list[str]:
    return [one["state"] for call in answer["calls"] for one in call["parties"] if one["party"] == party]


def test_stored_calls_are_told_full_partial_and_none(vittne: Vittne, data: Path, notice: Path) -> None:
    assert vittne("announcement", "add", "welcome", notice, "--data", data)[0] == 0

    answer = tried(vittne, "welcome", "--data", data)

    assert states(answer) == ["full", "partial", "none"]
    assert states(answer, "caller") == ["none", "none", "none"]
    first = answer["calls"][0]["parties"][1]
    assert first["offset_s"] == pytest.approx(0.5, abs=0.1)
    assert first["share"] > 0.9
    assert answer["totals"] == {"full": 1, "partial": 1, "none": 1, "unknown": 0}
    assert answer["misses"] == [call["id"] for call in answer["calls"][1:]]
    status, out, _ = vittne("announcement", "try", "welcome", "--data", data)
    assert (status, "1 full, 1 partial, 1 none" in out) == (0, True)
    assert out.index(answer["misses"][0]) < out.index(answer["misses"][1])  # what was nearly heard first


def test_who_tries_is_in_the_trail_and_what_is_restricted_stays_shut(vittne: Vittne, data: Path, notice: Path) -> None:
    ids = [row["id"] for row in json.loads(vittne("list", "--json", "--data", data)[1])]
    assert vittne("restrict", ids[0], "--reason", "Art. 18", "--data", data)[0] == 0

    with running(data):
        answer = tried(vittne, notice, "--data", data, "--by", "Ann")
    opened = tried(vittne, notice, "--data", data, "--purpose", "legal-claims")

    shut = {call["id"]: call["problem"] for call in answer["calls"] if call["state"] == "unknown"}
    assert list(shut) == [ids[0]]
    assert "restricted" in shut[ids[0]]
    assert not [call for call in opened["calls"] if call["problem"]]
    played = [entry["rec"] for entry in entries(data) if entry["t"] == "play"]
    assert sorted(played) == sorted([*ids[1:], *ids])
    assert [entry["rec"] for entry in entries(data) if entry["t"] == "look.refuse"] == [ids[0]]
    rows = json.loads(vittne("audit", "--kind", "play", "--json", "--data", data)[1])
    assert {row["actor"] for row in rows[:2]} == {"Ann"}


def test_a_search_chooses_the_calls(vittne: Vittne, data: Path, notice: Path) -> None:
    newest = tried(vittne, notice, "--data", data, "--limit", "1")
    nobody = vittne("announcement", "try", notice, "--data", data, "--number", "nobody")

    assert states(newest) == ["none"]
    assert (nobody[0], "no calls were found" in nobody[1]) == (1, True)


def test_a_window_ends_the_search(vittne: Vittne, data: Path, notice: Path) -> None:
    answer = tried(vittne, notice, "--data", data, "--window", "2")
    assert "full" not in states(answer)
    assert {call["searched_s"] for call in answer["calls"]} == {2.0}


@pytest.mark.parametrize("codec", ["PCMA", "G722"])
def test_a_capture_is_searched_and_nothing_of_it_is_kept(
    vittne: Vittne, tmp_path: Path, notice: Path, codec: str
) -> None:
    whole, talk = speech(NOTICE), speech(OTHER, "en-gb+m1")
    said = [[whole, talk], [talk]]
    if codec == "G722":
        said = [[np.repeat(piece, 2) for piece in pieces] for pieces in said]
    capture = calls(said, codec).write(tmp_path / "capture.pcap")
    before = set(MEMORY.iterdir())

    answer = tried(vittne, notice, "--pcap", capture)

    assert states(answer) == ["full", "none"]
    assert left_in_memory(before) == set()
    status, _, error = vittne("announcement", "try", notice, "--pcap", notice)
    assert (status, "pcap" in error) == (1, True)


def test_a_sound_file_has_caller_left_and_callee_right(vittne: Vittne, tmp_path: Path, notice: Path) -> None:
    left = write_wav(tmp_path / "left.wav", speech(OTHER))
    both = tmp_path / "both.flac"
    subprocess.run(["sox", "-V1", "-M", str(left), str(notice), str(both)], check=True)

    answer = tried(vittne, notice, "--sound", both)

    assert (states(answer, "caller"), states(answer)) == (["none"], ["full"])


def test_a_part_of_a_file_is_tried_as_it_would_be_enrolled(vittne: Vittne, data: Path, tmp_path: Path) -> None:
    spoken = speech(NOTICE)
    path = write_wav(tmp_path / "both.wav", np.concatenate([speech(OTHER), spoken]))
    begin = str(len(speech(OTHER)) / 8000)

    assert "full" not in states(tried(vittne, path, "--data", data))
    assert states(tried(vittne, path, "--from", begin, "--data", data))[0] == "full"


def test_what_telephony_does_is_shown_before_it_goes_live(vittne: Vittne, notice: Path) -> None:
    status, out, error = vittne("announcement", "try", notice, "--degrade", "--json")

    answer = json.loads(out)
    found = {one["what"]: one for one in answer["conditions"]}
    assert {"G.711 A-law", "noise at 10 dB", "5 % of packets lost", "G.723.1, 6.3 kbit/s"} <= set(found)
    assert found["as it is"]["state"] == found["G.711 A-law"]["state"] == "full", error
    assert found["as it is"]["offset_error_ms"] == pytest.approx(0, abs=20)
    assert {found[f"broken off after {share} %"]["state"] for share in (75, 50)} == {"partial"}
    assert (status == 0) == (not answer["wrong"])
    assert status == 0, answer["wrong"]


def test_what_shares_a_sentence_is_said_with_its_seconds(
    vittne: Vittne, data: Path, notice: Path, tmp_path: Path
) -> None:
    sibling = write_wav(tmp_path / "sibling.wav", speech(SIBLING))
    other = write_wav(tmp_path / "other.wav", speech(OTHER, "en-gb+m1"))
    for name, file in (("welcome", notice), ("busy", other)):
        assert vittne("announcement", "add", name, file, "--data", data)[2].count("share") == 0

    status, _, warning = vittne("announcement", "add", "ask", sibling, "--data", data)
    (pair,) = json.loads(vittne("announcement", "alike", "--json", "--data", data)[1])

    assert status == 0
    assert "ask and welcome share phrases" in warning or "welcome and ask share phrases" in warning
    assert {pair["first"], pair["second"]} == {"ask", "welcome"}
    assert not pair["cannot_be_told_apart"]
    (stretch,) = pair["stretches"]
    for begin, end in stretch.values():
        assert begin == pytest.approx(0, abs=0.7)
        assert end == pytest.approx(4, abs=1.2)


def test_requiring_only_what_another_says_too_is_warned_of(
    vittne: Vittne, data: Path, notice: Path, tmp_path: Path
) -> None:
    sibling = write_wav(tmp_path / "sibling.wav", speech(SIBLING))
    assert vittne("announcement", "add", "welcome", notice, "--data", data)[0] == 0

    _, _, warning = vittne("announcement", "add", "ask", sibling, "--require", "1-4", "--data", data)

    assert "all that must be heard of ask is in welcome" in warning


def test_two_that_cannot_be_told_apart_are_named(vittne: Vittne, data: Path, notice: Path, tmp_path: Path) -> None:
    fainter = write_wav(tmp_path / "fainter.wav", (speech(NOTICE) * 0.7).astype(np.int16))
    assert vittne("announcement", "add", "welcome", notice, "--data", data)[0] == 0

    status, _, warning = vittne("announcement", "add", "again", fainter, "--data", data)
    assert (status, "cannot be told apart" in warning) == (0, True)
    status, out, _ = vittne("announcement", "alike", "--data", data)
    assert (status, "cannot be told apart" in out) == (1, True)
