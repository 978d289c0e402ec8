"""When the laws contradict each other: every combination, against the order written down a second time."""

from __future__ import annotations

from itertools import product

import pytest

from vittne.appliance.life.precedence import Act, Decision, Facts, decide

NOW = 1_800_000_000_000_000
BEFORE, AFTER = NOW - 1, NOW + 1

ACTS: tuple[Act, ...] = ("cut", "erase", "expire", "space")
COMBINATIONS = [
    Facts(live, name, locked, expires, restricted, erased, holds, early)
    for live, name, locked, expires, restricted, erased, holds, early in product(
        (False, True),
        ("", "mifid-5y"),
        (None, BEFORE, NOW, AFTER),
        (None, BEFORE, NOW, AFTER),
        (None, BEFORE),
        (None, BEFORE),
        ((), ("case 1",), ("case 1", "case 2")),
        (False, True),
    )
]


def rule_of(act: Act, facts: Facts) -> tuple[bool, str, int]:
    """The order of COMPLIANCE 1.4 as a list of who speaks, the first one counts: (allowed, rule, persons)."""
    locked = facts.locked_until_us == AFTER
    speak = [
        (act == "space", (False, "disk-space", 1)),
        (facts.erased_us is not None, (False, "erased-before", 1)),
        (facts.is_live, (False, "goes-on", 1)),
        (act == "cut", (True, "card-data", 2 if locked else 1)),
        (bool(facts.holds), (False, "legal-hold", 1)),
        (locked and act == "expire", (False, "lock", 1)),
        (locked and not facts.early, (False, "lock", 1)),
        (facts.restricted_us is not None, (False, "restriction", 1)),
        (act == "erase" and locked, (True, "lock", 2)),
        (act == "erase", (True, "erasure", 1)),
        (not facts.retention_class, (False, "no-class", 1)),
        (facts.expires_us is None, (False, "no-end", 1)),
        (facts.expires_us == AFTER, (False, "not-due", 1)),
        (True, (True, "expiry", 1)),
    ]
    return next(said for speaks, said in speak if speaks)


@pytest.mark.parametrize("act", ACTS)
def test_the_first_rule_that_says_something_decides_in_every_combination(act: Act) -> None:
    assert len(COMBINATIONS) == 1536

    for facts in COMBINATIONS:
        decision = decide(act, facts, NOW)
        assert (decision.allowed, decision.rule, decision.persons) == rule_of(act, facts), facts
        assert bool(decision.words) != decision.allowed, facts


def test_nothing_under_a_hold_is_ever_erased_and_card_data_always_can_be() -> None:
    for facts in COMBINATIONS:
        if facts.holds:
            assert not decide("erase", facts, NOW).allowed
            assert not decide("expire", facts, NOW).allowed
        if facts.erased_us is None and not facts.is_live:
            assert decide("cut", facts, NOW).allowed


def test_nothing_goes_by_itself_that_no_class_lets_go_and_a_full_disk_deletes_nothing() -> None:
    for facts in COMBINATIONS:
        assert not decide("space", facts, NOW).allowed
        if decide("space", facts, NOW, may_make_room=True).allowed:
            assert facts.retention_class
            assert not facts.holds
            assert facts.locked_until_us != AFTER
            assert (facts.restricted_us, facts.erased_us, facts.is_live) == (None, None, False)
        if decide("expire", facts, NOW).allowed:
            assert facts.retention_class
            assert facts.expires_us is not None
            assert facts.expires_us <= NOW


def test_inside_a_lock_one_person_alone_can_do_nothing() -> None:
    for act, facts in product(ACTS, COMBINATIONS):
        decision = decide(act, facts, NOW)
        if decision.allowed and facts.locked_until_us == AFTER:
            assert decision.persons == 2


def test_a_decision_is_kept_with_rule_inputs_and_outcome_and_no_label_of_a_hold() -> None:
    facts = Facts(retention_class="mifid-5y", locked_until_us=AFTER, expires_us=AFTER, holds=("the Gabler case",))

    told = decide("erase", facts, NOW).as_json(facts)

    assert told == {
        "act": "erase",
        "rule": "legal-hold",
        "outcome": "refused",
        "persons": 1,
        "inputs": {
            "class": "mifid-5y",
            "locked_until": "2027-01-15T08:00:00.000001Z",
            "expires_at": "2027-01-15T08:00:00.000001Z",
            "restricted_at": None,
            "holds": 1,
        },
    }
    assert Decision("erase", False, "lock").as_json(facts)["rule"] == "lock"
