"""The memory between worker and analysis: what is given out never overlaps, and comes back in order."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import integers, lists, none, one_of

from vittne.appliance.analysis.area import HEAD_BYTES, Area, Room
from vittne.appliance.analysis.messages import (
    DIGIT,
    FINDING,
    MOST_FINDINGS,
    Finding,
    Written,
    pack_replies,
    parse_reply,
    read,
)
from vittne.capture.buffers import Buffers
from vittne.capture.handed import Piece, Voice
from vittne.capture.rtp import RtpRows
from vittne.codecs.formats import Format

SIZE = 4096


@given(steps=lists(one_of(none(), integers(1, 2000)), max_size=60))
def test_pieces_never_overlap_and_an_empty_queue_takes_what_fits(steps: list[int | None]) -> None:
    room = Room(SIZE)
    taken: deque[tuple[int, int]] = deque()
    for step in steps:
        if step is None:
            if taken:
                room.give_back()
                taken.popleft()
            continue
        begin = room.take(step)
        if begin is None:
            assert taken, "nothing was in the way"
            continue
        assert begin >= HEAD_BYTES
        assert begin + step <= SIZE
        assert all(begin + step <= low or high <= begin for low, high in taken)
        taken.append((begin, begin + step))


@given(lengths=lists(integers(0, 300), min_size=1, max_size=40))
def test_a_piece_is_read_as_it_was_written(lengths: list[int]) -> None:
    packets = [bytes([number % 256]) * length for number, length in enumerate(lengths)]
    data = np.frombuffer(bytes(16) + b"".join(packets) + bytes(16), np.uint8)
    buffers, count = Buffers(), len(packets)
    length = np.array(lengths, np.int64)
    address = buffers.base(data) + 16 + np.cumsum(length) - length
    monos = np.arange(count, dtype=np.int64) << 40
    rows = RtpRows(
        monos,
        monos,
        address,
        length,
        np.arange(count, dtype=np.uint16),
        np.arange(count, dtype=np.uint32) * 160,
        np.full(count, 9, np.uint8),
    )
    voices = [Voice(3, {9: Format("G722", 8000)}, ("1 SUITE inline:KEY",), is_new=True)]
    written = Written(Piece(rows, np.full(count, 3, np.int32), voices))
    area = Area.make(written.size + 128)

    written.write(area.data[64 : 64 + written.size], buffers)
    found = read(area.data[64 : 64 + written.size])

    ends = zip(found.begin.tolist(), found.length.tolist(), strict=True)
    assert [found.data[at : at + size].tobytes() for at, size in ends] == packets
    assert found.mono_ns.tolist() == monos.tolist()
    assert found.voices == voices
    assert "KEY" not in repr(voices)
    area.close()


@pytest.mark.parametrize("count", [0, 1, MOST_FINDINGS, MOST_FINDINGS + 1])
def test_replies_are_cut_and_the_last_one_says_so(count: int) -> None:
    findings = [Finding(DIGIT, number, number, number + 5) for number in range(count)]

    replies = [parse_reply(message) for message in pack_replies(7, findings)]

    assert [finding for reply in replies for finding in reply.findings] == findings
    assert [reply.is_last for reply in replies] == [False] * (len(replies) - 1) + [True]


@pytest.mark.parametrize("finding", [Finding(9, 1, 1, 2), Finding(DIGIT, 1, 2, 1)])
def test_what_an_analysis_may_not_say_is_refused(finding: Finding) -> None:
    (message,) = pack_replies(1, [finding])

    with pytest.raises(ValueError, match="cannot be"):
        parse_reply(message)
    with pytest.raises(ValueError, match="length"):
        parse_reply(message + bytes(FINDING.itemsize))
    with pytest.raises(ValueError, match="cut"):
        parse_reply(message[:5])
