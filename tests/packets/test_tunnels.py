"""One datagram, however it is wrapped."""

from __future__ import annotations

import struct

import pytest
from packets.crafted import FRAMES, TUNNELS, VOICE, block_of, ether, inner, inner_v6, parse, rows_of, udp_of
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from vittne.capture.columns import TUNNELLED

FAMILIES = {"ipv4": inner(), "ipv6": inner_v6()}
WRAPPED = [wrap(inner()) for wrap in TUNNELS.values()]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", FRAMES)
def test_every_link_layer_gives_the_same_columns(name: str, family: str) -> None:
    link_type, frame = FRAMES[name]
    expected = udp_of([ether(FAMILIES[family])])

    assert udp_of([frame(FAMILIES[family])], link_type) == expected
    assert expected[0].payload == VOICE


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", TUNNELS)
def test_every_tunnel_gives_the_columns_of_what_is_inside(name: str, family: str) -> None:
    expected = udp_of([ether(FAMILIES[family])])[0]

    (row,) = udp_of([ether(TUNNELS[name](FAMILIES[family]))])

    assert (row.src, row.sport, row.dst, row.dport) == (expected.src, expected.sport, expected.dst, expected.dport)
    assert row.payload == VOICE
    assert row.flags == (0 if name == "ip options" else TUNNELLED)


@pytest.mark.parametrize("outer", TUNNELS)
def test_tunnels_may_be_nested_in_pairs(outer: str) -> None:
    packets = [TUNNELS[outer](packet) for packet in WRAPPED]
    layers = [FRAMES[name] for name in ("ethernet", "three tags", "vn-tag", "ppp", "cooked 2", "raw")]
    cases = [(link_type, frame(packet)) for link_type, frame in layers for packet in packets]

    parsed, parser, book = parse(block_of([frame for _, frame in cases], [link_type for link_type, _ in cases]))

    rows = rows_of(parsed.udp[0], book)
    assert [row.at_ns for row in rows] == list(range(len(cases)))
    assert {(row.src, row.sport, row.dst, row.dport, row.payload) for row in rows} == {
        ("192.0.2.1", 16_384, "198.51.100.2", 30_000, VOICE)
    }
    assert parser.counters["udp"] == len(cases)


def test_eight_tunnels_are_gone_through_and_a_ninth_is_counted() -> None:
    packet = inner()
    for _ in range(8):
        packet = TUNNELS["gre"](packet)
    nine = TUNNELS["gre"](packet)

    parsed, parser, _ = parse(block_of([ether(packet), ether(nine)]))

    assert len(parsed.udp[0]) == 1
    assert parser.counters["too many layers"] == 1


def test_labels_without_end_are_counted_as_too_many_layers() -> None:
    frame = bytes(12) + b"\x88\x47" + bytes(4 * 300)

    parsed, parser, _ = parse(block_of([frame]))

    assert parsed.udp == []
    assert parser.counters["too many layers"] == 1


@pytest.mark.parametrize("port", [4789, 8472, 6081, 2152])
@pytest.mark.parametrize(
    "payload", [b"\x80\x00" + bytes(170), b"SIP/2.0 200 OK\r\n", b"INVITE sip:a@b SIP/2.0\r\n", b"", b"\x08"]
)
def test_what_is_no_tunnel_on_the_port_of_one_stays_a_datagram(port: int, payload: bytes) -> None:
    packet = bytes(IP(src="192.0.2.1", dst="198.51.100.2") / UDP(sport=9, dport=port) / Raw(payload))

    (row,) = udp_of([ether(packet)])

    assert (row.dport, row.payload, row.flags) == (port, payload, 0)


def test_a_gtp_packet_without_ip_inside_stays_a_datagram() -> None:
    payload = struct.pack(">BBHI", 0x34, 255, 20, 9) + b"\0\0\0\x85" + b"\1\0\0\0" + b"\xff" * 12
    packet = bytes(IP(src="192.0.2.1", dst="198.51.100.2") / UDP(sport=9, dport=2152) / Raw(payload))

    (row,) = udp_of([ether(packet)])

    assert row.payload == payload


def test_every_encapsulation_is_counted() -> None:
    _, parser, _ = parse(block_of([ether(TUNNELS["erspan ii"](inner())), ether(TUNNELS["gtp"](inner()))]))

    assert {name: count for name, count in parser.counters.items() if name.startswith("encap")} == {
        "encap gre": 1,
        "encap erspan": 1,
        "encap gtp": 1,
    }
