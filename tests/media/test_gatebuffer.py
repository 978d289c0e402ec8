"""Memory before a gate: locked, dumped by nobody, given back as zeros, and out of it comes what went in."""

from __future__ import annotations

import os
import pickle
import re
import resource
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture import record
from vittne.capture.gatebuffer import GateBuffer
from vittne.capture.lockedmemory import CHUNK, LockedMemory
from vittne.capture.recordrules import GateLimits

MIB = 1 << 20
PIECES = st.lists(st.binary(min_size=1, max_size=3 * CHUNK), max_size=6)


def flags_at(address: int) -> set[str]:
    """Return what the kernel says of the mapping that an address is in."""
    for mapping in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())[1:]:
        begin, end = (int(text, 16) for text in mapping.split(" ")[0].split("-"))
        if begin <= address < end:
            return set(mapping.partition("VmFlags:")[2].split())
    raise AssertionError("no such mapping")


def test_memory_is_locked_left_out_of_dumps_and_wiped_in_children() -> None:
    chunk = LockedMemory(MIB).take()

    assert chunk is not None
    assert {"lo", "dd", "wf"} <= flags_at(chunk.ctypes.data)


def test_a_chunk_comes_back_as_zeros_and_there_are_no_more_than_the_limit() -> None:
    memory = LockedMemory(MIB)
    chunks = []
    while (chunk := memory.take()) is not None:
        chunk[:] = 255
        chunks.append(chunk)

    assert len(chunks) == MIB // CHUNK
    memory.give(chunks[0])
    assert not chunks[0].any()
    assert memory.take() is chunks[0]


def test_what_cannot_be_locked_is_not_used() -> None:
    child = os.fork()
    if not child:  # the superuser has no such limit
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        if not os.geteuid():
            os.setuid(65_534)
        os._exit(0 if LockedMemory(MIB).take() is None else 1)

    assert os.waitpid(child, 0)[1] == 0


@settings(max_examples=50, deadline=None)
@given(first=PIECES, second=PIECES)
def test_what_goes_in_comes_out_in_its_pieces_and_nothing_stays(first: list[bytes], second: list[bytes]) -> None:
    buffer = GateBuffer(GateLimits(MIB, 4 * MIB))
    for one, other in zip(first, second, strict=False):
        assert buffer.hold("a", [one])
        assert buffer.hold("b", [other])

    number = min(len(first), len(second))
    assert buffer.release("a") == first[:number]
    assert buffer.release("b") == second[:number]
    assert buffer.release("a") == []
    assert (buffer.used_bytes, len(buffer)) == (0, 0)


def test_views_are_zeroed_whether_they_found_room_or_not() -> None:
    buffer = GateBuffer(GateLimits(100, MIB))
    views = [np.full(60, 7, np.uint8), np.full(60, 7, np.uint8)]

    assert buffer.hold("a", [memoryview(views[0].data)])
    assert not buffer.hold("a", [memoryview(views[1].data)])

    assert not any(view.any() for view in views)
    assert buffer.release("a") == [bytes([7]) * 60]


def test_streams_of_a_call_that_became_part_of_another_get_their_new_numbers() -> None:
    buffer = GateBuffer(GateLimits())
    buffer.hold("a", [record.encode(record.RTP, 5, b"x" * 21, 1), record.encode(record.RTP, 6, b"y", 2)])

    released = buffer.release("a", {1: 7})

    assert released == [record.encode(record.RTP, 5, b"x" * 21, 7), record.encode(record.RTP, 6, b"y", 2)]


def test_a_pickled_buffer_is_an_empty_one() -> None:
    buffer = GateBuffer(GateLimits())
    buffer.hold("a", [b"what was said"])

    assert b"what was said" not in pickle.dumps(buffer)
    assert not len(pickle.loads(pickle.dumps(buffer)))
