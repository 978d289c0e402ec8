"""Records are the packets they were made of."""

from __future__ import annotations

import numpy as np
from building.playing import parse_records
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture import record
from vittne.capture.assemble import Stored, records_by_call
from vittne.capture.buffers import Buffers

PACKET = st.tuples(st.integers(0, 3), st.integers(1, 65_535), st.binary(min_size=1, max_size=70), st.booleans())


@given(st.lists(PACKET, max_size=30))
@settings(max_examples=100, deadline=None)
def test_records_parsed_back_are_the_packets_of_each_call_in_order(
    packets: list[tuple[int, int, bytes, bool]],
) -> None:
    packets = sorted(packets, key=lambda packet: packet[0])
    buffers = Buffers()
    rings = [np.full(4096, 0xEE, np.uint8) for _ in range(2)]
    address, used = [], [16, 16]
    for _, _, body, which in packets:
        start = used[which]
        rings[which][start : start + len(body)] = np.frombuffer(body, np.uint8)
        address.append(buffers.base(rings[which]) + start)
        used[which] += len(body) + 3
    rows = Stored(
        np.array(address, np.int64),
        np.array([len(body) for _, _, body, _ in packets], np.int64),
        np.arange(len(packets), dtype=np.int64) * 1000,
        np.array([stream for _, stream, _, _ in packets], np.uint16),
        np.array([call for call, _, _, _ in packets], np.int64),
    )

    by_call = records_by_call(rows, 4, buffers)

    for call, views in enumerate(by_call):
        found = parse_records(b"".join(views))
        expected = [(i * 1000, p[1], p[2]) for i, p in enumerate(packets) if p[0] == call]
        assert sorted((r.at_ns, r.stream, r.body) for r in found) == expected
        assert {r.kind for r in found} <= {record.RTP}
