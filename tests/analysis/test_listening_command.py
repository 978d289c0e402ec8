"""`vittne record --pcap` hears the announcements that were enrolled."""

from __future__ import annotations

import json
import wave
from pathlib import Path

from analysis.prompts import RATE, WELCOME, a_call, spoken
from rig.live import listed, vittne
from rig.stored import stored_plain

from vittne.appliance.seal.records import rtp_columns

RULES = """
[[record]]
name = "tell first"
gate = "after-announcement"
announcements = ["{name}"]
keep_before = false
"""


def recorded(folder: Path, data: Path, opened_by: str) -> dict[str, object]:
    """Record the call from its capture under a rule whose gate an announcement opens."""
    (folder / "vittne.toml").write_text(RULES.format(name=opened_by))
    before = {one["id"] for one in listed(data)} if data.exists() else set()
    capture = a_call("PCMU").scenario.write(folder / "capture.pcap")
    done = vittne("record", "--pcap", str(capture), "--data", str(data), "--config", str(folder / "vittne.toml"))
    assert done.returncode == 0, done.stderr
    (found,) = (one for one in listed(data) if one["id"] not in before)  # all of them began at one moment
    return found


def test_a_capture_is_heard_and_its_gate_opens(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = recorded(tmp_path, data, "welcome")
    assert first["outcome"] == "discarded-by-policy", "nothing is enrolled"
    with wave.open(str(tmp_path / "welcome.wav"), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(spoken(WELCOME).tobytes())
    done = vittne("announcement", "add", "welcome", str(tmp_path / "welcome.wav"), "--data", str(data))
    assert done.returncode == 0, done.stderr

    other = recorded(tmp_path, tmp_path / "data", "another")
    second = recorded(tmp_path, tmp_path / "data", "welcome")

    assert other["outcome"] == "discarded-by-policy"
    assert second["outcome"] == "recorded"
    assert 200 < len(rtp_columns(stored_plain(data, second)).at_ns) < 1000, "what came behind the prompt"
    assert b'"heard":' in stored_plain(data, second), "it is sealed with the recording"
    assert json.dumps(second["details"]).count('"trigger": "announcement"') == 1
