"""A prompt keeps its name through versions: every change is an entry, and what it was before stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ledgers import entries
from prompts import OTHER, speech, write_wav
from running import running

from vittne.appliance.announcements.active import active
from vittne.appliance.announcements.files import read_sound
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import from_rfc3339, now_us

Vittne = Callable[..., tuple[int, str, str]]
EVENTS = ("announcement.add", "announcement.change", "announcement.retire")


def done(vittne: Vittne, data: Path, *words: object) -> dict[str, Any]:
    status, out, error = vittne("announcement", *words, "--data", data, "--json")
    assert status == 0, error
    answer: dict[str, Any] = json.loads(out[out.index("{") :])  # behind what a recorder logs here
    return answer


def refused(vittne: Vittne, data: Path, *words: object) -> str:
    status, _, error = vittne("announcement", *words, "--data", data)
    assert status == 1
    return error


def counting(data: Path, at: str = "") -> list[ReferenceHandle]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return active(catalogue, from_rfc3339(at) if at else now_us())


def test_an_enrolled_prompt_counts_and_its_sound_is_what_the_hash_says(
    vittne: Vittne, data: Path, notice: Path
) -> None:
    said = ("--language", "en-US", "--require", "1.2-4.5", "--site", "north", "--note", "the long one", "--by", "Ann")
    answer = done(vittne, data, "add", "welcome-en", notice, *said)

    one = answer["announcement"]
    (handle,) = counting(data)
    stored = data / "announcements" / f"{one['reference']}.s16"
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == one["reference"] == handle.hash
    assert (stored.stat().st_mode & 0o777, stored.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    begin = one["cut_s"][0]
    assert handle == ReferenceHandle(
        one["reference"], "welcome-en", "notice", "en-US", ((1.2 - begin, 4.5 - begin),), sites=("north",)
    )
    assert (one["file"], one["file_sha256"]) == ("notice.wav", hashlib.sha256(notice.read_bytes()).hexdigest())
    assert one["length_s"] == len(read_sound(data, one["reference"])) // 8 / 1000


def test_a_new_file_is_a_new_version_and_the_old_one_stays(
    vittne: Vittne, data: Path, notice: Path, tmp_path: Path
) -> None:
    first = done(vittne, data, "add", "welcome", notice, "--language", "en")["announcement"]
    other = write_wav(tmp_path / "other.wav", speech(OTHER))
    second = done(vittne, data, "change", "welcome", "--file", other)["announcement"]

    assert (first["version"], second["version"], second["language"]) == (1, 2, "en")
    assert [one.hash for one in counting(data)] == [second["reference"]]
    assert [one.hash for one in counting(data, "2026-01-01T00:00:00Z")] == [first["reference"]]
    assert len(read_sound(data, first["reference"]))
    shown = json.loads(vittne("announcement", "show", "welcome", "--json", "--data", data)[1])
    assert [one["reference"] for one in shown["versions"]] == [first["reference"], second["reference"]]


def test_what_must_be_heard_is_of_one_sound_and_is_said_anew_for_another(
    vittne: Vittne, data: Path, notice: Path, tmp_path: Path
) -> None:
    done(vittne, data, "add", "welcome", notice, "--require", "1-4")
    other = write_wav(tmp_path / "other.wav", speech(OTHER))

    assert "--require-all" in refused(vittne, data, "change", "welcome", "--file", other)
    answer = done(vittne, data, "change", "welcome", "--file", other, "--require-all")

    assert answer["announcement"]["required_s"] == []


def test_a_change_of_validity_is_a_version_and_no_change_is_none(vittne: Vittne, data: Path, notice: Path) -> None:
    done(vittne, data, "add", "welcome", notice, "--language", "en")
    same = done(vittne, data, "change", "welcome", "--language", "en")
    until = done(vittne, data, "change", "welcome", "--valid-until", "2099-01-01")

    assert (same["changed"], same["announcement"]["version"]) == (False, 1)
    assert (until["announcement"]["version"], until["announcement"]["until_at"][:10]) == (2, "2099-01-01")
    assert [one.version for one in counting(data)] == [2]
    assert counting(data, "2099-01-01T00:00:01Z") == []


def test_a_version_that_begins_later_leaves_the_one_before_in_force(
    vittne: Vittne, data: Path, notice: Path, tmp_path: Path
) -> None:
    done(vittne, data, "add", "welcome", notice)
    other = write_wav(tmp_path / "other.wav", speech(OTHER))
    done(vittne, data, "change", "welcome", "--file", other, "--valid-from", "2099-01-01")

    assert [one.version for one in counting(data)] == [1]
    assert [one.version for one in counting(data, "2099-06-01T00:00:00Z")] == [2]
    (row,) = json.loads(vittne("announcement", "list", "--json", "--data", data)[1])
    assert (row["version"], row["counts"]) == (2, 1)


def test_a_retired_one_counts_no_more_and_its_name_can_be_enrolled_anew(
    vittne: Vittne, data: Path, notice: Path
) -> None:
    done(vittne, data, "add", "welcome", notice)
    retired = done(vittne, data, "retire", "welcome")["announcement"]
    nobody = counting(data)
    listed = json.loads(vittne("announcement", "list", "--json", "--data", data)[1])
    again = done(vittne, data, "add", "welcome", notice)["announcement"]

    assert (retired["version"], retired["retired"], nobody, listed) == (2, True, [], [])
    assert (again["version"], again["reference"]) == (3, retired["reference"])
    assert [one.version for one in counting(data)] == [3]


def test_who_did_what_to_which_hash_is_in_ledger_and_trail(vittne: Vittne, data: Path, notice: Path) -> None:
    one = done(vittne, data, "add", "welcome", notice, "--by", "Ann")["announcement"]
    done(vittne, data, "change", "welcome", "--language", "en", "--by", "Bea")
    done(vittne, data, "retire", "welcome", "--by", "Cid")

    found = [entry for entry in entries(data) if entry["t"] in EVENTS]
    assert [entry["t"] for entry in found] == list(EVENTS)
    assert {entry["reference"] for entry in found} == {one["reference"]}
    for number, entry in enumerate(found, 1):
        body = (data / "announcements" / f"welcome.{number}.json").read_bytes()
        assert hashlib.sha256(body).hexdigest() == entry["terms"]
    rows = json.loads(vittne("audit", "--json", "--data", data)[1])
    who = [(row["kind"], row["actor"]) for row in rows if row["kind"] in EVENTS]
    assert sorted(who) == [(EVENTS[0], "Ann"), (EVENTS[1], "Bea"), (EVENTS[2], "Cid")]
    assert "Ann" not in json.dumps(found)


def test_a_consent_prompt_says_which_keys_and_within_which_time(vittne: Vittne, data: Path, notice: Path) -> None:
    assert "digits that agree" in refused(vittne, data, "add", "ask", notice, "--purpose", "consent")
    both = ("--purpose", "consent", "--agree", "12", "--refuse", "2")
    assert "both agree and refuse" in refused(vittne, data, "add", "ask", notice, *both)
    assert "only a consent prompt" in refused(vittne, data, "add", "ask", notice, "--agree", "1")

    done(vittne, data, "add", "ask", notice, "--purpose", "consent", "--agree", "1", "--refuse", "29", "--within", "8")

    (handle,) = counting(data)
    assert (handle.purpose, handle.agree, handle.refuse, handle.within_s) == ("consent", "1", "29", 8.0)
    changed = done(vittne, data, "change", "ask", "--purpose", "notice")["announcement"]
    assert (changed["agree"], changed["within_s"]) == ("", 0)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("Welcome", "FILE"), "name"),
        (("../../x", "FILE"), "name"),
        (("welcome", "FILE", "--language", "english please"), "BCP 47"),
        (("welcome", "FILE", "--require", "1-1.2"), "0.5 s at least"),
        (("welcome", "FILE", "--require", "1-4", "--require", "3-5"), "in order"),
        (("welcome", "FILE", "--valid-from", "2027-01-01", "--valid-until", "2026-01-01"), "end before it begins"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    vittne: Vittne, data: Path, notice: Path, words: tuple[str, ...], reason: str
) -> None:
    assert reason in refused(vittne, data, "add", *(notice if word == "FILE" else word for word in words))
    assert not [entry for entry in entries(data) if entry["t"] in EVENTS]


def test_one_sound_has_one_name(vittne: Vittne, data: Path, notice: Path) -> None:
    done(vittne, data, "add", "welcome", notice)
    assert "has this name" in refused(vittne, data, "add", "welcome", notice)
    assert "under another name" in refused(vittne, data, "add", "greeting", notice)


def test_all_of_it_is_done_by_a_recorder_that_runs(vittne: Vittne, data: Path, notice: Path) -> None:
    with running(data):
        done(vittne, data, "add", "welcome", notice, "--by", "Ann")
        done(vittne, data, "change", "welcome", "--require", "0.5-3")
        status, out, _ = vittne("announcement", "list", "--data", data)
        done(vittne, data, "retire", "welcome")

    assert (status, "welcome" in out, "0.5-3.0" in out) == (0, True, True)
    assert [entry["t"] for entry in entries(data) if entry["t"] in EVENTS] == list(EVENTS)


def test_a_sound_that_was_altered_is_no_sound_any_more(vittne: Vittne, data: Path, notice: Path) -> None:
    one = done(vittne, data, "add", "welcome", notice)["announcement"]
    path = data / "announcements" / f"{one['reference']}.s16"
    samples = np.frombuffer(path.read_bytes(), "<i2").copy()
    samples[100] += 1
    path.write_bytes(samples.tobytes())

    with pytest.raises(StoreError, match="not what it was"):
        read_sound(data, one["reference"])
    assert vittne("announcement", "show", "welcome", "--data", data)[0] == 1
    done(vittne, data, "retire", "welcome")
    done(vittne, data, "add", "welcome", notice)  # the same file heals it
    assert len(read_sound(data, one["reference"]))


def test_what_is_kept_can_be_heard_elsewhere(vittne: Vittne, data: Path, notice: Path, tmp_path: Path) -> None:
    one = done(vittne, data, "add", "welcome", notice)["announcement"]
    out = tmp_path / "kept.wav"
    assert vittne("announcement", "play", "welcome", "-o", out, "--data", data)[0] == 0

    assert out.read_bytes()[44:] == (data / "announcements" / f"{one['reference']}.s16").read_bytes()
