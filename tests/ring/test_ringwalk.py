"""Walking a ring's blocks: the fast way against a plain one, on memory laid out as the kernel does."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis.strategies import integers, lists, sampled_from

from vittne.capture.columns import SECOND, Bytes
from vittne.capture.ringwalk import Chains

BLOCK = 1 << 16
FIRST = 48
FRAME_AT = 82


@dataclass
class Laid:
    """A ring's memory, and what is in it."""

    memory: Bytes
    packets: list[int]
    headers: list[int]
    sizes: list[int]


def lay_out(blocks: list[list[int]]) -> Laid:
    """Fill blocks with frames of these sizes; what does not fit in a block is left out, as is a last link."""
    laid = Laid(np.zeros(BLOCK * max(1, len(blocks)), np.uint8), [], [], [])
    for number, sizes in enumerate(blocks):
        at, count, before = number * BLOCK + FIRST, 0, None
        for size in sizes:
            room = -(-(FRAME_AT + size) // 8) * 8
            if at + room > (number + 1) * BLOCK:
                break
            if before is not None:
                struct.pack_into("<I", laid.memory.data, before, at - before)
            second, nano = 1_700_000_000 + count, at % SECOND
            struct.pack_into("<IIIIIIHHI", laid.memory.data, at, 0, second, nano, size, size + 4, 0, FRAME_AT, 96, 7)
            laid.headers.append(at)
            laid.sizes.append(size)
            before, at, count = at, at + room, count + 1
        laid.packets.append(count)
    return laid


def walked(laid: Laid) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    first = np.arange(len(laid.packets), dtype=np.int64) * BLOCK + FIRST
    return Chains(laid.memory).walk(first, np.array(laid.packets, np.int64))


some_sizes = lists(integers(14, 9000), max_size=200)
few_sizes = lists(sampled_from([214, 74]), max_size=700)
runs = lists(integers(1, 300), max_size=6).map(
    lambda counts: [60 + 40 * (i % 3) for i, n in enumerate(counts) for _ in range(n)]
)


@settings(deadline=None)
@given(blocks=lists(some_sizes | few_sizes | runs, max_size=6))
def test_every_packet_of_every_block_is_found_in_order(blocks: list[list[int]]) -> None:
    laid = lay_out(blocks)

    headers = walked(laid)

    assert headers.tolist() == laid.headers


def test_a_block_of_equal_packets_up_to_the_memorys_last_byte_is_walked() -> None:
    laid = lay_out([[214] * 10, [BLOCK - FIRST - FRAME_AT - 6]])

    assert walked(laid).tolist() == laid.headers


def test_no_blocks_give_no_packets() -> None:
    assert len(walked(lay_out([]))) == 0


@settings(deadline=None)
@given(sizes=some_sizes)
def test_columns_say_what_the_headers_say(sizes: list[int]) -> None:
    laid = lay_out([sizes])

    frames = Chains(laid.memory).frames(walked(laid))

    assert frames.offset.tolist() == [header + FRAME_AT for header in laid.headers]
    assert frames.captured.tolist() == laid.sizes
    assert frames.wire.tolist() == [size + 4 for size in laid.sizes]
    assert frames.at_ns.tolist() == [
        (1_700_000_000 + number) * SECOND + header % SECOND for number, header in enumerate(laid.headers)
    ]
