"""Which datagrams are RTP, and what their headers say, whatever the bytes are."""

from __future__ import annotations

import numpy as np
from building.rtp import dtls_client_hello, rtcp_bye, rtp, stun_binding
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.buffers import Buffers
from vittne.capture.columns import Datagrams
from vittne.capture.rtp import (
    DTLS,
    OTHER,
    RTCP,
    RTP,
    SIP,
    STUN,
    classify,
    first_bytes,
    header_bytes,
    payload_lengths,
    rtp_columns,
)


def datagrams(payloads: list[bytes]) -> Datagrams:
    data = np.frombuffer(bytes(16) + b"".join(payloads), np.uint8)
    length = np.array([len(payload) for payload in payloads], np.int64)
    count = len(payloads)
    zeros = np.zeros(count, np.int64)
    wide, port, byte = np.zeros(count, np.uint64), np.zeros(count, np.uint16), np.zeros(count, np.uint8)
    offset = 16 + np.cumsum(length) - length
    return Datagrams(data, zeros, zeros, wide, wide, port, port, offset, length, byte, port)


def kinds(payloads: list[bytes]) -> list[int]:
    packets = datagrams(payloads)
    return [int(kind) for kind in classify(packets, first_bytes(packets))]


def test_each_protocol_is_known_by_its_first_bytes() -> None:
    payloads = [
        rtp(0, 1, 2, 3, bytes(160)),
        rtcp_bye(7),
        b"INVITE sip:bob@example.net SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
        dtls_client_hello(bytes(32)),
        stun_binding(bytes(12)),
        b"\0",
        b"",
        rtp(0, 1, 2, 3, b"")[:11],
        rtp(72, 1, 2, 3, bytes(20), marker=True),  # 200 with its marker: RTCP's (RFC 5761)
    ]

    assert kinds(payloads) == [RTP, RTCP, SIP, SIP, DTLS, STUN, OTHER, OTHER, OTHER, RTCP]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
@settings(deadline=None)
def test_garbage_is_classified_the_same_alone_and_among_others(payloads: list[bytes]) -> None:
    assert kinds(payloads) == [kinds([payload])[0] for payload in payloads]


@given(st.lists(st.binary(min_size=12, max_size=60), min_size=1, max_size=20))
@settings(deadline=None)
def test_columns_say_what_the_headers_say(payloads: list[bytes]) -> None:
    payloads = [bytes([payload[0] & 0x3F | 0x80]) + payload[1:] for payload in payloads]
    packets = datagrams(payloads)
    head = first_bytes(packets)
    buffers = Buffers()
    address = packets.offset + buffers.base(packets.data)

    rows, ssrc = rtp_columns(packets, head, np.arange(len(payloads)), address)
    sizes = payload_lengths(rows, buffers)

    for i, payload in enumerate(payloads):
        assert rows.seq[i] == int.from_bytes(payload[2:4], "big")
        assert rows.timestamp[i] == int.from_bytes(payload[4:8], "big")
        assert ssrc[i] == int.from_bytes(payload[8:12], "big")
        assert rows.payload_type[i] == payload[1] & 0x7F
        header = header_bytes(payload)
        assert sizes[i] == len(payload) - header if header is not None else True
