"""Sampling: sizes within their bounds, no order that matters, and weights that weigh."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.review.plans import PlanConfig
from vittne.appliance.review.sampling import Candidate, draw, population_hash, seed_of, size_of

PLAN = PlanConfig(name="p", percent=10, least=2, most=20, weights={"long": 3.0})
SEED = seed_of(PLAN, "2026-01")
populations = st.lists(
    st.builds(Candidate, st.uuids().map(str), st.sampled_from("ab"), st.sampled_from([(), ("long",)])),
    unique_by=lambda one: one.recording,
    max_size=80,
)


@given(population=populations, seed=st.randoms(use_true_random=False))
def test_the_order_in_which_calls_are_found_changes_nothing(population: list[Candidate], seed: object) -> None:
    other = population[::-1]

    assert draw(PLAN, SEED, population) == draw(PLAN, SEED, other)
    assert population_hash(population) == population_hash(other)


@given(population=populations)
def test_every_group_gets_its_share_and_no_call_is_drawn_twice(population: list[Candidate]) -> None:
    drawn = draw(PLAN, SEED, population)

    assert len({one.recording for one in drawn}) == len(drawn)
    for group in "ab":
        count = sum(1 for one in population if one.group == group)
        assert sum(1 for one in drawn if one.group == group) == size_of(PLAN, count)


def test_a_call_with_weight_three_is_drawn_before_a_plain_one_three_times_of_four() -> None:
    plan = PLAN.model_copy(update={"percent": 0.0, "least": 1})
    pair = [Candidate("a", "g", ("long",)), Candidate("b", "g")]

    wins = sum(draw(plan, seed_of(plan, f"month {n}"), pair)[0].recording == "a" for n in range(4000))

    assert 0.72 < wins / 4000 < 0.78


def test_another_month_or_other_terms_are_another_seed_and_other_reviewers_are_not() -> None:
    assert seed_of(PLAN, "2026-02") != SEED
    assert seed_of(PLAN.model_copy(update={"percent": 11.0}), "2026-01") != SEED
    assert seed_of(PLAN.model_copy(update={"reviewers": ("Ann",)}), "2026-01") == SEED
