"""The canary call on a real wire: what it says of a recorder that is well, of one that misses packets, of a forger."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledgers
import pytest
from analysis.prompts import WELCOME
from rig.api import Api, api_of
from rig.live import Recorder, listed, recording, send_frames, vittne
from rig.namespaces import NoRoom, Room, building
from rig.packets import sender_in
from system.test_listening_live import enrol

from vittne.appliance.canary.mark import mark_of
from vittne.appliance.canary.script import Script, Wanted, write_script

pytestmark = pytest.mark.system

SETTINGS = """
hold_back_s = 2
commit_s = 0.5
[canary]
enabled = true
every_minutes = 600
announcement = "welcome"
talk_s = 1
keep_days = 3
[[record]]
name = "only when asked"
then = "on-demand"
callees = ["vittne-*"]
[[retention]]
name = "everything"
class = "mifid-5y"
"""
# RTP whose sequence number ends in 3, and no SIP message.
LOSS = (
    *("protocol", "ip", "u32", "match", "u8", "0x03", "0x0f", "at", "31"),
    *("action", "mirred", "egress", "redirect", "dev", "lo"),
)
CONTENT = {"complete", "audio", "timestamps"}
ALL = {"recorded", "in-time", *CONTENT, "sealed", "ledger", "announcement", "clock"}
SURE = ALL - {"clock"}  # whether somebody keeps this machine's clock right is not ours to say


@dataclass
class Box:
    """A recorder that calls itself."""

    room: Room
    phones: Room
    data: Path
    recorder: Recorder
    api: Api

    def canary(self) -> dict[str, Any]:
        """Have one placed; return what came of it."""
        done = vittne("canary", "--now", "--json", "--data", str(self.data))
        assert done.stdout, (done.stderr, self.recorder.log.read_text())
        run: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == {"well": 0, "unwell": 1, "unsure": 3}[run["result"]]
        return run


def results(run: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["result"] for check in run["checks"] if check["name"] != "clock"}


@contextlib.contextmanager
def lossy(room: Room) -> Iterator[None]:
    """Every sixteenth packet of voice is lost before the ring."""
    room.run("tc", "qdisc", "add", "dev", "mirror", "clsact")
    room.run("tc", "filter", "add", "dev", "mirror", "egress", *LOSS)
    try:
        yield
    finally:
        room.run("tc", "qdisc", "del", "dev", "mirror", "clsact")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("canary")
    (folder / "vittne.toml").write_text(SETTINGS)
    data = folder / "data"
    with building() as house:
        try:
            room = house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        phones = house.room("phones")
        house.cable(phones, "voices", room, "mirror")
        with recording(room, data, "--interface", "mirror", "--config", str(folder / "vittne.toml")) as recorder:
            enrol(folder, data, "welcome", WELCOME)
            yield Box(room, phones, data, recorder, api_of(room, data))
            recorder.stop()


def forged(data: Path) -> Script:
    """A call with our mark, made by somebody who saw one on the wire and copied it."""
    return write_script(Wanted(mark_of(data), "pcma", 2.0), "nobody's")


def test_a_recorder_that_is_well_hears_its_own_call_whole(box: Box) -> None:
    run = box.canary()

    assert results(run) == dict.fromkeys(SURE, "holds"), (run, box.recorder.log.read_text())
    ours = [entry for entry in ledgers.entries(box.data) if entry["t"] == "canary"]
    assert run["recording"] in {entry["rec"] for entry in ours}


def test_it_is_in_no_list_but_its_own_and_kept_for_days(box: Box) -> None:
    run = box.canary()

    assert run["recording"] not in {call["id"] for call in listed(box.data)}
    found = {call["id"]: call for call in listed(box.data, "--canary")}[run["recording"]]
    assert (found["retention_class"], found["locked_until"]) == ("canary call", None)
    assert found["ended_at"] < found["expires_at"] < f"{int(found['ended_at'][:4]) + 1}"
    status, told = box.api.get("canary")
    assert (status, told["canaries"][0]["id"]) == (200, run["id"])
    status, state = box.api.get("state")
    assert (status, state["canary"]["recording"]) == (200, run["recording"])


def test_packets_that_the_ring_never_saw_raise_the_alarm_until_all_come_again(box: Box) -> None:
    with lossy(box.room):
        run = box.canary()
    after = box.canary()

    assert run["result"] == "unwell"
    assert {name for name, result in results(run).items() if result == "fails"} >= {"recorded", "complete", "audio"}
    log = box.recorder.log.read_text()
    assert "alarm: the canary call was not recorded as it should be" in log
    assert results(after) == dict.fromkeys(SURE, "holds"), after
    assert "the canary call is well again" in box.recorder.log.read_text()


def test_a_strangers_call_with_the_mark_is_recorded_as_an_ordinary_call(box: Box) -> None:
    script = forged(box.data)
    frames = [(step.after_ns, step.frame) for step in script.steps]

    send_frames(sender_in(box.phones, "voices"), frames)
    deadline = time.monotonic() + 60
    found: dict[str, Any] = {}
    while time.monotonic() < deadline and found.get("state") != "finished":
        time.sleep(0.5)
        calls = listed(box.data, "--call-id", script.sent.call_id)
        found = calls[0] if calls else {}

    assert (found["outcome"], found["retention_class"]) == ("recorded", "mifid-5y")
    assert found["id"] not in {call["id"] for call in listed(box.data, "--canary")}


def test_while_the_archive_is_locked_what_was_not_looked_at_is_not_called_good(box: Box) -> None:
    for action, result in (("lock", "unchecked"), ("unlock", "holds")):
        done = vittne("keys", action, "--data", str(box.data))
        assert done.returncode == 0, done.stderr

        run = box.canary()

        assert {results(run)[name] for name in (*CONTENT, "sealed")} == {result}, run
        assert {results(run)[name] for name in ("recorded", "in-time", "ledger", "announcement")} == {"holds"}


def test_an_announcement_that_does_not_count_any_more_is_no_good_end(box: Box) -> None:
    retired = vittne("announcement", "retire", "welcome", "--data", str(box.data))
    assert retired.returncode == 0, retired.stderr

    run = box.canary()

    assert results(run)["announcement"] == "fails"
    assert {results(run)[name] for name in CONTENT} == {"holds"}
