"""Which seconds were heard: few numbers, never too few seconds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.audio.ranges import WAV_HEADER_BYTES, ByteRange, WavPlace, wav_header
from vittne.appliance.audio.spans import MOST, Spans


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 30_000)), max_size=200))
def test_every_second_that_was_heard_is_told_in_few_spans(heard: list[tuple[int, int]]) -> None:
    spans = Spans()
    for from_ms, length_ms in heard:
        spans.add(from_ms, from_ms + length_ms)

    told = spans.as_json()

    assert len(told) <= MOST
    assert all(before[1] < after[0] for before, after in pairwise(told))
    for from_ms, length_ms in heard:
        assert any(begin * 1000 <= from_ms and from_ms + length_ms <= end * 1000 for begin, end in told)


def test_what_touches_is_one_span() -> None:
    spans = Spans()
    for from_ms, to_ms in ((5000, 6000), (1500, 2500), (2500, 5100), (9000, 9000)):
        spans.add(from_ms, to_ms)
    assert spans.as_json() == [[1, 6]]
    assert spans.seconds() == 5


@given(samples=st.integers(0, 50), channels=st.integers(1, 2), data=st.data())
def test_a_range_of_bytes_is_cut_out_of_header_and_samples(samples: int, channels: int, data: st.DataObject) -> None:
    body = bytes(n % 251 for n in range(samples * channels * 2))
    file = wav_header(samples, 8000, channels) + body
    first = data.draw(st.integers(0, len(file) - 1))
    last = data.draw(st.integers(first, len(file) - 1))

    place = WavPlace.of(ByteRange(first, last), channels)

    size = channels * 2
    found = file[:WAV_HEADER_BYTES][place.header] + body[place.first * size : place.end * size][place.skip :]
    assert found[: last - first + 1] == file[first : last + 1]
