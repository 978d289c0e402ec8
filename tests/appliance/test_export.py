"""Exports: what other programs hear and see in them is what was sent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import Scenario
from hypothesis import given
from hypothesis import strategies as st
from recordings import Recorded, correlation, samples_of
from running import running
from scenarios import basic, network

from vittne.appliance.frames import Ends, Framer, checksum, place, tcp_frame, udp_frame
from vittne.appliance.opened import open_recording
from vittne.appliance.outfile import whole_file
from vittne.appliance.seal import records
from vittne.appliance.store.errors import StoreError
from vittne.capture.columns import SECOND

Vittne = Callable[..., tuple[int, str, str]]
Record = Callable[[Scenario], Recorded]
LENGTH_S = 3.05  # of the plain call


def exported(vittne: Vittne, found: Recorded, target: Path, *more: object) -> Path:
    kind = target.suffix[1:]
    status, _, error = vittne("export", found.call.id, "--data", found.data, "--format", kind, "-o", target, *more)
    assert status == 0, error
    return target


@pytest.mark.parametrize("kind", ["wav", "flac", "opus", "mp3"])
def test_each_party_is_heard_on_its_own_channel(plain: Recorded, vittne: Vittne, tmp_path: Path, kind: str) -> None:
    stereo, rate = samples_of(exported(vittne, plain, tmp_path / f"call.{kind}"))

    exact = kind in ("wav", "flac")
    assert abs(len(stereo) / rate - LENGTH_S) < (0.02 if exact else 0.25)
    (call,) = plain.scenario.truth.calls
    assert call.answered_at_ns is not None
    for party, side in (("caller", 0), ("callee", 1)):
        (sound,) = call.of(party)[0].sounds
        start = (sound.at_ns - call.answered_at_ns) * rate // SECOND
        heard = stereo[start : start + 2 * rate, side]
        tone = np.fft.rfft(heard * np.hanning(len(heard)))
        spoken = np.fft.rfft(sound.samples[: 2 * sound.rate] * np.hanning(2 * sound.rate))
        assert abs(int(np.abs(tone).argmax()) - int(np.abs(spoken).argmax())) <= 2
        if exact:
            assert correlation(heard, sound.samples[: len(heard)]) > 0.98


def test_the_samples_are_those_that_ffmpeg_decodes_from_the_payloads(
    plain: Recorded, vittne: Vittne, tmp_path: Path
) -> None:
    stereo, _ = samples_of(exported(vittne, plain, tmp_path / "call.wav"))

    (call,) = plain.scenario.truth.calls
    for party, side in (("caller", 0), ("callee", 1)):
        expected = by_ffmpeg(b"".join(call.of(party)[0].payloads), "mulaw", "8000")
        at = first_match(stereo[:, side], expected)
        assert np.array_equal(stereo[at : at + len(expected), side], expected)


def test_g722_is_decoded_as_by_ffmpeg(recorded: Record, vittne: Vittne, tmp_path: Path) -> None:
    found = recorded(network.wideband("G722"))

    stereo, rate = samples_of(exported(vittne, found, tmp_path / "call.wav"))

    assert rate == 16_000
    expected = by_ffmpeg(b"".join(found.scenario.truth.calls[0].of("caller")[0].payloads), "g722", "16000")
    at = first_match(stereo[:, 0], expected)
    assert np.array_equal(stereo[at : at + len(expected), 0], expected)


def by_ffmpeg(payload: bytes, demuxer: str, rate: str) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    options = ["-ar", rate, "-ac", "1"] if demuxer == "mulaw" else []
    command = ["ffmpeg", "-v", "error", "-f", demuxer, *options, "-i", "-", "-f", "s16le", "-"]
    return np.frombuffer(subprocess.run(command, input=payload, capture_output=True, check=True).stdout, "<i2")


def first_match(
    heard: np.ndarray[tuple[int], np.dtype[np.int16]], expected: np.ndarray[tuple[int], np.dtype[np.int16]]
) -> int:
    """Return where the loudest stretch of what is expected is found, as an offset of its start."""
    loud = int(np.abs(expected[:-400].astype(int)).argmax())
    needle = expected[loud : loud + 200].tobytes()
    at = heard.tobytes().find(needle)
    assert at >= 0
    return at // 2 - loud


@pytest.mark.parametrize(("party", "sent_by"), [("caller", "caller"), ("callee", "callee")])
def test_one_party_is_one_channel_of_the_same_length(
    plain: Recorded, vittne: Vittne, tmp_path: Path, party: str, sent_by: str
) -> None:
    mono, rate = samples_of(exported(vittne, plain, tmp_path / "call.wav", "--party", party))

    assert mono.shape == (round(LENGTH_S * 8000), 1)
    assert rate == 8000
    (sound,) = plain.scenario.truth.calls[0].of(sent_by)[0].sounds
    answered = plain.scenario.truth.calls[0].answered_at_ns
    assert answered is not None
    start = (sound.at_ns - answered) * rate // SECOND
    assert correlation(mono[start : start + 8000, 0], sound.samples[:8000]) > 0.98


def test_matroska_holds_opus_as_it_was_spoken(recorded: Record, vittne: Vittne, tmp_path: Path) -> None:
    found = recorded(network.wideband())

    file = exported(vittne, found, tmp_path / "call.mka")

    shown = ["-show_entries", "stream=codec_name:packet=data_hash,stream_index", "-show_data_hash", "md5"]
    told = json.loads(
        subprocess.run(
            ["ffprobe", "-v", "error", "-of", "json", *shown, str(file)], capture_output=True, check=True
        ).stdout
    )
    assert [stream["codec_name"] for stream in told["streams"]] == ["opus", "opus"]
    sent = sum(len(stream.payloads) for stream in found.scenario.truth.calls[0].streams)
    assert len(told["packets"]) == sent


def test_matroska_of_other_codecs_is_lossless(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    mono, rate = samples_of(exported(vittne, plain, tmp_path / "call.mka"))

    assert rate == 8000
    assert abs(len(mono) / rate - LENGTH_S) < 0.02


def tshark(file: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-n", "-r", str(file), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def counts(found: Recorded) -> dict[str, int]:
    """Return how many packets of each kind are stored."""
    total = {"rtp": 0, "rtcp": 0, "sip": 0}
    with open_recording(found.data, found.call.folder, found.call.id) as recording:
        for _, _, rows in recording.read():
            for name, kind in (("rtp", records.RTP), ("rtcp", records.RTCP), ("sip", records.SIP)):
                total[name] += int((rows.type == kind).sum())
    return total


@pytest.mark.parametrize("name", ["plain", "tcp", "ipv6", "websocket"])
def test_wireshark_sees_the_packets_that_are_stored(
    plain: Recorded, recorded: Record, vittne: Vittne, tmp_path: Path, name: str
) -> None:
    scenarios: dict[str, Callable[[], Scenario]] = {
        "tcp": network.over_tcp,
        "ipv6": network.over_ipv6,
        "websocket": network.over_websocket,
    }
    found = plain if name == "plain" else recorded(scenarios[name]())

    file = exported(vittne, found, tmp_path / "call.pcap")

    stored = counts(found)
    protocols = [line.split("\t") for line in tshark(file, "-T", "fields", "-e", "frame.protocols", "-e", "ip.src")]
    seen: list[str] = [
        next(p for p in ("rtcp", "rtp", "sip", "?") if p in line[0].split(":") or p == "?") for line in protocols
    ]
    assert {kind: seen.count(kind) for kind in stored} == stored
    streams = [line for line in tshark(file, "-q", "-z", "rtp,streams") if "0x" in line]
    assert len(streams) == len(found.call.streams)
    for stream in found.call.streams:
        (line,) = [line for line in streams if f"0x{stream.ssrc:08X}" in line.upper().replace("0X", "0x")]
        assert f" {stream.stored} " in line
    wrong = ["-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE"]
    assert not tshark(file, *wrong, "-Y", "_ws.malformed or udp.checksum.status == 0 or tcp.checksum.status == 0")
    assert not tshark(file, *wrong, "-Y", "ip.checksum.status == 0 or tcp.analysis.retransmission")


def test_packets_keep_their_times_and_come_in_order(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    file = exported(vittne, plain, tmp_path / "call.pcap")

    times = [line.replace(".", "") for line in tshark(file, "-Y", "rtp", "-T", "fields", "-e", "frame.time_epoch")]
    sent = sorted(at for stream in plain.scenario.truth.calls[0].streams for at, _ in stream.arrivals)
    assert [int(at) for at in times] == sent


def test_srtp_stays_encrypted_in_the_packets(recorded: Record, vittne: Vittne, tmp_path: Path) -> None:
    found = recorded(basic.encrypted_with_keys())

    file = exported(vittne, found, tmp_path / "call.pcap")

    data = file.read_bytes()
    assert not any(payload in data for stream in found.scenario.truth.calls[0].streams for payload in stream.payloads)
    assert b"AAECAwQ" not in data
    assert b"inline:" not in data


def test_a_file_that_is_there_is_not_replaced_without_force(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    target = tmp_path / "call.wav"
    target.write_text("mine")

    status, _, error = vittne("export", plain.call.id, "--data", plain.data, "-o", target)

    assert status == 1
    assert "already a file" in error
    assert "--force" in error
    assert target.read_text() == "mine"
    exported(vittne, plain, target, "--force")
    assert target.read_bytes()[:4] == b"RIFF"
    assert [path.name for path in tmp_path.iterdir()] == ["call.wav"]


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    target = tmp_path / "half"

    def fail() -> None:
        with whole_file(str(target), force=False) as (stream, _):
            stream.write(b"half of it")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        fail()

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "call"

    def write() -> None:
        with whole_file(str(target), force=False) as (stream, _):
            stream.write(b"ours")
            target.write_text("somebody else's")

    with pytest.raises(StoreError, match="already a file"):
        write()

    assert target.read_text() == "somebody else's"
    assert list(tmp_path.iterdir()) == [target]


def test_an_export_is_for_its_owner_alone(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    target = exported(vittne, plain, tmp_path / "call.wav")

    assert target.stat().st_mode & 0o777 == 0o600


def test_a_call_that_goes_on_is_exported_so_far(recorded: Record, vittne: Vittne, tmp_path: Path) -> None:
    found = recorded(basic.basic_call())
    folder = found.data / found.call.folder
    folder.rename(folder.with_name(f".{folder.name}"))

    with running(found.data):
        status, _, error = vittne("export", found.call.id, "--data", found.data, "-o", tmp_path / "call.wav")

    assert status == 0
    assert "it goes on" in error
    assert abs(len(samples_of(tmp_path / "call.wav")[0]) / 8000 - LENGTH_S) < 0.02


def test_packets_of_one_party_alone_are_refused(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    wanted = ("--format", "pcap", "--party", "caller", "-o", tmp_path / "call.pcap")

    status, _, error = vittne("export", plain.call.id, "--data", plain.data, *wanted)

    assert status == 1
    assert "both parties" in error


def test_a_folder_that_is_not_there_is_told(plain: Recorded, vittne: Vittne, tmp_path: Path) -> None:
    status, _, error = vittne("export", plain.call.id, "--data", plain.data, "-o", tmp_path / "no" / "call.wav")

    assert status == 1
    assert error.count("\n") == 1
    assert "cannot write a file" in error


@pytest.mark.parametrize("kind", ["wav", "flac", "opus", "mka", "pcap"])
def test_standard_output_takes_an_export(plain: Recorded, kind: str) -> None:
    command = [sys.executable, "-m", "vittne.appliance", "export", plain.call.id, "--format", kind, "-o", "-"]
    environment = {**os.environ, "VITTNE_DATA": str(plain.data)}

    run = subprocess.run(command, capture_output=True, check=True, env=environment)

    if kind == "pcap":
        read = subprocess.run(["tshark", "-r", "-"], input=run.stdout, capture_output=True, check=True)
        assert read.stdout.count(b" RTP ") == sum(stream.stored for stream in plain.call.streams)
        return
    demuxer = {"mka": "matroska", "opus": "ogg"}.get(kind, kind)
    decode = ["ffmpeg", "-v", "error", "-f", demuxer, "-i", "-", "-ar", "8000", "-f", "s16le", "-ac", "1", "-"]
    told = subprocess.run(decode, input=run.stdout, capture_output=True, check=True)
    assert told.stderr == b""
    assert abs(len(told.stdout) / 16_000 - LENGTH_S) < 0.02


@given(st.binary(max_size=200))
def test_the_checksum_of_data_with_its_checksum_is_zero(data: bytes) -> None:
    even = data + b"\0" * (len(data) % 2)

    whole = even + checksum(even).to_bytes(2, "big")

    assert checksum(whole) in (0, 0xFFFF)
    assert checksum(even) == slowly(even)


def slowly(data: bytes) -> int:
    """RFC 1071, as it is written there."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at : at + 2], "big")
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.integers(0, 5), st.integers(0, 3), st.binary(max_size=300))
def test_any_record_becomes_a_frame_or_none(kind: int, stream: int, body: bytes) -> None:
    framer = Framer({1: Ends.of("10.0.0.1:5", "10.0.0.2:6"), 2: Ends.of("[::1]:5", "10.0.0.2:6")})

    frame = framer.frame(kind, stream, body)

    assert (frame is not None) == (kind in (records.RTP, records.RTCP, records.SIP))


def test_a_payload_too_large_for_ip_is_cut() -> None:
    ends = Ends.of("[2001:db8::1]:5060", "[2001:db8::2]:5060")

    assert len(udp_frame(ends.source, ends.destination, bytes(70_000))) < 65_600
    assert len(tcp_frame(ends.source, ends.destination, bytes(70_000), 1, 1)) < 65_600
    assert place("10.0.0.1:99999") == place("") == (bytes(4), 0)
