"""`vittne doctor` as people and programs use it: files, an interface, a box with a recorder and one without."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from builders import START_NS, write_pcap
from building.frames import udp_frame
from running import running
from scenarios import basic, network

from vittne.appliance.__main__ import run
from vittne.appliance.doctor.recorderfacts import RecorderFacts
from vittne.appliance.registrar import Registrar
from vittne.appliance.testcall import place_call


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status and what was printed as JSON."""
    status = run(["doctor", "--json", *arguments])
    out = capsys.readouterr().out
    return status, json.loads(out[out.index("{\n") :])  # a recorder in this process logs to the same place


def test_the_exit_status_says_how_bad_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, lossy, empty = (str(tmp_path / f"{name}.pcap") for name in ("good", "lossy", "empty"))
    basic.basic_call().write(Path(good))
    network.lossy().write(Path(lossy))
    write_pcap(Path(empty), [])

    assert told(capsys, good)[0] == 0
    assert told(capsys, lossy)[0] == 1
    status, report = told(capsys, empty)
    assert status == 2
    assert report["verdict"] == "bad"
    assert report["source"] == "files"
    assert report["findings"][0]["name"] == "traffic"
    assert set(report["findings"][0]) == {"name", "weight", "words", "remedy", "facts"}


def test_people_read_what_is_wrong_with_its_remedy_and_what_is_good_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.pcap"
    network.one_direction().write(path)

    assert run(["doctor", str(path)]) == 2

    text = capsys.readouterr().out
    assert text.startswith("BAD   directions: Only one party is heard in 1 of 1 calls.")
    assert "Mirror both directions" in text
    assert "traffic, cut-packets" in text
    assert text.endswith("something is bad: see above\n")


def test_one_finding_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.pcap"
    network.one_direction().write(path)

    assert run(["doctor", "--only", "codecs", str(path)]) == 0
    assert "All voices can be played" in capsys.readouterr().out
    assert run(["doctor", "--only", "no-such-check", str(path)]) == 1


def test_names_from_the_wire_cannot_steer_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", str(tmp_path / "no\x1b[2Jfile.pcap")]) == 2
    assert "\x1b[2J" not in capsys.readouterr().out


def test_a_box_without_a_recorder_is_looked_at_and_nothing_is_made_in_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, report = told(capsys, "--data", str(tmp_path))

    names = {one["name"]: one for one in report["findings"]}
    assert names["recorder"]["facts"]["running"] is False
    assert names["disk-speed"]["facts"]["written"] > 0
    assert list(tmp_path.iterdir()) == []
    assert status == {"good": 0, "note": 0, "warn": 1, "bad": 2}[report["verdict"]]


def test_a_recorder_that_runs_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = RecorderFacts(("lo",), 60.0, 0.5, 0.5, 1, 9.0, {"lo": 9.0}, 0.1, 3, counters={"kernel": {"lo": 2}})

    def prepare(registrar: Registrar) -> None:
        registrar.facts = lambda: facts

    with running(tmp_path, prepare=prepare):
        status, report = told(capsys, "--data", str(tmp_path))

    names = {one["name"]: one for one in report["findings"]}
    assert names["recorder"]["facts"]["calls"] == 3
    assert names["drops"]["facts"]["kernel"] == {"lo": 2}
    assert status == 2


def test_an_interface_is_listened_to_as_a_capture_is(capsys: pytest.CaptureFixture[str]) -> None:
    import asyncio  # noqa: PLC0415 - only here

    def call() -> None:
        time.sleep(0.5)
        asyncio.run(place_call(seconds=1.0))

    caller = threading.Thread(target=call)
    caller.start()
    _, report = told(capsys, "--interface", "lo", "--seconds", "4")
    caller.join()

    names = {one["name"]: one for one in report["findings"]}
    assert report["source"] == "interfaces"
    assert names["traffic"]["facts"]["answered"] >= 1
    assert names["drops"]["weight"] == "good"
    assert names["directions"]["facts"]["sip_requests"] >= 3


def test_an_interface_that_is_not_there_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--interface", "no-such-card", "--seconds", "1"]) == 1
    assert "no interface" in capsys.readouterr().err


def test_two_sources_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_pcap(tmp_path / "x.pcap", [(START_NS, udp_frame("10.0.0.1", 1, "10.0.0.2", 2, b"x"))])

    assert run(["doctor", "--interface", "lo", str(path)]) == 1
    assert "one of the two" in capsys.readouterr().err
