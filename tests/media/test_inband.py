"""In-band DTMF: every digit leaves a mark, wherever packets and calls are cut; voices leave few."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vittne.capture.buffers import Buffers
from vittne.capture.inband import InbandTones
from vittne.capture.inbandmath import HERTZ, PCMA, PCMU, SAMPLES
from vittne.codecs.g711 import A_LAW, MU_LAW

Samples = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
KEYS = "123A456B789C*0#D"
FULL_SCALE = 32_636  # peak of a sine of 3.17 dBm0
MARK = 320  # samples: 40 ms


def tone(hertz: float, dbm0: float, samples: int, phase: float = 0.0) -> Samples:
    peak = FULL_SCALE * 10 ** ((dbm0 - 3.17) / 20)
    return np.asarray(peak * np.sin(2 * np.pi * hertz * np.arange(samples) / 8000 + phase), np.float64)


def digit(key: str, low_dbm0: float = -10.0, high_dbm0: float = -10.0, offset: float = 0.0) -> Samples:
    row, column = divmod(KEYS.index(key), 4)
    return tone(HERTZ[row] * (1 + offset), low_dbm0, MARK) + tone(
        HERTZ[4 + column] * (1 + offset), high_dbm0, MARK, 1.0
    )


def keyed(digits: list[Samples], before: int = 900) -> Samples:
    """Digits with pauses as long as they are, after a silence."""
    return np.concatenate([np.zeros(before), *(np.concatenate([one, np.zeros(MARK)]) for one in digits), np.zeros(400)])


def g711(samples: Samples, law: int = PCMU) -> bytes:
    order = np.argsort(SAMPLES[law], kind="stable")
    between = (SAMPLES[law][order][1:] + SAMPLES[law][order][:-1]) / 2
    return order[np.searchsorted(between, samples)].astype(np.uint8).tobytes()


@dataclass(frozen=True)
class Packet:
    flow: int
    payload: bytes
    timestamp: int
    law: int = PCMU


def packets(flow: int, payload: bytes, sizes: list[int], law: int = PCMU) -> list[Packet]:
    """Cut a payload into packets of those sizes, over and over."""
    made: list[Packet] = []
    at = 0
    while at < len(payload):
        size = sizes[len(made) % len(sizes)]
        made.append(Packet(flow, payload[at : at + size], (4_294_967_000 + at) % 2**32, law))
        at += size
    return made


def find(tones: InbandTones, rows: list[Packet]) -> list[bool]:
    buffers = Buffers()
    data = np.frombuffer(bytes(64) + b"".join(row.payload for row in rows) + bytes(64), np.uint8)
    length = np.array([len(row.payload) for row in rows], np.int64)
    address = buffers.base(data) + 64 + np.cumsum(length) - length
    found = tones.find(
        np.array([row.flow for row in rows], np.int32),
        np.array([row.law for row in rows], np.uint8),
        address,
        length,
        np.array([row.timestamp for row in rows], np.uint32),
        buffers,
    )
    return [bool(one) for one in found]


def heard(payload: bytes, sizes: list[int], law: int = PCMU) -> Mask:
    """Which bytes of a payload lie in marked packets."""
    rows = packets(0, payload, sizes, law)
    marks = find(InbandTones(), rows)
    return np.repeat(marks, [len(row.payload) for row in rows])


def missed(samples: Samples, digits: int, sizes: list[int], law: int = PCMU) -> list[int]:
    """Which of the digits of keyed() leave no mark."""
    marks = heard(g711(samples, law), sizes, law)
    return [n for n in range(digits) if not marks[900 + n * 2 * MARK :][:MARK].any()]


def test_bytes_stand_for_the_samples_that_the_codec_gives() -> None:
    assert np.array_equal(SAMPLES[PCMU], MU_LAW)
    assert np.array_equal(SAMPLES[PCMA], A_LAW)


@pytest.mark.parametrize("law", [PCMU, PCMA])
@pytest.mark.parametrize("sizes", [[80], [160], [240], [320], [480], [33, 160, 7, 200]], ids=str)
def test_every_digit_of_40_ms_leaves_a_mark(law: int, sizes: list[int]) -> None:
    levels = [(-3, -3), (-36, -36), (-10, -6), (-6, -14), (-20, -26), (-26, -20)]  # of the low and the high tone
    digits = [digit(key, *pair, offset) for key in KEYS for pair in levels for offset in (-0.015, 0.0, 0.015)]

    wrong = missed(keyed(digits), len(digits), sizes, law)

    assert wrong == []


def test_noise_15_db_below_hides_no_digit() -> None:
    random = np.random.default_rng(3)
    digits = [digit(key) for key in KEYS * 4]
    samples = keyed(digits)
    power = 2 * (FULL_SCALE * 10 ** ((-10 - 3.17) / 20)) ** 2 / 2
    noise = random.standard_normal(len(samples)) * np.sqrt(power / 10**1.5)

    wrong = missed(samples + noise, len(digits), [160])

    assert wrong == []


def test_all_of_a_long_digit_is_marked_but_for_its_ends() -> None:
    held = np.concatenate([digit("5"), tone(770, -10, 8000, 2.0) + tone(1336, -10, 8000, 0.5)])

    marks = heard(g711(keyed([held])), [160])

    assert marks[900 + 2 * MARK : 900 + len(held) - 160].all()


@pytest.mark.parametrize(
    "name",
    [
        "silence",
        "noise",
        "one tone",
        "ringing",
        "busy",
        "offset",
        "twist",
        "chord",
        "gliding voice",
        "faint",
    ],
)
def test_what_is_no_digit_leaves_no_mark(name: str) -> None:
    random = np.random.default_rng(5)
    n = 80_000
    pitch = 2 * np.pi * np.cumsum(140 + 40 * np.sin(np.arange(n) / 9000)) / 8000
    sounds = {
        "silence": np.zeros(n),
        "noise": random.standard_normal(n) * 4000,
        "one tone": np.concatenate([tone(hertz, -10, n // 8) for hertz in HERTZ]),
        "ringing": tone(440, -10, n) + tone(480, -10, n),
        "busy": tone(480, -10, n) + tone(620, -10, n),
        "offset": np.concatenate([digit(key, offset=by) for key in KEYS for by in (-0.035, -0.03, 0.03, 0.035)]),
        "twist": np.concatenate([digit(key, *pair) for key in KEYS for pair in ((-10.0, -27.5), (-23.5, -10.0))]),
        "chord": np.concatenate([digit(key) + tone(587, -10, MARK) for key in KEYS]),
        "gliding voice": sum((4000 / k * np.sin(k * pitch) for k in range(1, 20)), np.zeros(n)),
        "faint": np.concatenate([digit(key, -60, -60) for key in KEYS]),
    }

    marks = heard(g711(sounds[name]), [160])

    assert not marks.any()


def test_packets_that_come_late_or_not_at_all_hide_no_digit_of_80_ms() -> None:
    rows = packets(0, g711(keyed([np.concatenate([digit(key), digit(key)]) for key in "159#"], 960)), [160])
    shaken = [*rows[:7], rows[8], rows[7], *rows[9:12], *rows[13:17], rows[18], rows[17], *rows[19:]]

    marks = find(InbandTones(), shaken)

    at = [(row.timestamp - rows[0].timestamp) % 2**32 for row, mark in zip(shaken, marks, strict=True) if mark]
    assert all(
        any(start <= place < start + 2 * MARK for place in at) for start in (960 + 3 * MARK * k for k in range(4))
    )


def test_a_flow_that_is_cleared_starts_anew() -> None:
    rows = packets(3, g711(digit("7"))[:300], [150])
    kept, cleared = InbandTones(), InbandTones()
    for tones in (kept, cleared):
        find(tones, rows[:1])

    cleared.clear(np.array([3, 100_000], np.int32))

    assert find(kept, rows[1:]) == [True]
    assert find(cleared, rows[1:]) == [False]


def test_a_change_of_law_begins_a_new_line() -> None:
    tones = InbandTones()
    find(tones, [Packet(0, g711(digit("7"))[:150], 0)])

    assert find(tones, [Packet(0, g711(digit("7"), PCMA)[150:310], 150, PCMA)]) == [True]


def test_rows_without_sound_are_as_if_they_were_not_there() -> None:
    rows = packets(0, g711(keyed([digit("3")])), [80])
    empty = [Packet(0, b"", row.timestamp) for row in rows]
    mixed = [row for pair in zip(rows, empty, strict=True) for row in pair]
    other = [Packet(1, g711(digit("3"), PCMA)[:160], 0, PCMA), Packet(2, b"", 0, PCMU)]

    marks = find(InbandTones(), mixed)

    assert marks[::2] == find(InbandTones(), rows)
    assert not any(marks[1::2])
    assert find(InbandTones(), other) == [True, False]


@pytest.mark.parametrize(
    ("size", "expected"), [(160, range(10, 12)), (80, range(20, 24)), (320, [5]), (100, range(16, 20))]
)
def test_only_rows_with_a_piece_of_the_digit_are_marked(size: int, expected: Sequence[int]) -> None:
    rows = packets(0, g711(keyed([digit("8")], before=10 * 160)), [size])

    marks = find(InbandTones(), rows)

    assert [n for n, mark in enumerate(marks) if mark] == list(expected)


def test_packets_out_of_order_are_read_in_order_of_their_timestamps() -> None:
    rows = packets(0, g711(keyed([digit(key) for key in KEYS])), [120]) + packets(1, g711(keyed([digit("0")])), [80])
    plain = find(InbandTones(), rows)
    swapped = [n ^ 1 if n < 60 and n % 6 < 4 else n for n in range(len(rows))]

    marks = find(InbandTones(), [rows[n] for n in swapped])

    assert sum(plain) > 16
    assert marks == [plain[n] for n in swapped]


def test_what_is_kept_can_be_pickled() -> None:
    rows = packets(2, g711(keyed([digit(key) for key in KEYS])), [77])
    tones, other = InbandTones(), InbandTones()
    first = find(tones, rows[:40])
    find(other, rows[:40])

    again = pickle.loads(pickle.dumps(tones))

    assert any(first)
    assert find(pickle.loads(pickle.dumps(InbandTones())), rows[:40]) == first
    assert find(again, rows[40:]) == find(other, rows[40:])


LINE = g711(keyed([digit(key, -20 - n, -22 + n) for n, key in enumerate("27A*D0")], 133))
SIZES = st.lists(st.sampled_from([1, 7, 33, 80, 160, 161, 240, 320, 480]), min_size=1, max_size=6).filter(
    lambda sizes: sum(sizes) / len(sizes) > 20
)


@given(sizes=SIZES, cuts=st.sets(st.integers(1, 200), max_size=8))
@settings(max_examples=60, deadline=None)
def test_cutting_the_rows_anywhere_moves_a_mark_only_behind_the_cut(sizes: list[int], cuts: set[int]) -> None:
    rows = packets(0, LINE, sizes)
    whole = find(InbandTones(), rows)
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    tones = InbandTones()

    parts = [find(tones, rows[a:b]) for a, b in pairwise(bounds)]

    marks = np.array([mark for part in parts for mark in part])
    begin = np.array([(row.timestamp - rows[0].timestamp) % 2**32 for row in rows])
    assert not (marks & ~np.array(whole)).any()
    for row in np.flatnonzero(np.array(whole) & ~marks):
        end = begin[row] + len(rows[row].payload)
        assert ((begin[marks] >= end) & (begin[marks] < end + 160)).any()


@given(
    sizes=st.lists(SIZES, min_size=2, max_size=5),
    order=st.randoms(use_true_random=False),
    laws=st.lists(st.integers(0, 1), min_size=5, max_size=5),
)
@settings(max_examples=40, deadline=None)
def test_flows_have_nothing_to_do_with_each_other(sizes: list[list[int]], order: Random, laws: list[int]) -> None:
    line = keyed([digit(key) for key in "19"], 133)
    flows = [packets(7 * n, g711(line, law), cut, law) for n, (cut, law) in enumerate(zip(sizes, laws, strict=False))]
    alone = {rows[0].flow: find(InbandTones(), rows) for rows in flows}
    order.shuffle(flows)

    together = find(InbandTones(), [row for rows in flows for row in rows])

    assert together == [mark for rows in flows for mark in alone[rows[0].flow]]


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3000), st.integers(0, 1), st.integers(-3, 900), st.integers(0, 2**32 - 1)), max_size=40
    ),
    data=st.binary(min_size=1, max_size=1200),
    calls=st.integers(1, 3),
)
@settings(max_examples=100, deadline=None)
def test_garbage_gives_marks_and_nothing_else(rows: list[tuple[int, int, int, int]], data: bytes, calls: int) -> None:
    tones, buffers = InbandTones(), Buffers()
    base = buffers.base(np.frombuffer(data, np.uint8))
    flow, law, length, timestamp = np.array(sorted(rows), np.int64).reshape(-1, 4).T

    for _ in range(calls):
        marks = tones.find(
            flow, law.astype(np.uint8), base + timestamp % len(data), length, timestamp.astype(np.uint32), buffers
        )

    assert marks.dtype == np.bool_
    assert len(marks) == len(rows)
    assert not marks[length <= 0].any()
