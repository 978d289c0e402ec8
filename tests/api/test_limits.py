"""How often a token may ask and a source be wrong, on a clock that is an argument."""

from __future__ import annotations

from hypothesis import given
from hypothesis.strategies import floats, lists

from vittne.appliance.api.limits import FailureBackoff, Limits, TokenRate


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    rate = TokenRate(Limits(burst=3, per_s=2))

    assert [rate.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert rate.take("a", 0.5) == 0
    assert rate.take("a", 0.5) > 0
    assert rate.take("b", 0.5) == 0


@given(steps=lists(floats(0, 5), max_size=60))
def test_no_more_than_burst_and_rate_get_through(steps: list[float]) -> None:
    rate, now, passed = TokenRate(Limits(burst=4, per_s=1)), 0.0, 0

    for step in steps:
        now += step
        passed += rate.take("a", now) == 0

    assert passed <= 4 + now + 1e-6


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    rate = TokenRate(Limits(burst=1, per_s=1))
    rate.take("a", 100.0)

    assert rate.take("a", 0.0) > 0
    assert rate.take("a", 0.5) > 0


def test_waits_double_up_to_a_limit_and_are_forgotten() -> None:
    backoff = FailureBackoff(Limits(failures=2, first_wait_s=1, longest_wait_s=5, forget_s=100))
    now, waits = 0.0, []
    for _ in range(6):
        backoff.failed("192.0.2.1", now)
        waits.append(backoff.wait_s("192.0.2.1", now))
        now += waits[-1]

    assert waits == [0, 1, 2, 4, 5, 5]
    backoff.failed("192.0.2.1", now + 101)
    assert backoff.wait_s("192.0.2.1", now + 101) == 0


def test_a_source_is_an_address_or_an_ipv6_network() -> None:
    backoff = FailureBackoff(Limits(failures=1))
    backoff.failed("192.0.2.1", 0)
    backoff.failed("2001:db8::1", 0)

    assert backoff.wait_s("192.0.2.2", 0) == 0
    assert backoff.wait_s("2001:db8::ffff:1", 0) == 1
    assert backoff.wait_s("2001:db8:0:1::1", 0) == 0


def test_many_sources_take_no_more_than_the_table() -> None:
    backoff, rate = FailureBackoff(Limits(failures=1)), TokenRate(Limits())
    for n in range(10_000):
        backoff.failed(f"10.0.{n >> 8}.{n & 255}", 0)
        rate.take(str(n), 0)

    assert len(backoff._sources) == len(rate._left) == 4096
    assert backoff.wait_s("10.0.39.15", 0) == 1
