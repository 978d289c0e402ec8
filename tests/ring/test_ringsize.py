"""The rule of DESIGN 11.2 for the size of a ring."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import floats, integers

from vittne.capture.ringsize import GIB, MIB, auto_size, memory_available, size_for

rates = floats(0, 2_000_000)


@given(rate=rates, frame=floats(60, 9000), hold_back=floats(2, 30), retire=integers(10, 1000))
def test_a_ring_has_bytes_and_blocks_for_all_the_seconds(
    rate: float, frame: float, hold_back: float, retire: int
) -> None:
    size = size_for(rate, frame_bytes=frame, hold_back_s=hold_back, retire_ms=retire)

    seconds = hold_back + 2 + 8
    assert size.size_bytes >= seconds * rate * (frame + 86)
    assert size.block_count >= 1.5 * seconds * 1000 / retire


@given(rate=rates, frame=floats(60, 9000))
def test_a_ring_carries_the_rate_that_it_was_made_for(rate: float, frame: float) -> None:
    size = size_for(rate, frame_bytes=frame)

    assert size.packets_per_s(15, frame) >= int(rate)


def test_a_gigabit_of_g711_takes_two_gigabytes_and_a_bit() -> None:
    assert 2 * GIB < auto_size(24 * GIB, 1000).size_bytes < 3 * GIB


def test_ten_gigabits_are_planned_as_one_since_a_worker_carries_one() -> None:
    assert auto_size(64 * GIB, 10_000) == auto_size(64 * GIB, 1000)


@given(available=integers(64 * MIB, 64 * GIB), rings=integers(1, 4))
def test_all_rings_together_take_at_most_a_quarter_of_the_memory(available: int, rings: int) -> None:
    size = auto_size(available, 1000, rings=rings)

    least = size_for(0).block_count * (64 << 10)
    assert size.size_bytes <= max(available / 4 / rings, least)
    assert size.block_count >= size_for(0).block_count


def test_the_available_memory_is_read_in_bytes() -> None:
    assert memory_available("MemTotal:       24683928 kB\nMemAvailable:   24332876 kB\n") == 24332876 << 10
    assert memory_available("") == 0
