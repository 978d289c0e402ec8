"""Nothing that was to be left out is anywhere on the disk: not in a recording, a database, a journal, a log.

Calls in which a card is read aloud and keyed go over a real wire; pauses come late, in the middle the worker is
killed and media moves to other ports. Then every byte that was written is looked at, sealed parts decrypted.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from builders import Endpoint, Scenario, sdp
from rig.api import Api, api_of
from rig.live import Recorder, listed, recording, send_frames, vittne
from rig.namespaces import NoRoom, building
from rig.packets import sender_in
from rig.stored import stored_plain

from vittne.capture.columns import SECOND

pytestmark = pytest.mark.system

CARD = "4111111111111111"
SECRET_S = (8.0, 12.0)  # when the card is read aloud
RESUMED_S = 12.3
LATE_S = (0.3, 1.5, 3.0)  # how long after the first word each pause is asked for
GUARD_S = 0.5


@dataclass
class Told:
    """A call, and what of it must be nowhere."""

    call_id: str
    late_s: float
    resumed_s: float = 0.0  # after the first packet, when its resume was answered
    secret: set[bytes] = field(default_factory=set)  # whole RTP packets
    ssrcs: set[bytes] = field(default_factory=set)


def card_calls() -> tuple[Scenario, list[Told]]:
    """A call for each lateness. In all of them media moves while the card is read."""
    scenario = Scenario("cards")
    told = []
    for number, late_s in enumerate(LATE_S):
        alice = scenario.endpoint("alice", f"10.7.0.{10 + number}", 40_000, f"10{number}")
        bob = scenario.endpoint("bob", f"10.7.1.{10 + number}", 50_000, f"20{number}")
        dialog = scenario.dialog(alice, bob)
        dialog.set_up(0.0)
        there, back = scenario.talk(dialog.call, alice, bob, 1.0, SECRET_S[0] - 1.0)
        middle = sum(SECRET_S) / 2
        there, back = (
            scenario.voice(*way, SECRET_S[0], middle - SECRET_S[0], call=dialog.call, after=after, sound_of="card")
            for way, after in (((alice, bob), there), ((bob, alice), back))
        )
        moved = alice.moved(41_000 + number)
        offer, answer = sdp(moved.ip, moved.rtp_port, version=2), sdp(bob.ip, bob.rtp_port, version=2)
        dialog.exchange(middle - 0.05, "INVITE", body=offer, answer=answer)
        media = Endpoint("alice", moved.ip, alice.user, moved.rtp_port)
        ways = ((media, bob), there), ((bob, media), back)
        there, back = (
            scenario.voice(*way, middle, SECRET_S[1] - middle, call=dialog.call, after=after, sound_of="card")
            for way, after in ways
        )
        for (sender, receiver), after in (((media, bob), there), ((bob, media), back)):
            scenario.voice(sender, receiver, SECRET_S[1], 6.0, call=dialog.call, after=after)
        dialog.bye(SECRET_S[1] + 6.5)
        told.append(Told(dialog.call.call_ids[0], late_s))
    begin = scenario.frames()[0][0]
    for at_ns, frame in scenario.frames():
        if frame[23] == 17 and frame[42] & 0xC0 == 0x80 and len(frame) == 214:
            one = told[(frame[29] if frame[28] == 0 else frame[33]) - 10]
            one.ssrcs.add(frame[50:54])
            if SECRET_S[0] <= (at_ns - begin) / SECOND < SECRET_S[1]:
                one.secret.add(frame[42:])
    return scenario, told


def keyed_call(scenario: Scenario) -> str:
    """Add a call with the card's number by RFC 4733 events, and again by SIP INFO; return its Call-ID."""
    alice = scenario.endpoint("alice", "10.7.2.10", 42_000, "109")
    bob = scenario.endpoint("bob", "10.7.2.11", 52_000, "209")
    dialog = scenario.dialog(alice, bob)
    dialog.set_up(0.0)
    presses = [(2.0 + 0.3 * i, key) for i, key in enumerate(CARD)]
    scenario.voice(alice, bob, 1.0, 16.0, call=dialog.call, keys=presses)
    scenario.voice(bob, alice, 1.0, 16.0, call=dialog.call)
    for i, key in enumerate(CARD):
        body = f"Signal={key}\r\nDuration=160\r\n".encode()
        dialog.exchange(8.0 + 0.3 * i, "INFO", body=body, content_type="application/dtmf-relay")
    dialog.bye(18.0)
    return dialog.call.call_ids[0]


def bytes_written(*folders: Path) -> dict[Path, bytes]:
    """Every file in folders, whatever it is."""
    return {
        Path(where) / name: (Path(where) / name).read_bytes()
        for folder in folders
        for where, _, names in os.walk(folder)
        for name in names
        if (Path(where) / name).is_file()
    }


@dataclass
class Written:
    """What a recorder left behind."""

    data: Path
    log: str
    files: dict[Path, bytes]
    told: list[Told]
    keyed: str  # Call-ID
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """All calls at once, the worker killed behind every pause and behind the resume."""
    folder = tmp_path_factory.mktemp("cards")
    scenario, told = card_calls()
    keyed = keyed_call(scenario)
    data, temporary = folder / "data", folder / "temporary"
    temporary.mkdir()
    with building() as house:
        try:
            recorder_room = house.room("recorder")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        phones = house.room("phones")
        house.cable(phones, "voices", recorder_room, "mirror")
        sender = sender_in(phones, "voices")
        os.environ["TMPDIR"] = str(temporary)
        try:
            with recording(recorder_room, data, "--interface", "mirror", "--hold-back", "5") as recorder:
                place_and_pause(recorder, api_of(recorder_room, data), sender, scenario, told)
                recorder.stop()
        finally:
            del os.environ["TMPDIR"]
    log = recorder.log.read_text()
    calls = {call["call_ids"][0]: call for call in listed(data)}
    files = bytes_written(data, temporary) | {recorder.log: log.encode()}
    return Written(data, log, files, told, keyed, calls)


def place_and_pause(recorder: Recorder, api: Api, sender: socket.socket, scenario: Scenario, told: list[Told]) -> None:
    playing = threading.Thread(target=send_frames, args=(sender, scenario.frames()))
    begin = time.monotonic()
    playing.start()
    pauses = {}
    for one in told:
        wait_until(begin + SECRET_S[0] + one.late_s)
        select = {"sip_call_id": one.call_id}
        late_s = time.monotonic() - begin - SECRET_S[0]  # the request before may have taken its time
        status, found = api.post("pauses", {"select": select, "lookback_s": late_s, "lease_s": 60})
        assert status == 201, found
        assert not found["incomplete"], found
        pauses[one.call_id] = found["id"]
        recorder.kill_worker()
    status, _ = api.post("pauses", {"select": {"sip_call_id": "no-such-call"}})
    assert status == 404
    wait_until(begin + RESUMED_S)
    for one in told:
        status, found = api.post(f"pauses/{pauses[one.call_id]}/resume", {})
        assert (status, found["state"]) == (200, "ended")
        one.resumed_s = time.monotonic() - begin
    recorder.kill_worker()
    playing.join()
    time.sleep(10)


def test_a_card_that_is_read_is_nowhere_however_late_the_pause_and_whatever_happens(written: Written) -> None:
    assert set(written.calls) == {written.keyed, *(one.call_id for one in written.told)}
    for one in written.told:
        call = written.calls[one.call_id]
        plain = stored_plain(written.data, call)
        assert one.secret
        leaked = [packet for packet in one.secret if packet in plain]
        assert not leaked, f"{len(leaked)} of {len(one.secret)} packets"
        kept = sum(stream["stored"] for stream in call["streams"])
        # 7 s before the card and all behind the resume, two voices, less the guards and how long a voice moves.
        behind_s = SECRET_S[1] + 6.0 - one.resumed_s
        assert kept >= 2 * 50 * (7.0 + behind_s - 2 * GUARD_S - 1.2), call["streams"]
        assert kept + sum(sum(s["dropped"].values()) for s in call["streams"]) == 2 * 50 * 17
    pieces = {packet[12:44] for one in written.told for packet in one.secret}
    for path, content in written.files.items():
        for piece in itertools.islice(pieces, 200):
            assert piece not in content, path
    assert vittne("verify", "--all", "--data", str(written.data)).returncode == 0


def test_a_card_that_is_keyed_is_nowhere(written: Written) -> None:
    call = written.calls[written.keyed]
    plain = stored_plain(written.data, call)

    assert b"Signal=*" in plain
    assert not re.search(rb"Signal=[0-9]", plain)
    assert not [s for s in call["streams"] if not s["dropped"].get("digits") and s["party"] == "caller"]
    assert call["details"]["digits"] == len(CARD)
    assert call["details"]["pauses"], "sixteen digits are a card"
    for path, content in written.files.items():
        assert CARD.encode() not in content, path
    assert CARD.encode() not in plain
    assert CARD not in written.log


def wait_until(mono_s: float) -> None:
    time.sleep(max(0.0, mono_s - time.monotonic()))
