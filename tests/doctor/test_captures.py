"""What the doctor says of captures: made ones with one thing wrong each, and real ones where they lie beside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from builders import START_NS, Frame, Scenario, write_pcap
from building.frames import MACS, as_mirror_sees_again, ethernet, ip, tcp_frame, udp_frame
from scenarios import basic, network, noise
from scenarios.catalogue import ALL

from vittne.appliance.doctor.finding import Finding, exit_status
from vittne.appliance.doctor.listening import listen_to_files
from vittne.appliance.doctor.tap import judge_tap

CAPTURES: Final = Path(__file__).resolve().parents[3] / "shared" / "captures"
HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(80)


def judged(*paths: Path) -> dict[str, Finding]:
    """Return the findings by name."""
    return {one.name: one for one in judge_tap(listen_to_files([str(path) for path in paths]))}


def wrong(found: dict[str, Finding]) -> dict[str, str]:
    """Return the weights of what is not good."""
    return {name: one.weight for name, one in found.items() if one.weight != "good"}


def written(tmp_path: Path, scenario: Scenario, change: Callable[[list[Frame]], list[Frame]] | None = None) -> Path:
    frames = scenario.frames() if change is None else change(scenario.frames())
    return write_pcap(tmp_path / "capture.pcap", frames)


def test_of_a_call_that_is_whole_nothing_is_to_be_said(tmp_path: Path) -> None:
    found = judged(written(tmp_path, basic.basic_call()))

    assert wrong(found) == {}
    assert found["traffic"].facts["answered"] == 1
    assert found["codecs"].facts["codecs"] == {"PCMU": 2}
    assert exit_status(list(found.values())) == 0


def test_an_empty_capture_is_a_bad_tap(tmp_path: Path) -> None:
    found = judged(write_pcap(tmp_path / "empty.pcap", []))

    assert wrong(found) == {"traffic": "bad"}
    assert exit_status(list(found.values())) == 2


def test_a_tap_of_something_else_is_a_bad_tap(tmp_path: Path) -> None:
    frames = [
        (START_NS + n, udp_frame("10.0.0.1", 53, "10.0.0.2", 5353, b"\0\1hello world, no call")) for n in range(9)
    ]

    found = judged(write_pcap(tmp_path / "dns.pcap", frames))

    assert wrong(found) == {"traffic": "bad"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one_direction", {"directions": "bad"}),
        ("only_the_callee", {"directions": "bad"}),
        ("one_way_audio", {"directions": "bad"}),
        ("no_media", {"signalling-without-media": "bad"}),
        ("unsignalled_rtp", {"media-without-signalling": "bad"}),
        ("dtls_srtp", {"encrypted-media": "bad"}),
        ("mirror_duplicates", {"duplicates": "note"}),
        ("over_websocket", {"sip-ports": "note"}),
        ("fragmented_invite", {}),
        ("over_tcp", {}),
        ("b2bua_plain", {}),
        ("blind_transfer", {}),
        ("registrations", {}),
        ("many_calls", {}),
    ],
)
def test_one_thing_wrong_is_the_one_thing_that_is_found(tmp_path: Path, name: str, expected: dict[str, str]) -> None:
    assert wrong(judged(written(tmp_path, ALL[name]()))) == expected


def test_media_with_keys_in_the_signalling_is_heard(tmp_path: Path) -> None:
    found = judged(written(tmp_path, basic.encrypted_with_keys()))

    assert found["encrypted-media"].weight == "good"
    assert found["encrypted-media"].facts["with_key"] == 1


def test_copies_are_told_with_their_share(tmp_path: Path) -> None:
    def every_other(frames: list[Frame]) -> list[Frame]:
        copies = [(at + 200_000, as_mirror_sees_again(frame)) for at, frame in frames[::2]]
        return sorted(frames + copies)

    found = judged(written(tmp_path, basic.basic_call(), every_other))

    assert found["duplicates"].facts["share"] == pytest.approx(1 / 3, abs=0.02)
    assert "33" in str(found["duplicates"].words)


def test_a_vlan_is_opened_and_macsec_is_not(tmp_path: Path) -> None:
    tagged = basic.basic_call().write(tmp_path / "vlan.pcap", wrap="vlan")
    sealed = write_pcap(tmp_path / "macsec.pcap", [(START_NS + n, MACS + b"\x88\xe5" + bytes(60)) for n in range(40)])

    found = judged(sealed, tagged)

    assert found["encapsulation"].facts["opened"]["vlan"] > 100
    assert found["unread-encapsulation"].weight == "warn"
    assert found["unread-encapsulation"].facts["unread"] == {"MACsec": 40}
    assert found["traffic"].facts["answered"] == 1


def test_ping_and_lldp_are_no_tunnels(tmp_path: Path) -> None:
    ping = ethernet(ip("10.0.0.1", "10.0.0.2", 1, bytes(40)))
    lldp = MACS + b"\x88\xcc" + bytes(60)
    frames = basic.basic_call().frames()
    noise_ = [(START_NS + n, one) for n, one in enumerate([ping, lldp] * 50)]

    assert wrong(judged(write_pcap(tmp_path / "x.pcap", sorted(frames + noise_)))) == {}


def test_a_piece_that_never_comes_is_missed(tmp_path: Path) -> None:
    def without_last_pieces(frames: list[Frame]) -> list[Frame]:
        first = [one for one in frames if not int.from_bytes(one[1][20:22]) & 0x1FFF]
        return [*first, (frames[-1][0] + 20_000_000_000, frames[-1][1])]

    found = judged(written(tmp_path, network.fragmented_invite(), without_last_pieces))

    assert found["fragments"].weight == "bad"
    assert found["fragments"].facts["incomplete"] >= 1


def test_cut_packets_are_told(tmp_path: Path) -> None:
    path = written(tmp_path, basic.basic_call())
    whole = path.read_bytes()
    cut = bytearray(whole[:24])
    at = 24
    while at < len(whole):
        size = int.from_bytes(whole[at + 8 : at + 12], "little")
        kept = min(size, 96)
        cut += whole[at : at + 8] + kept.to_bytes(4, "little") + whole[at + 12 : at + 16 + kept]
        at += 16 + size
    path.write_bytes(cut)

    found = judged(path)

    assert found["cut-packets"].weight == "bad"
    assert found["cut-packets"].facts["cut"] > 300


def test_bytes_missing_in_tcp_are_told(tmp_path: Path) -> None:
    def without_one(frames: list[Frame]) -> list[Frame]:
        with_payload = [n for n, (_, frame) in enumerate(frames) if frame[23] == 6 and len(frame) > 300]
        return [one for n, one in enumerate(frames) if n != with_payload[0]]

    found = judged(written(tmp_path, network.over_tcp(), without_one))

    assert found["tcp-holes"].facts["holes"] + found["tcp-holes"].facts["bytes_passed_over"] > 0


def test_sip_in_tls_beside_voices_explains_them(tmp_path: Path) -> None:
    def with_tls(frames: list[Frame]) -> list[Frame]:
        return [(START_NS, tcp_frame("10.0.0.1", 40_001, "10.0.0.2", 5061, HELLO, seq=1)), *frames]

    found = judged(written(tmp_path, noise.unsignalled_rtp(), with_tls))

    assert wrong(found) == {"encrypted-signalling": "bad", "media-without-signalling": "bad"}
    assert "TLS" in str(found["media-without-signalling"].remedy)


def test_other_signalling_is_named(tmp_path: Path) -> None:
    mgcp = udp_frame("10.0.0.1", 2427, "10.0.0.2", 2727, b"RQNT 1 aaln/1@gw MGCP 1.0\n" + bytes(20))

    found = judged(written(tmp_path, basic.basic_call(), lambda frames: [(START_NS, mgcp), *frames]))

    assert wrong(found) == {"other-signalling": "warn"}
    assert "MGCP" in str(found["other-signalling"].words)


def test_time_that_goes_back_is_told(tmp_path: Path) -> None:
    def set_back(frames: list[Frame]) -> list[Frame]:
        half = len(frames) // 2
        return frames[:half] + [(at - 3_600_000_000_000, frame) for at, frame in frames[half:]]

    found = judged(written(tmp_path, basic.basic_call(), set_back))

    assert found["timestamps"].weight == "warn"
    assert found["timestamps"].facts["behind_s"] > 3590


def test_files_are_one_tap_and_one_that_is_damaged_is_named(tmp_path: Path) -> None:
    frames = basic.basic_call().frames()
    first = write_pcap(tmp_path / "1.pcap", frames[:100])
    second = write_pcap(tmp_path / "2.pcap", frames[100:])
    broken = tmp_path / "3.pcap"
    broken.write_bytes(b"no capture at all")

    found = judged(first, second, broken)

    assert wrong(found) == {"files": "warn"}
    assert found["traffic"].facts["answered"] == 1


def test_nothing_in_a_scenario_makes_the_doctor_fail(tmp_path: Path) -> None:
    paths = [make().write(tmp_path / f"{name}.pcap") and tmp_path / f"{name}.pcap" for name, make in ALL.items()]

    for path in paths:
        found = judge_tap(listen_to_files([str(path)]))
        assert len({one.name for one in found}) == len(found)
        assert all(str(one.words) and (one.weight in ("good", "note") or one.remedy) for one in found)


REAL: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("sccp__sccp_fxs_inbound.pcapng", {"other-signalling": "warn", "media-without-signalling": "bad"}),
    ("mgcp__mgcp_fxs_inbound.pcapng", {"cut-packets": "bad", "other-signalling": "warn"}),
    ("sip__sip_hold_resume.pcapng", {"media-loss": "bad"}),
    ("open5gs__docs__assets__pcapng__volte.pcapng", {"unread-encapsulation": "warn", "duplicates": "note"}),
    ("irontec__sngrep__tests__ipip.pcap", {"signalling-without-media": "bad"}),
    ("sip-and-rtp__sip-rtp-g711.pcap", {"directions": "bad"}),
    ("sip__sip_basic_eo_180.pcapng", {}),
)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures are not beside this repository")
@pytest.mark.parametrize(("name", "expected"), REAL)
def test_real_captures_are_what_they_are(name: str, expected: dict[str, str]) -> None:
    path = next(path for path in CAPTURES.iterdir() if path.name.endswith(name))

    found = wrong(judged(path))

    assert found.items() >= expected.items()
    assert expected or found == {}
