"""Real telephones through a real exchange, mirrored by a switch and recorded live.

SIPp and baresip call each other over Kamailio (record-routing) and rtpengine (anchored media); see rig/exchange.py.
One recorder sees the exchange's port, where each packet passes once; another one sees all ports of the switch,
where each passes twice. Both run during the same calls, which are placed once for all tests here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from typing import Any

import pytest
from rig.evening import DIGITS, HELD, HOLD_S, PLAIN, TRANSFERRED, Evening, between, place_calls, user_of
from rig.exchange import exchange
from rig.hearing import RATE, WINDOW_S
from rig.live import Recorder, listed, recording, vittne
from rig.namespaces import NoRoom, building

pytestmark = pytest.mark.system

PROGRAMS = ("sipp", "baresip", "kamailio", "rtpengine", "tshark")
RING = "[ring]\npackets_per_s = 20000\n"


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Evening:
    """All calls, placed at once; recorded by two recorders that ended before this is given out."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.fail(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("evening")
    (folder / "vittne.toml").write_text(RING)
    with building() as house:
        try:
            house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        with exchange(house, folder) as phones:
            made = Evening(folder)
            options = ["--config", str(folder / "vittne.toml"), "--hold-back", "2"]
            with (
                recording(phones.recorder, made.data("once"), "--interface", "trunk", *options) as one,
                recording(phones.recorder, made.data("twice"), "--interface", "ports", *options) as two,
            ):
                place_calls(phones, folder)
                stop(one, two)
    made.once = listed(made.data("once"), "--all")
    made.twice = listed(made.data("twice"), "--all")
    return made


def stop(*recorders: Recorder) -> None:
    """What was heard last is older than the hold-back by the time that a recorder has written it."""
    time.sleep(1)
    for recorder in recorders:
        recorder.stop()


def at(speakers: list[str], from_s: float, to_s: float) -> set[str]:
    """Who speaks in the windows that lie wholly between two times."""
    return set(speakers[round(from_s / WINDOW_S) : round(to_s / WINDOW_S)])


def test_there_are_as_many_recordings_as_answered_calls(evening: Evening) -> None:
    expected = sorted([*[(one, other) for one, other, _, _ in PLAIN], ("1001", "2001"), HELD, TRANSFERRED])
    for calls in (evening.once, evening.twice):
        answered = [call for call in calls if call["answered_at"]]
        assert sorted(map(between, answered)) == expected
        assert {call["outcome"] for call in answered} == {"recorded"}, [call["outcome_reasons"] for call in answered]


def test_a_call_that_is_refused_is_listed_without_a_recording(evening: Evening) -> None:
    (call,) = evening.calls("1801", "9999")

    assert (call["outcome"], call["end_reason"], call["folder"]) == ("unanswered", "refused-404", "")


@pytest.mark.parametrize(("caller", "callee", "left", "right"), PLAIN)
def test_each_side_has_the_voice_of_its_party_and_no_other(
    evening: Evening, caller: str, callee: str, left: str, right: str
) -> None:
    calls = evening.calls(caller, callee)

    assert calls
    for call in calls:
        caller_side, callee_side = evening.speakers(call)
        # Around the digits of one caller nothing is stored, on neither side.
        keys = [begin for begin, _ in DIGITS] if caller == "1001" else []
        quiet = (1.0, 2.5) if keys else (0.0, 0.0)
        for side, voice in ((caller_side, left), (callee_side, right)):
            assert at(side, 0, 0.5) == at(side, 3.0, 4.5) == {voice}, side
            assert at(side, *quiet) <= {""}, side
            assert keys or at(side, 0.5, 3.0) == {voice}, side


@pytest.mark.parametrize(("caller", "callee"), [(one, other) for one, other, _, _ in PLAIN])
def test_a_recording_is_as_long_as_its_call(evening: Evening, caller: str, callee: str) -> None:
    for call in evening.calls(caller, callee):
        left, right = evening.sides(call)
        assert len(left) == len(right)
        assert len(left) / RATE == pytest.approx(call["duration_s"], abs=0.02)


@pytest.mark.parametrize(("caller", "callee", "left", "right"), PLAIN)
def test_streams_are_of_the_party_that_speaks_in_them(
    evening: Evening, caller: str, callee: str, left: str, right: str
) -> None:
    for call in evening.calls(caller, callee):
        spoken: dict[str, set[str]] = {"caller": set(), "callee": set()}
        for stream in call["streams"]:
            spoken[stream["party"]].add(stream["ssrc"])
            assert stream["lost"] == stream["duplicates"] == 0
        assert [len(ssrcs) for ssrcs in spoken.values()] == [1, 1]
        if caller[1] != "6":  # a SIPp has its number for an SSRC
            assert spoken == {"caller": {f"{int(caller):08X}"}, "callee": {f"{int(callee):08X}"}}


def test_signalling_over_tcp_and_over_ipv6_is_followed(evening: Evening) -> None:
    (over_tcp,), (over_v6,) = evening.calls("1101", "2101"), evening.calls("1201", "2201")

    assert [dialog["transport"] for dialog in over_tcp["details"]["dialogs"]] == ["tcp"]
    assert {stream["codec"] for stream in over_tcp["streams"]} == {"PCMA"}
    assert all(stream["source"].startswith("[fd09::") for stream in over_v6["streams"])


def test_a_held_call_is_one_recording_with_its_silence_in_place(evening: Evening) -> None:
    (call,) = evening.calls(*HELD)

    left, right = evening.speakers(call)

    assert at(left, 0, 1.5) == {"victor"}
    assert at(left, HOLD_S[0] + 0.5, HOLD_S[1] - 0.5) == {""}
    assert at(left, HOLD_S[1] + 0.5, 5.5) == {"victor"}
    assert at(right, 0, 4.5) == {"bob"}
    assert call["duration_s"] == pytest.approx(6.0, abs=0.5)


def test_a_blind_transfer_stays_one_call_whose_new_party_takes_the_seat(evening: Evening) -> None:
    (call,) = evening.calls(*TRANSFERRED)

    left, right = evening.speakers(call)

    assert len(call["call_ids"]) == 2
    assert [user_of(party["uri"]) for party in call["parties"]] == ["1401", "1501", "2003"]
    assert at(left, 0, 2) == at(left, 3.5, 4.5) == {"peggy"}, left
    assert at(right, 0, 2) == {"trent"}, right
    assert at(right, 3.5, 4.5) == {"bob"}, right


def test_digits_are_counted_and_not_stored(evening: Evening) -> None:
    calls = evening.calls("1001", "2001")

    assert calls
    for call in calls:
        to = evening.folder / f"{call['id']}.pcap"
        done = vittne("export", call["id"], "--format", "pcap", "-o", str(to), "--data", str(evening.data("once")))
        assert done.returncode == 0, done.stderr
        fields = ["-Y", "rtp", "-T", "fields", "-e", "rtp.p_type"]
        types = subprocess.run(["tshark", "-r", str(to), *fields], capture_output=True, text=True, check=True).stdout
        assert set(types.split()) == {"0"}
        sent = [stream["dropped"] for stream in call["streams"] if stream["party"] == "caller"]
        assert sent
        assert all(dropped.get("digits", 0) >= len(DIGITS) for dropped in sent)


def test_the_key_of_an_encrypted_call_is_nowhere_in_clear(evening: Evening) -> None:
    (call,) = evening.calls("1601", "1701")

    assert "inline:" not in str(call)
    for path in sorted(evening.data("once").rglob("*")):
        assert path.is_dir() or b"inline:" not in path.read_bytes(), path
    assert "inline:" not in evening.data("once").with_suffix(".log").read_text()


def test_what_the_mirror_shows_twice_is_recorded_once(evening: Evening) -> None:
    def seen(calls: list[dict[str, Any]]) -> list[list[Any]]:
        counts = ("ssrc", "source", "destination", "party", "packets", "lost", "duplicates", "reordered")
        return sorted(
            [call["call_ids"], sorted([*(stream[name] for name in counts), kept(stream)] for stream in call["streams"])]
            for call in calls
        )

    def kept(stream: dict[str, Any]) -> int:
        # A window around digits ends at a time of arrival, and that is not the same on two interfaces.
        return int(stream["stored"]) + int(stream["dropped"].get("muted", 0))

    assert seen(evening.twice) == seen(evening.once)


def test_what_the_mirror_shows_twice_is_counted(evening: Evening) -> None:
    packets = sum(stream["packets"] for call in evening.twice for stream in call["streams"])
    *_, stopped = (json.loads(line) for line in evening.data("twice").with_suffix(".log").read_text().splitlines())

    assert stopped["event"] == "stopped"
    assert stopped["drops"]["media"]["mirror duplicate"] >= packets


@pytest.mark.parametrize("name", ["once", "twice"])
def test_all_recordings_verify(evening: Evening, name: str) -> None:
    done = vittne("verify", "--all", "--data", str(evening.data(name)))

    assert done.returncode == 0, done.stdout + done.stderr
