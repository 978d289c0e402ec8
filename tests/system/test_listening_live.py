"""Announcements heard on a real wire: gates that wait for them open while the call lasts."""

from __future__ import annotations

import json
import threading
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledgers
import pytest
from analysis.prompts import ASKS, RATE, WELCOME, a_call, spoken
from builders import Scenario
from rig.live import listed, recording, send_frames, vittne
from rig.namespaces import NoRoom, building
from rig.packets import sender_in
from rig.stored import stored_rtp

pytestmark = pytest.mark.system

RULES = """
hold_back_s = 2
commit_s = 0.5
[[record]]
name = "tell first"
callees = ["301"]
gate = "after-announcement"
announcements = ["welcome"]
[[record]]
name = "ask first"
callees = ["302"]
gate = "after-consent"
"""
SECONDS, BEGIN_S = 18.0, 2.0
KEYED_S = BEGIN_S + 7.5
EVENT = 101  # payload type


def enrol(folder: Path, data: Path, name: str, text: str, *options: str) -> None:
    """Enrol a prompt as an administrator does."""
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(spoken(text).tobytes())
    done = vittne("announcement", "add", name, str(path), "--data", str(data), *options)
    assert done.returncode == 0, done.stderr


def calls() -> Scenario:
    scenario = Scenario("announced live")
    for number, (text, keys) in enumerate(((WELCOME, ()), (ASKS, ((KEYED_S, "1"),))), 1):
        alice = scenario.endpoint("alice", f"10.7.0.{10 + number}", 40_000, f"10{number}")
        bob = scenario.endpoint("bob", f"10.7.1.{10 + number}", 50_000, f"30{number}")
        a_call(
            "PCMA",
            text,
            BEGIN_S,
            SECONDS,
            keys=keys,
            talk_from_s=12.0,
            scenario=scenario,
            ends=(alice, bob),
        )
    return scenario


@dataclass
class Done:
    data: Path
    calls: dict[str, dict[str, Any]]  # by callee
    opened_s: list[float]  # when recordings began, seconds from the first packet


def folders(data: Path) -> int:
    """How many recordings are being written: nothing of a call is on disk while its gate is closed."""
    return len(list((data / "recordings").glob("*/*/*/.*-*")))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("listening")
    (folder / "vittne.toml").write_text(RULES)
    data = folder / "data"
    opened: list[float] = []
    with building() as house:
        try:
            room = house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        phones = house.room("phones")
        house.cable(phones, "voices", room, "mirror")
        sender = sender_in(phones, "voices")
        with recording(room, data, "--interface", "mirror", "--config", str(folder / "vittne.toml")) as recorder:
            enrol(folder, data, "welcome", WELCOME)
            enrol(folder, data, "asks", ASKS, "--purpose", "consent", "--agree", "1", "--refuse", "2", "--within", "10")
            playing = threading.Thread(target=send_frames, args=(sender, calls().frames()))
            begin = time.monotonic()
            playing.start()
            while playing.is_alive():
                if folders(data) > len(opened):
                    opened.append(time.monotonic() - begin)
                time.sleep(0.1)
            playing.join()
            time.sleep(4)
            recorder.stop()
    return Done(data, {call["callee"].partition("@")[0].removeprefix("sip:"): call for call in listed(data)}, opened)


def test_both_gates_open_while_their_calls_last(done: Done) -> None:
    assert {callee: call["outcome"] for callee, call in done.calls.items()} == {"301": "recorded", "302": "recorded"}
    decided = {
        callee: [(one["decision"], one["trigger"], one["by"]) for one in call["details"]["recording_rule"]["decisions"]]
        for callee, call in done.calls.items()
    }
    assert decided == {
        "301": [("announced", "announcement", "welcome")],
        "302": [("agreed", "consent", "asks")],
    }
    assert len(done.opened_s) == 2
    assert all(opened < SECONDS for opened in done.opened_s)


def test_the_key_is_nowhere(done: Done) -> None:
    call = done.calls["302"]

    assert call["details"]["digits"] == 1
    assert not any(packet[1] & 0x7F == EVENT for packet in stored_rtp(done.data, call))
    entries = [entry for entry in ledgers.entries(done.data) if entry.get("rec") == call["id"]]
    assert entries
    assert not any(word in json.dumps(entries) for word in ('"digit"', '"key"', '"symbol"'))
    log = done.data.with_suffix(".log").read_text()
    assert "fault" not in log
