"""Voices that wait for somebody to decode them, and for their call to be known."""

from __future__ import annotations

import pytest
from building.fragments import fragments
from building.frames import udp_frame
from building.playing import blocks_of, play_frames
from building.rtp import rtp

from vittne.capture.columns import SECOND
from vittne.capture.pipeline import Pipeline

G722 = 9
MS = SECOND // 1000


def nobodys(port: int, count: int, begin_ms: int, every_ms: int, payload_bytes: int = 160) -> list[tuple[int, bytes]]:
    """RTP that no signalling explains and that is no G.711; what is longer than 576 bytes comes in fragments."""
    found = []
    for n in range(count):
        packet = rtp(G722, n, 160 * n, port, bytes(payload_bytes))
        whole = udp_frame("10.0.0.1", port, "10.0.0.2", port, packet, ident=n + 1)
        found += [((begin_ms + n * every_ms) * MS, frame) for frame in fragments(whole, ident=n + 1)]
    return found


@pytest.mark.parametrize("horizons_ms", [(60, 65, 70), (35, 60, 99), (100, 200)])
def test_a_horizon_amid_a_block_of_which_some_came_in_fragments_forgets_what_is_old(
    horizons_ms: tuple[int, ...],
) -> None:
    """What was put together is columns of its own, that begin and end amid the others of the block."""
    frames = sorted([*nobodys(4000, 10, 0, 10), *nobodys(5000, 3, 20, 10, payload_bytes=900)])
    (block,) = blocks_of(frames, SECOND)
    pipeline, first = Pipeline(), int(block.mono_ns[0])
    pipeline.feed(block)

    for horizon_ms in horizons_ms:
        pipeline.commit(first + horizon_ms * MS)
        assert all(one.rows.mono_ns[0] > first + horizon_ms * MS for one in pipeline.handover._waiting)

    pipeline.commit(first + SECOND, final=True)


def test_nobodys_voices_in_fragments_are_counted_whenever_commits_come() -> None:
    sizes = (160, 900, 160, 1200)
    frames = sorted(frame for n, size in enumerate(sizes) for frame in nobodys(4000 + 10 * n, 300, 3 * n, 20 + n, size))

    result = play_frames(frames, block_ns=3 * SECOND)

    assert result.pipeline.counters["rtp without signalling"] == 300 * len(sizes)
