"""Chains of records, walked by guesses that are checked."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.columns import Bytes
from vittne.capture.records import Chain, Landmark

PCAP = {order: Chain(length_at=8, extra=16, header=16, order=order) for order in "<>"}
SECONDS = 1_700_000_000


def chain_of(lengths: list[int], order: str, filling: bytes) -> tuple[Bytes, list[int]]:
    """Return records of these lengths, filled with repetitions of `filling`, and where they begin."""
    parts, begin, at = [], [], 0
    for number, length in enumerate(lengths):
        begin.append(at)
        parts.append(struct.pack(order + "IIII", SECONDS + number // 1_000, 0, length, length))
        parts.append((filling * (length // max(1, len(filling)) + 1))[:length] if filling else bytes(length))
        at += 16 + length
    return np.frombuffer(b"".join(parts), np.uint8), begin


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.sampled_from([0, 20, 60, 74, 214, 214, 900, 9_000]), min_size=1, max_size=6),
    order=st.sampled_from("<>"),
    hostile=st.booleans(),
    cut=st.integers(0, 40),
)
def test_every_record_is_found_whatever_the_mix(
    seed: int, sizes: list[int], order: str, hostile: bool, cut: int
) -> None:
    draw = random.Random(seed)
    lengths = [draw.choice(sizes) for _ in range(min(6_000, 400_000 // (max(sizes) + 16)))]
    # A payload that is itself a chain of records, so that lanes begin at what is none.
    filling = struct.pack(order + "IIII", SECONDS, 0, 4, 4) + b"\0\0\0\0" if hostile else draw.randbytes(50)
    data, begin = chain_of(lengths, order, filling)
    stop = len(data) - cut
    needle = data[2:4].tobytes() if order == "<" else data[:2].tobytes()

    found, stride = PCAP[order].walk(data, 0, stop, Landmark(needle, 2 if order == "<" else 0, 300_000))

    expected = [at for at in begin if at + 16 <= stop]
    assert found.tolist() == expected
    assert stride.tolist() == [16 + length for length in lengths[: len(expected)]]


@pytest.mark.parametrize("content", [b"", b"\0" * 15, b"\xff" * 40, b"\0" * 200_000])
def test_a_walk_over_nonsense_ends(content: bytes) -> None:
    data = np.frombuffer(content, np.uint8)
    blocks = Chain(length_at=4, extra=0, header=12, order="<")

    found, stride = blocks.walk(data, 0, len(data), Landmark(b"\0\0\0\0", 0, 300_000))

    assert (found + 12 <= len(data)).all()
    assert (stride >= 12).all()
