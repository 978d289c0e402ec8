"""What is not read is named: an EtherType, an IP protocol, another signalling's port, SIP in TLS."""

from __future__ import annotations

from pathlib import Path

from builders import START_NS, write_pcap
from building.frames import MACS, ethernet, ip, tcp_frame, udp_frame

from vittne.appliance.replay import drops_of, seen_of
from vittne.capture.pcapfile import CaptureFile
from vittne.capture.pipeline import Pipeline
from vittne.capture.slab import SlabRing

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(80)
OPTIONS = b"OPTIONS sip:b@x SIP/2.0\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\n\r\n"


def seen(tmp_path: Path, *frames: bytes) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, int]]]:
    """Return what a pipeline read or named of frames, and what it dropped."""
    path = write_pcap(tmp_path / "x.pcap", [(START_NS + n * 1_000_000, one) for n, one in enumerate(frames)])
    pipeline = Pipeline()
    for block in CaptureFile(path, SlabRing(4 << 20)).blocks():
        assert block is not None
        pipeline.feed(block)
    return seen_of(pipeline), drops_of(pipeline)


def test_an_ethertype_and_an_ip_protocol_that_nobody_reads_are_counted_by_number(tmp_path: Path) -> None:
    macsec = MACS + b"\x88\xe5" + bytes(60)
    sctp = ethernet(ip("10.0.0.1", "10.0.0.2", 132, bytes(40)))

    found, dropped = seen(tmp_path, macsec, macsec, sctp)

    assert found["frames"] == {"unread ethertype 0x88e5": 2, "unread ip protocol 132": 1}
    assert dropped["frames"] == {"not ip": 2, "other ip protocol": 1}


def test_a_flood_of_numbers_makes_no_flood_of_names(tmp_path: Path) -> None:
    frames = [MACS + (0xA000 + number).to_bytes(2) + bytes(60) for number in range(200)]

    found, _ = seen(tmp_path, *frames)

    assert sum(found["frames"].values()) == 200
    assert len(found["frames"]) == 49
    assert found["frames"]["unread ethertype other"] == 152


def test_other_signalling_is_told_by_its_ports(tmp_path: Path) -> None:
    mgcp = udp_frame("10.0.0.1", 2427, "10.0.0.2", 2727, b"RQNT 1 aaln/1@gw MGCP 1.0\n" + bytes(20))
    skinny = tcp_frame("10.0.0.3", 50_000, "10.0.0.4", 2000, b"\x04\0\0\0\0\0\0\0\0\0\0\0", seq=1)

    found, _ = seen(tmp_path, mgcp, skinny)

    assert found["media"]["unread udp mgcp"] == 1
    assert found["tcp"]["tcp: unread tcp sccp"] == 1


def test_sip_in_tls_is_told_by_port_or_by_its_alpn_name_and_other_tls_is_left_alone(tmp_path: Path) -> None:
    frames = [
        tcp_frame("10.0.0.1", 40_001, "10.0.0.2", 5061, HELLO, seq=1),
        tcp_frame("10.0.0.1", 40_002, "10.0.0.2", 8443, HELLO + b"\x05sip/2", seq=1),
        tcp_frame("10.0.0.1", 40_003, "10.0.0.2", 443, HELLO, seq=1),
    ]

    found, dropped = seen(tmp_path, *frames)

    assert found["tcp"]["tcp: tls connections with sip"] == 2
    assert dropped["tcp"]["tcp: connections ignored"] == 3


def test_a_log_line_that_begins_like_dtls_is_none(tmp_path: Path) -> None:
    syslog = udp_frame("10.0.0.1", 514, "10.0.0.2", 514, b"<189>link is up on port 3")
    hello = udp_frame("10.0.0.1", 40_000, "10.0.0.2", 40_002, b"\x16\xfe\xff" + bytes(40))

    found, _ = seen(tmp_path, syslog, hello)

    assert found["media"]["dtls records"] == 1


def test_messages_of_sip_are_counted_by_the_port_of_who_was_asked(tmp_path: Path) -> None:
    found, _ = seen(tmp_path, udp_frame("10.0.0.1", 5070, "10.0.0.2", 5080, OPTIONS))

    assert found["media"]["sip port 5080"] == 1
    assert found["media"]["sip requests"] == 1
