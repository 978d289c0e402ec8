"""The builders themselves: what they write must be right in another program's eyes."""

from __future__ import annotations

import base64
import subprocess
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from builders import Frame, Scenario, StreamTruth, pcap, pcapng, voice_of, write_pcap
from building.encapsulation import WRAPPERS
from building.formats import CODECS, g711, payloads
from building.frames import udp_frame
from pylibsrtp import Policy, Session
from scenarios.basic import basic_call, many_calls
from scenarios.catalogue import ALL
from scenarios.network import clocks_drift, lossy, mirror_duplicates

APART_NS = 1000 * 10**9  # between two scenarios in one file
CHECKS = ["-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]


def tshark(path: Path, shown: str, *fields: str) -> list[list[str]]:
    """Rows of fields of the packets that a display filter shows."""
    options = ["-n", "-o", "tcp.reassemble_out_of_order:TRUE", "--enable-heuristic", "rtp_udp", *CHECKS]
    command = ["tshark", "-r", str(path), *options, "-Y", shown, "-T", "fields", "-E", "occurrence=l"]
    for field in fields:
        command += ["-e", field]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return [line.split("\t") for line in result.stdout.splitlines()]


def streams(scenario: Scenario) -> list[StreamTruth]:
    return [stream for call in scenario.truth.calls for stream in call.streams] + scenario.truth.strays


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Scenario]]:
    """All scenarios one after the other in one file, but for the one that shows everything twice.

    Encrypted ones come last: tshark goes on taking their ports for SRTP.
    """
    names = sorted(ALL, key=lambda name: "srtp" in name)
    scenarios = {name: ALL[name]() for name in names if name != "mirror_duplicates"}
    frames: list[Frame] = []
    for number, scenario in enumerate(scenarios.values()):
        frames += [(at_ns + number * APART_NS, frame) for at_ns, frame in scenario.frames()]
    return write_pcap(tmp_path_factory.mktemp("all") / "all.pcap", frames), scenarios


def test_tshark_finds_no_scenario_malformed(everything: tuple[Path, dict[str, Scenario]]) -> None:
    path, _ = everything

    wrong = tshark(path, "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0", "frame.number")

    assert wrong == []


def test_tshark_counts_the_rtp_packets_that_the_truth_counts(everything: tuple[Path, dict[str, Scenario]]) -> None:
    path, scenarios = everything
    expected: Counter[tuple[int, int]] = Counter()
    for scenario in scenarios.values():
        for stream in streams(scenario):
            expected[stream.ssrc, int(stream.destination.rpartition(":")[2])] += len(stream.arrivals)

    seen = Counter((int(ssrc, 16), int(port)) for ssrc, port in tshark(path, "rtp.ssrc", "rtp.ssrc", "udp.dstport"))

    assert seen == expected


def test_tshark_finds_the_call_ids_and_the_byes_of_the_truth(everything: tuple[Path, dict[str, Scenario]]) -> None:
    path, scenarios = everything
    calls = [call for scenario in scenarios.values() for call in scenario.truth.calls]

    byes = {row[0] for row in tshark(path, 'sip.Method == "BYE"', "sip.Call-ID")}

    assert byes == {call_id for call in calls if call.end_reason == "bye" for call_id in call.call_ids}


@pytest.mark.parametrize("name", ALL)
def test_a_scenario_is_the_same_each_time_and_in_order(name: str) -> None:
    first, second = ALL[name]().frames(), ALL[name]().frames()

    assert first == second
    assert [at for at, _ in first] == sorted(at for at, _ in first)


def test_every_wrapper_shows_tshark_the_same_call(tmp_path: Path) -> None:
    scenario = basic_call(0.2)
    link_types = [link_type for _, link_type in WRAPPERS.values()]
    frames = [
        (at_ns, wrap(frame), number)
        for number, (wrap, _) in enumerate(WRAPPERS.values())
        for at_ns, frame in scenario.frames()
    ]
    path = tmp_path / "wrapped.pcapng"
    path.write_bytes(pcapng(frames, link_types=link_types, resolutions=[9] * len(link_types)))

    wrong = tshark(path, "_ws.malformed", "frame.interface_id")
    seen = tshark(path, "sip or rtp", "frame.interface_id", "sip.CSeq.method", "rtp.seq")

    expected = [row[1:] for row in seen if row[0] == "0"]
    assert wrong == []
    assert len(expected) == len(scenario.frames()) - 2  # reports
    for number, name in enumerate(WRAPPERS):
        assert [row[1:] for row in seen if row[0] == str(number)] == expected, name


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [True, False])
def test_tshark_reads_every_kind_of_pcap(tmp_path: Path, byte_order: str, nanoseconds: bool) -> None:
    at_ns = 1_767_225_600_123_456_789
    frame = udp_frame("10.0.0.1", 1000, "10.0.0.2", 2000, bytes(100))
    path = tmp_path / "one.pcap"

    path.write_bytes(pcap([(at_ns, frame)], byte_order=byte_order, nanoseconds=nanoseconds, snaplen=80))

    ((seconds, size, there),) = tshark(path, "frame", "frame.time_epoch", "frame.len", "frame.cap_len")
    assert seconds == ("1767225600.123456789" if nanoseconds else "1767225600.123456000")
    assert (int(size), int(there)) == (len(frame), 80)


@pytest.mark.parametrize(("law", "decoder"), [("u", "pcm_mulaw"), ("a", "pcm_alaw")])
def test_g711_is_the_nearest_of_the_values_that_ffmpeg_decodes(law: str, decoder: str) -> None:
    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8000, "mono"
    (frame,) = context.decode(av.Packet(bytes(range(256))))
    values = frame.to_ndarray().reshape(-1).astype(np.int64)
    samples = np.arange(-32768, 32768)

    error = np.abs(values[g711(law)] - samples)

    assert (error == np.abs(values[None, :] - samples[::7, None]).min(axis=1).repeat(7)[: len(error)])[::7].all()


@pytest.mark.parametrize(("codec", "decoder"), [("G722", "g722"), ("opus", "libopus"), ("PCMA", "pcm_alaw")])
def test_what_is_sent_is_the_voice_of_the_party(codec: str, decoder: str) -> None:
    chosen = CODECS[codec]
    voice = voice_of("alice", 1.0, chosen.audio_rate)
    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = chosen.audio_rate, "stereo" if chosen.channels == 2 else "mono"

    sent = payloads(chosen, voice, 20)

    frames = [frame for payload in sent for frame in context.decode(av.Packet(payload))]
    heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])[:: chosen.channels].astype(float)
    assert len(sent) == 50
    shift = int(np.argmax(np.correlate(heard[:4000], voice[:2000].astype(float), "valid")))
    n = min(len(heard) - shift, len(voice))
    assert np.corrcoef(heard[shift : shift + n], voice[:n])[0, 1] > 0.95


def test_truth_counts_loss_reordering_and_duplicates() -> None:
    call = lossy().truth.calls[0]

    (caller,), (callee,) = call.of("caller"), call.of("callee")

    assert (caller.packets, caller.lost, caller.reordered, caller.duplicates) == (193, 7, 3, 2)
    assert (callee.packets, callee.lost, callee.reordered, callee.duplicates) == (200, 0, 0, 0)


@pytest.mark.parametrize("name", ["srtp_sdes_80", "srtp_sdes_32"])
def test_srtp_opens_with_the_key_in_the_sdp(name: str) -> None:
    scenario = ALL[name]()
    frames = [frame for _, frame in scenario.frames()]
    body = next(frame for frame in frames if b"INVITE sip:" in frame)
    suite, key = body.partition(b"a=crypto:1 ")[2].split(b"\r\n")[0].split(b" inline:")
    profiles = {b"80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80, b"32": Policy.SRTP_PROFILE_AES128_CM_SHA1_32}
    policy = Policy(base64.b64decode(key), Policy.SSRC_ANY_INBOUND, srtp_profile=profiles[suite[-2:]])
    session = Session(policy)

    opened = [session.unprotect(frame[42:])[12:] for frame in frames if frame[34:36] == (40_000).to_bytes(2, "big")]

    assert opened == scenario.truth.calls[0].of("caller")[0].payloads


def test_a_mirror_duplicate_differs_in_the_headers_only() -> None:
    scenario = mirror_duplicates()

    frames = scenario.frames()

    assert scenario.truth.mirror_duplicates * 2 == len(frames)
    assert len({frame for _, frame in frames}) == len(frames)
    assert set(Counter(frame[34:] for _, frame in frames).values()) == {2}


def test_a_fast_clock_brings_its_last_packets_early() -> None:
    stream = clocks_drift().truth.calls[0].of("callee")[0]

    assert (stream.last_at_ns - stream.first_at_ns) / 1e9 == pytest.approx(399 * 0.02 * (1 - 300e-6), abs=1e-6)


def test_many_calls_are_told_apart_by_ports_and_ssrcs() -> None:
    calls = many_calls().truth.calls

    ends = {(stream.ssrc, stream.source, stream.destination) for call in calls for stream in call.streams}

    assert len(calls) == 50
    assert len(ends) == 100
