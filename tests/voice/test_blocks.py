"""A rendering from any place gives what the rendering from its start gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from voice.making import I16, SECOND, START, encoded, picked, speechlike, track

from vittne.codecs.blocks import Blocks
from vittne.codecs.formats import STATIC, Format
from vittne.codecs.plan import plan
from vittne.codecs.timeline import lay_out
from vittne.codecs.tracks import Gap, PackedPayloads, Track

PCMU = STATIC[0]
VOICE = encoded(speechlike(9, 8000), "pcm_mulaw", 8000, size=160)  # 450 packets of 20 ms


def blocks_of(tracks: list[Track], gaps: tuple[Gap, ...] = ()) -> tuple[Blocks, I16]:
    rendering = lay_out(tracks, gaps)
    return Blocks(rendering), rendering.whole()


@settings(max_examples=30, deadline=None)
@given(
    lost=st.sets(st.integers(0, 449), max_size=200),
    late=st.lists(st.integers(0, 448), max_size=10),
    later_s=st.integers(0, 4),
    order=st.permutations(range(6)),
)
def test_g711_is_the_same_from_any_place(lost: set[int], late: list[int], later_s: int, order: list[int]) -> None:
    rows = [row for row in range(450) if row not in lost or row in (0, 449)]
    one = picked(track(VOICE, PCMU), rows)
    for row in late:
        one.at_ns[min(row, len(one) - 1)] += 15_000_000
    other = track(VOICE[:200], PCMU, seat=2, at_ns=START + later_s * SECOND)
    gap = Gap(START + 3 * SECOND, START + 4 * SECOND, "paused")

    blocks, whole = blocks_of([one, other], (gap,))

    for number in (number for number in order if number < len(blocks)):
        at = number * blocks.size
        assert np.array_equal(blocks.block(number), whole[at : at + blocks.size])
    middle = len(whole) // 2
    assert np.array_equal(blocks.samples(middle - 777, 20_001), whole[middle - 777 :][:20_001])
    assert len(blocks.samples(len(whole) - 5, 100)) == 5


def test_a_codec_that_remembers_has_come_to_itself() -> None:
    payloads = encoded(speechlike(9, 16_000), "g722", 16_000, size=160)
    blocks, whole = blocks_of([track(payloads, Format("G722", 8000))])

    heard = np.concatenate([blocks.block(number) for number in range(len(blocks))])[:, 0].astype(np.float64)

    apart = heard - whole[:, 0]
    assert np.sqrt((apart**2).mean()) < 0.01 * np.sqrt((heard**2).mean())


def test_comfort_noise_goes_on_through_blocks_that_nothing_came_in() -> None:
    noise = track([bytes([40])], Format("CN", 8000), payload_type=13)
    voice = track(
        VOICE[:50], PCMU, payload_type=0, first_seq=1001, first_timestamp=50_000 + 8 * 8000, at_ns=START + 8 * SECOND
    )
    both = Track(
        "both",
        1,
        voice.side,
        1,
        np.concatenate([noise.at_ns, voice.at_ns]),
        np.concatenate([noise.seq, voice.seq]),
        np.concatenate([noise.timestamp, voice.timestamp]),
        np.concatenate([noise.payload_type, voice.payload_type]),
        [*noise.payloads, *voice.payloads],
        {**noise.formats, **voice.formats},
    )
    blocks, whole = blocks_of([both])

    levels = [np.sqrt((blocks.block(number)[:, 0].astype(np.float64) ** 2).mean()) for number in range(4)]

    wanted = np.sqrt((whole[: 8 * 8000, 0].astype(np.float64) ** 2).mean())
    assert wanted > 50
    assert max(abs(level - wanted) for level in levels) < 0.05 * wanted


def test_how_long_opus_packets_are_is_read_from_their_first_bytes() -> None:
    payloads = [
        bytes([toc, frames, 1, 2])[:size] for toc in range(256) for frames in (1, 2, 48, 63) for size in (0, 1, 2, 4)
    ]
    plain = track(payloads, Format("opus", 48_000, 2))
    data = b"".join(payloads)
    length = np.array([len(payload) for payload in payloads], np.int64)
    packed = replace(plain, payloads=PackedPayloads(data, np.cumsum(length) - length, length))

    assert plan(packed).ticks.tolist() == plan(plain).ticks.tolist()
