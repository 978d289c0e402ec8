"""The frames of a canary call, read by others: scapy's dissectors, and our own pipeline."""

from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Dot1Q, Ether

from vittne.appliance.canary.content import decoded
from vittne.appliance.canary.frames import End, checksum, frame
from vittne.appliance.canary.mark import HEADER
from vittne.appliance.canary.script import PACKET_NS, Script, Wanted, encoded, write_script
from vittne.appliance.testvoice import speech
from vittne.capture.sip.message import Message, parse
from vittne.codecs.g711 import A_LAW, MU_LAW

MARK = "m" * 32
HERE = End(bytes.fromhex("020000000001"), "192.0.2.10", 5060)
THERE = End(bytes.fromhex("020000000002"), "198.51.100.10", 5062)


def written(**more: object) -> Script:
    values: dict[str, object] = {"mark": MARK, "codec": "pcma", "talk_s": 1.0, **more}
    return write_script(Wanted(**values), "run")  # type: ignore[arg-type]


def test_an_odd_byte_is_summed_with_a_zero_behind_it() -> None:
    assert checksum(b"\x12") == 0xFFFF ^ 0x1200


@pytest.mark.parametrize("payload", [b"", b"x", b"sixteen bytes!!!", bytes(1400)])
@pytest.mark.parametrize("vlan", [None, 1, 4094])
def test_scapy_reads_a_frame_as_it_was_meant(payload: bytes, vlan: int | None) -> None:
    made = frame(HERE, THERE, payload, number=70_000, vlan=vlan)

    read = Ether(made)

    assert (read.src, read.dst) == ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert (read[Dot1Q].vlan if vlan else None) == vlan
    assert (read[IP].src, read[IP].dst, read[IP].id) == ("192.0.2.10", "198.51.100.10", 70_000 & 0xFFFF)
    assert (read[UDP].sport, read[UDP].dport, bytes(read[UDP].payload)) == (5060, 5062, payload)
    told = read[IP].chksum, read[UDP].chksum
    del read[IP].chksum, read[UDP].chksum
    again = Ether(read.build())
    assert (again[IP].chksum, again[UDP].chksum) == told


def test_nobody_has_its_addresses_and_every_request_has_the_mark() -> None:
    script = written()

    frames = [Ether(step.frame) for step in script.steps]
    assert {one[IP].src for one in frames} == {"192.0.2.10", "198.51.100.10"}
    assert all(int(one.src[:2], 16) & 0x03 == 0x02 for one in frames), "given locally, to one station"
    messages = [parse(bytes(Ether(step.frame)[UDP].payload)) for step in script.steps if step.voice < 0]
    assert all(isinstance(one, Message) for one in messages)
    said = [one for one in messages if isinstance(one, Message)]
    assert [one.method if one.is_request else one.status for one in said] == [
        *("INVITE", 100, 180, 200, "ACK", "BYE", 200)
    ]
    assert {one.get(HEADER) for one in said if one.is_request} == {MARK}
    assert {one.call_id for one in said} == {script.sent.call_id}


def test_no_two_calls_are_alike() -> None:
    one, other = written(), written()

    assert one.sent.call_id != other.sent.call_id
    assert {stream.ssrc for stream in one.sent.streams}.isdisjoint(stream.ssrc for stream in other.sent.streams)


@pytest.mark.parametrize("codec", ["pcma", "pcmu"])
def test_voices_are_sent_every_20_ms_and_say_the_clip(codec: str) -> None:
    script = written(codec=codec, talk_s=4.0)

    for which, voice in enumerate(script.voices):
        times = [step.after_ns for step in script.steps if step.voice == which]
        assert set(np.diff(times).tolist()) == {PACKET_NS}
        clip = A_LAW[np.frombuffer(speech(voice.party), np.uint8)]
        heard = decoded(b"".join(voice.payloads), codec)
        size = min(len(clip), len(heard))
        assert np.corrcoef(clip[:size], heard[:size])[0, 1] > 0.99


@pytest.mark.parametrize(("codec", "table"), [("pcma", A_LAW), ("pcmu", MU_LAW)])
def test_encoding_takes_the_nearest_value(codec: str, table: np.ndarray) -> None:
    samples = np.arange(-32768, 32768, 7).astype(np.int16)

    chosen = table[np.frombuffer(encoded(samples, codec), np.uint8)].astype(int)

    nearest = np.abs(samples.astype(int)[:, None] - table.astype(int)[None, :]).min(axis=1)
    assert np.array_equal(np.abs(samples.astype(int) - chosen), nearest)


def test_the_announcement_is_what_the_called_one_says_first_while_the_other_is_silent() -> None:
    prompt = (np.sin(np.arange(8000) / 3) * 9000).astype(np.int16)

    script = written(announcement=prompt)

    caller, callee = (decoded(b"".join(voice.payloads), "pcma") for voice in script.voices)
    begin = script.announced_packet * 160
    assert np.corrcoef(callee[begin : begin + 8000], prompt)[0, 1] > 0.99
    assert np.abs(caller[: begin + 8000]).max() <= 8
