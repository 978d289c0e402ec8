"""The call that `make run` places: Wireshark reads it, and the recorder records it."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from rig.namespaces import NoRoom, Room, building

from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.testcall import (
    CALL_S,
    CALLEE,
    CALLER,
    Dialog,
    explanation,
    finished_call,
)
from vittne.appliance.testphone import CallFailed, UserAgent
from vittne.appliance.testvoice import Voice, speech
from vittne.capture.pipeline import Settings
from vittne.codecs.g711 import A_LAW

SECONDS: Final = 2.2
PACKETS: Final = 110
PLACE: Final = (
    f"import asyncio; from vittne.appliance.testcall import place_call; asyncio.run(place_call(seconds={SECONDS}))"
)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a capture of the loopback interface of a room in which a test call was placed."""
    path = tmp_path_factory.mktemp("call") / "call.pcapng"
    with building() as house:
        try:
            room = house.room("loopback")
        except NoRoom as error:
            pytest.skip(f"no network namespaces for this user here: {error}")
        with room.process("dumpcap", "-q", "-i", "lo", "-w", str(path), stderr=subprocess.PIPE) as dumpcap:
            wait_until_it_captures(dumpcap)
            assert room.run(*room.python("-c", PLACE)).returncode == 0
            wait_until_nothing_is_held_back(room)
    return path


def wait_until_it_captures(dumpcap: subprocess.Popen[bytes]) -> None:
    assert dumpcap.stderr is not None
    for line in dumpcap.stderr:
        if line.startswith(b"File:"):
            return
    raise AssertionError("dumpcap ended before it began")


def wait_until_nothing_is_held_back(room: Room) -> None:
    """The kernel hands a block over when it is full or has waited: longer than that."""
    room.run("sleep", "1.5")


def tshark(path: Path, shown: str, *fields: str) -> list[list[str]]:
    names = [word for field in fields for word in ("-e", field)]
    command = ["tshark", "-n", "-r", str(path), "-Y", shown, "-T", "fields", "-E", "occurrence=f", *names]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_signalling_is_a_whole_call(capture: Path) -> None:
    messages = tshark(capture, "sip", "sip.Method", "sip.Status-Code", "sip.from.user", "sip.to.user")

    assert [method or status for method, status, *_ in messages] == ["INVITE", "100", "180", "200", "ACK", "BYE", "200"]
    assert {(caller, callee) for _, _, caller, callee in messages} == {(CALLER, CALLEE)}


def test_the_dissectors_find_no_fault(capture: Path) -> None:
    warning = 0x600000  # Wireshark's PI_WARN; errors are above it

    assert tshark(capture, f"_ws.malformed || _ws.expert.severity >= {warning}", "frame.number") == []


def test_both_voices_arrive_whole_where_the_sdp_said(capture: Path) -> None:
    heard = defaultdict(list)
    for ssrc, sequence, marker, payload in tshark(capture, "rtp", "rtp.ssrc", "rtp.seq", "rtp.marker", "rtp.payload"):
        heard[ssrc].append((int(sequence), marker, bytes.fromhex(payload)))

    clips = {b"".join(payload for _, _, payload in packets) for packets in heard.values()}
    assert clips == {speech("caller")[: PACKETS * 160], speech("callee")[: PACKETS * 160]}
    for packets in heard.values():
        first = packets[0][0]
        assert [number for number, _, _ in packets] == [(first + n) & 0xFFFF for n in range(PACKETS)]
        assert [marker in {"1", "True"} for _, marker, _ in packets] == [True] + [False] * (PACKETS - 1)


def test_sender_reports_count_what_was_sent(capture: Path) -> None:
    reports = tshark(capture, "rtcp", "rtcp.senderssrc", "rtcp.sender.packetcount", "rtcp.sender.octetcount")

    counts = [(int(packets), int(octets)) for _, packets, octets in reports]
    assert sorted(counts) == [(100, 16_000)] * 2 + [(PACKETS, PACKETS * 160)] * 2


def test_the_recorder_records_it(capture: Path, tmp_path: Path) -> None:
    registrar = Registrar(tmp_path)
    summary = FileRun(registrar, Settings()).run([str(capture)], "0")
    registrar.close()

    assert dict(summary.outcomes) == {"recorded": 1}
    ((call_id,),) = set(map(tuple, tshark(capture, "sip.Method == INVITE", "sip.Call-ID")))
    call = finished_call(tmp_path, call_id)
    assert call is not None
    assert sorted((stream.party, stream.packets) for stream in call.streams) == [
        ("callee", PACKETS),
        ("caller", PACKETS),
    ]
    said = "\n".join(explanation(call, tmp_path))
    for command in ("list", "verify", "export", "play"):
        assert f"vittne {command}" in said
    assert f"verify {call.id} --data {tmp_path}" in said


def test_there_is_no_finished_call_before_there_is_a_catalogue(tmp_path: Path) -> None:
    assert finished_call(tmp_path, "nobody@127.0.0.1") is None


def test_the_two_talk_in_turn_and_are_well_heard() -> None:
    for party, begin, end in (("caller", 0.1, 2.3), ("callee", 2.3, 4.2)):
        samples = A_LAW[np.frombuffer(speech(party), np.uint8)].astype(np.float64)
        assert len(samples) == CALL_S * 8000
        talking = slice(int(begin * 8000), int(end * 8000))
        assert np.sqrt(np.mean(samples[talking] ** 2)) > 1000
        assert np.abs(np.delete(samples, talking)).max() < 200


def test_a_long_call_repeats_the_clip_and_its_numbers_wrap() -> None:
    voice = Voice("caller", "a@127.0.0.1")
    packets = [voice.packet() for _ in range(70_000)]

    assert {len(packet) for packet in packets} == {172}
    numbers = [int.from_bytes(packet[2:4]) for packet in packets]
    assert all((after - before) & 0xFFFF == 1 for before, after in itertools.pairwise(numbers))
    assert [packet[12:] for packet in packets[:210]] == [packet[12:] for packet in packets[210:420]]


def test_a_message_that_was_not_due_fails_the_call_by_name() -> None:
    async def confuse() -> None:
        caller, callee = UserAgent(CALLER, "caller", "127.0.0.1"), UserAgent(CALLEE, "callee", "127.0.0.1")
        try:
            await caller.open()
            await callee.open()
            Dialog(caller, callee).request("INVITE", 1, caller.session())
            await callee.hear("BYE")
        finally:
            caller.close()
            callee.close()

    with pytest.raises(CallFailed, match="instead of BYE came INVITE"):
        asyncio.run(confuse())


def test_agents_that_were_never_opened_can_be_closed() -> None:
    UserAgent(CALLER, "caller", "127.0.0.1").close()
