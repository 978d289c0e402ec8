"""Rules and gates on a real wire, with a worker that is killed: what may not be stored is not on the disk."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ledgers
import pytest
from builders import Scenario
from rig.api import Api, api_of
from rig.live import Recorder, listed, recording, send_frames, vittne
from rig.namespaces import NoRoom, building
from rig.packets import sender_in
from rig.stored import stored_payloads, stored_plain

pytestmark = pytest.mark.system

TALK_S = 16.0
AGREED_S, KILLED_S, LATER_S = 6.0, 8.5, 11.0  # when 301 agrees; the worker dies; 303 objects, and 305 agrees
KEYED_S = 7.7  # when 306 objects by a key, within the second in which the worker dies
RULES = """
hold_back_s = 2
[site]
name = "hamburg"
[[record]]
name = "works council"
callees = ["304"]
then = "exclude"
[[record]]
name = "may object"
callees = ["303"]
gate = "discard-on-objection"
[[record]]
name = "may object by key"
callees = ["306"]
gate = "discard-on-objection"
refuse_key = "2"
[[record]]
name = "ask first"
callees = ["300..309"]
gate = "after-consent"
[[retention]]
name = "rest"
class = "gdpr-90d"
"""


def calls() -> tuple[Scenario, dict[str, str]]:
    """Calls to 301 to 306 at once; their Call-IDs by callee."""
    scenario, ids = Scenario("gated"), {}
    for number in range(1, 7):
        alice = scenario.endpoint("alice", f"10.7.0.{10 + number}", 40_000, f"10{number}")
        bob = scenario.endpoint("bob", f"10.7.1.{10 + number}", 50_000, f"30{number}")
        dialog = scenario.dialog(alice, bob)
        dialog.set_up(0.0)
        keys = [(KEYED_S - 1.0, "2")] if number == 6 else []
        scenario.voice(alice, bob, 1.0, TALK_S, call=dialog.call, keys=keys)
        scenario.voice(bob, alice, 1.007, TALK_S, call=dialog.call)
        dialog.bye(TALK_S + 1.1)
        ids[bob.user] = dialog.call.call_ids[0]
    return scenario, ids


def decide(api: Api, call_id: str, decision: str) -> None:
    status, found = api.get(f"calls?sip_call_id={call_id}")
    assert status == 200, found
    (call,) = found["calls"]
    status, found = api.post(f"calls/{call['recording']}/consent", {"decision": decision})
    assert (status, found["decision"]) == (200, decision), found


Step = tuple[float, Callable[[], None]]


def play(recorder: Recorder, api: Api, sender: socket.socket, scenario: Scenario, ids: dict[str, str]) -> None:
    playing = threading.Thread(target=send_frames, args=(sender, scenario.frames()))
    begin = time.monotonic()
    playing.start()
    steps: tuple[Step, ...] = (
        (AGREED_S, lambda: decide(api, ids["301"], "agreed")),
        (KILLED_S, recorder.kill_worker),
        (LATER_S, lambda: decide(api, ids["303"], "refused")),
        (LATER_S, lambda: decide(api, ids["305"], "agreed")),
    )
    for after_s, do in steps:
        time.sleep(max(0.0, begin + after_s - time.monotonic()))
        do()
    playing.join()
    time.sleep(6)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, Any]], Scenario]:
    """The data directory, the calls by callee, and what was on the wire."""
    folder = tmp_path_factory.mktemp("gates")
    (folder / "vittne.toml").write_text(RULES)
    data, (scenario, ids) = folder / "data", calls()
    with building() as house:
        try:
            room = house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        phones = house.room("phones")
        house.cable(phones, "voices", room, "mirror")
        sender = sender_in(phones, "voices")
        with recording(room, data, "--interface", "mirror", "--config", str(folder / "vittne.toml")) as recorder:
            play(recorder, api_of(room, data), sender, scenario, ids)
            recorder.stop()
    found = {call["call_ids"][0]: call for call in listed(data)}
    return data, {callee: found[call_id] for callee, call_id in ids.items()}, scenario


def test_each_call_ends_as_its_rule_and_its_caller_said(
    done: tuple[Path, dict[str, dict[str, Any]], Scenario],
) -> None:
    data, found, _ = done

    assert {callee: (call["outcome"], call["outcome_reasons"]) for callee, call in found.items()} == {
        "301": ("recorded", []),
        "302": ("discarded-by-policy", ["not-opened"]),
        "303": ("discarded-by-policy", ["refused"]),
        "304": ("excluded-by-rule", ["works council"]),
        "305": ("partial", ["gate-lost"]),
        "306": ("discarded-by-policy", ["refused"]),
    }
    assert {callee for callee, call in found.items() if call["retention_class"] == "gdpr-90d"} == {"301", "305"}
    assert {call["site"] for call in found.values()} == {"hamburg"}
    folders = {path.name for path in (data / "recordings").glob("*/*/*/*")}
    assert folders == {found["301"]["id"], found["305"]["id"]}
    verified = vittne("verify", "--all", "--data", str(data))
    assert verified.returncode == 0, verified.stdout


def test_who_agreed_is_recorded_from_the_first_word_over_the_death_of_the_worker(
    done: tuple[Path, dict[str, dict[str, Any]], Scenario],
) -> None:
    data, found, _ = done

    packets = [len(payloads) for payloads in stored_payloads(data, found["301"]).values()]

    assert packets == [round(TALK_S * 50)] * 2


def test_bytes_of_what_was_not_agreed_to_are_nowhere(
    done: tuple[Path, dict[str, dict[str, Any]], Scenario],
) -> None:
    data, found, scenario = done
    stored = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    stored += b"".join(stored_plain(data, found[callee]) for callee in ("301", "305"))
    unwanted = {
        frame[42:86]  # with its RTP header: all calls say the same words
        for _, frame in scenario.frames()
        if len(frame) == 214 and {frame[29], frame[33]} & {12, 13, 14, 16}  # 302, 303, 304, 306
    }

    assert len(unwanted) > 1000
    assert not [piece for piece in unwanted if piece in stored]


def test_decisions_are_in_the_ledger(done: tuple[Path, dict[str, dict[str, Any]], Scenario]) -> None:
    data, found, _ = done
    entries = b"\n".join(ledgers.lines(data))

    assert entries.count(b'"t":"gate"') == 4
    assert entries.count(b'"t":"rec.discard"') == 2
    refused = {one["rec"]: one["by"] for one in ledgers.entries(data) if one.get("decision") == "refused"}
    assert refused[found["306"]["id"]] == "may object by key", "a key, before anything else of it was written"
    assert found["303"]["id"].encode() in entries
