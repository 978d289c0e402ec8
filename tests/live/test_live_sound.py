"""Sound that is put together while a call lasts: clocks that drift, voices that take over, messages as they go."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from building.rtp import rtp
from hypothesis import given
from hypothesis import strategies as st
from rig.desk import pipeline_of, two_calls

from vittne.appliance.analysis.messages import Rows
from vittne.appliance.config import checked
from vittne.appliance.events.livecalls import LiveCalls
from vittne.appliance.live.messages import Told, pack_levels, parse, parse_levels
from vittne.appliance.live.reorder import Reorder
from vittne.appliance.live.sound import LiveSound
from vittne.appliance.policy.decide import policy_rules
from vittne.capture.columns import SECOND
from vittne.capture.handed import Voice
from vittne.capture.levels import Level
from vittne.codecs.formats import Format
from vittne.codecs.g711 import MU_LAW

MS = SECOND // 1000
PCMU = {0: Format("PCMU", 8000)}
LOUD, SOFT = 0x10, 0x50  # two codes of mu-law
Packet = tuple[int, int, int, int]  # arrival ms, voice, sequence, code


def rows(packets: list[Packet], voices: list[int], ticks: int = 160) -> Rows:
    data = [rtp(0, seq, seq * ticks, 7, bytes([code]) * 160) for _, _, seq, code in packets]
    length = np.array([len(one) for one in data], np.int64)
    columns = [np.array(column) for column in zip(*packets, strict=True)]
    return Rows(
        mono_ns=columns[0].astype(np.int64) * MS,
        length=length,
        timestamp=(columns[2] * ticks).astype(np.uint32),
        number=columns[1].astype(np.int32),
        seq=columns[2].astype(np.uint16),
        payload_type=np.zeros(len(packets), np.uint8),
        begin=np.cumsum(length) - length,
        data=np.frombuffer(b"".join(data), np.uint8),
        voices=[Voice(number, PCMU, (), is_new=True) for number in voices],
    )


def heard(packets: list[Packet], seats: Mapping[int, int], until_ms: int, every_ms: int = 100) -> npt.NDArray[np.int16]:
    """Hear packets in turns of 100 ms; return what is heard, (n, 2)."""
    sound, told, pcm = LiveSound(400 * MS), set[int](), b""
    for upto in range(0, until_ms, every_ms):
        mine = [one for one in packets if upto - every_ms < one[0] <= upto]
        fresh = sorted({one[1] for one in mine} - told)
        told |= set(fresh)
        turn = Told("open", upto * MS, dict(seats), {}, False, rows(mine, fresh) if mine else None)
        pcm += b"".join(block.pcm for block in sound.feed(turn))
    return np.frombuffer(pcm, "<i2").reshape(-1, 2)


@pytest.mark.parametrize(("apart", "each_ms"), [("little", 20.2), ("much", 21.0)])
def test_a_sender_whose_clock_is_slow_is_heard_to_the_end(apart: str, each_ms: float) -> None:
    """Packets that say they are 20 ms long, and come slower: in the end by far more than sound is held."""
    packets = [(50 + round(each_ms * n), 1, n, LOUD) for n in range(int(60_000 / each_ms))]

    sound = heard(packets, {1: 0}, 60_000)

    last = sound[-2 * 8000 :, 0]
    assert np.count_nonzero(last == MU_LAW[LOUD]) > (1.9 if apart == "little" else 1.5) * 8000
    assert len(sound) == (60_000 - 100 - 400) * 8


def test_who_speaks_in_a_seat_is_heard_once() -> None:
    """The same voice on two legs at a time, and the second one alone when the first falls silent."""
    first = [(20 * n, 1, n, LOUD) for n in range(1, 100)]
    second = [(20 * n + 3, 2, n, SOFT) for n in range(1, 200)]

    sound = heard(sorted([*first, *second]), {1: 1, 2: 1}, 4500)[:, 1]

    assert set(np.unique(sound[: 2 * 8000]).tolist()) <= {0, int(MU_LAW[LOUD])}
    assert np.all(sound[int(2.5 * 8000) : int(3.5 * 8000)] == MU_LAW[SOFT])


def test_timestamps_that_leap_leave_the_voice_where_it_arrives() -> None:
    packets = [(20 * n, 1, n if n < 50 else n + 200, LOUD) for n in range(1, 150)]  # four seconds that nobody spoke

    sound = heard(packets, {1: 0}, 3500)[:, 0]

    assert np.count_nonzero(sound == MU_LAW[LOUD]) > 2.5 * 8000


@given(st.permutations(range(12)), st.integers(0, 65_535))
def test_packets_leave_in_the_order_of_their_numbers_wherever_the_turns_are_cut(order: list[int], first: int) -> None:
    reorder, found = Reorder(), list[int]()
    for at, place in enumerate(order):
        reorder.put(rows([(at, 1, (first + place) & 0xFFFF, LOUD)], []))
    for upto in (20, 66, 71, 200):
        due = reorder.due(upto * MS)
        found += sorted(int(seq - first) & 0xFFFF for seq in due.seq.tolist()) if due is not None else []

    assert found == sorted(order)


def test_levels_come_over_as_they_are() -> None:
    levels: list[Level] = [
        ("01234567-89ab-4cde-8f01-23456789abcd", -20, None),
        ("f1234567-89ab-4cde-8f01-23456789ab00", None, -127),
        ("00000000-89ab-4cde-8f01-23456789ab00", 0, -1),
    ]
    assert [one for message in pack_levels(levels) for one in parse_levels(message)] == levels


@given(st.binary(max_size=200))
def test_what_is_no_message_breaks_nothing(message: bytes) -> None:
    with contextlib.suppress(ValueError, KeyError, TypeError, IndexError, struct.error):
        parse(message)


@pytest.mark.parametrize(
    ("otherwise", "withheld"), [("quarantine", "announcement"), ("discard", "announcement"), ("alarm", "")]
)
def test_a_call_whose_missing_notice_means_quarantine_is_not_heard_before_it_was_given(
    otherwise: str, withheld: str
) -> None:
    table = [{"name": "all", "otherwise": [otherwise], "not_listened": [otherwise]}]
    calls = LiveCalls()
    calls.rules = policy_rules(checked({"announcement": table}, "a test"))
    pipeline = pipeline_of(two_calls())

    calls.note([{**pipeline.report_of(call), "outcome": ""} for call in pipeline.book.calls.values()], 0)

    assert calls.not_understood == 0
    assert [call.withheld for call in calls.all()] == 2 * [withheld]
