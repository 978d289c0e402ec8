"""Records are the packets they were made of."""

from __future__ import annotations

import numpy as np
from building.playing import parse_records
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture import record
from vittne.capture.assemble import Packets, encode, join
from vittne.capture.buffers import Buffers

PACKET = st.tuples(st.integers(1, 65_535), st.binary(min_size=1, max_size=70), st.booleans())


@given(st.lists(PACKET, max_size=30), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_records_parsed_back_are_the_packets_whatever_commits_they_came_in(
    packets: list[tuple[int, bytes, bool]], cut: int
) -> None:
    buffers = Buffers()
    rings = [np.full(4096, 0xEE, np.uint8) for _ in range(2)]
    address, used = [], [16, 16]
    for _, body, which in packets:
        start = used[which]
        rings[which][start : start + len(body)] = np.frombuffer(body, np.uint8)
        address.append(buffers.base(rings[which]) + start)
        used[which] += len(body) + 3
    rows = Packets(
        np.array(address, np.int64),
        np.array([len(body) for _, body, _ in packets], np.int64),
        np.arange(len(packets), dtype=np.int64) * 1000,
        np.array([stream for stream, _, _ in packets], np.uint16),
    )

    views = encode(join([rows.rows(slice(cut)), rows.rows(slice(cut, None))]), buffers)

    found = parse_records(b"".join(views))
    assert sum(map(len, views)) == rows.size_bytes
    assert sorted((r.at_ns, r.stream, r.body) for r in found) == [
        (i * 1000, stream, body) for i, (stream, body, _) in enumerate(packets)
    ]
    assert {r.kind for r in found} <= {record.RTP}
