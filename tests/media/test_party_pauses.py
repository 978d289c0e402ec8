"""A pause of a party holds for the person: through transfers either way, wherever the voice is heard then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from builders import START_NS, Endpoint, Scenario, StreamTruth, sdp
from building.playing import Result, play
from hypothesis import given
from hypothesis import strategies as st
from scenarios import transfers
from scenarios.basic import pair
from scenarios.transfers import refer

from vittne.capture import pausing
from vittne.capture.columns import SECOND
from vittne.capture.pausing import Answer, PauseOrder
from vittne.capture.persons import Party, Persons
from vittne.capture.pipeline import Pipeline

Said = dict[str, list[StreamTruth]]
LATE_S = 1.0  # when the pause is asked for: everybody who is up by then has talked


def three() -> tuple[Scenario, Endpoint, Endpoint, Endpoint, Said]:
    scenario = Scenario("a party")
    alice, bob = pair(scenario)
    carol = scenario.endpoint("carol", "10.0.0.3", 52_000, "1003")
    return scenario, alice, bob, carol, {"alice": [], "bob": [], "carol": []}


def talk(scenario: Scenario, said: Said, one: Endpoint, other: Endpoint, at: float, seconds: float = 3.0) -> None:
    there, back = scenario.talk(scenario.truth.calls[0], one, other, at, seconds)
    said[one.name].append(there)
    said[other.name].append(back)


def blind(by_caller: bool) -> tuple[Scenario, Said, list[str]]:
    """Alice calls Bob; one of them refers the other to Carol and leaves."""
    scenario, alice, bob, carol, said = three()
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    talk(scenario, said, alice, bob, answered + 0.01)
    leaves, stays = (alice, bob) if by_caller else (bob, alice)
    at = answered + 3.1
    refer(dialog, at, leaves, carol.address_of_record)
    dialog.bye(at + 1.0, by=leaves)
    onward = scenario.dialog(stays.moved(44_010), carol, call=dialog.call)
    answered = onward.set_up(at + 0.1, answer_after=0.7, headers=[("Referred-By", f"<{leaves.address_of_record}>")])
    talk(scenario, said, onward.caller, carol, answered + 0.01)
    onward.bye(answered + 3.1)
    return scenario, said, [dialog.call_id]


def attended(by_caller: bool) -> tuple[Scenario, Said, list[str]]:
    """Alice calls Bob; one of them asks Carol, and connects her with the other."""
    scenario, alice, bob, carol, said = three()
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    talk(scenario, said, alice, bob, answered + 0.01)
    leaves, stays = (alice, bob) if by_caller else (bob, alice)
    at = answered + 3.1
    held = sdp(leaves.ip, leaves.rtp_port, direction="sendonly", version=2)
    quiet = sdp(stays.ip, stays.rtp_port, direction="recvonly", version=2)
    dialog.exchange(at, "INVITE", by=leaves, body=held, answer=quiet)
    asking = scenario.dialog(leaves.moved(50_010), carol, call=dialog.call)
    asked = asking.set_up(at + 0.1, answer_after=0.4)
    talk(scenario, said, asking.caller, carol, asked + 0.01)
    at = asked + 3.1
    replaces = f"{asking.call_id}%3Bto-tag%3D{asking.callee_tag}%3Bfrom-tag%3D{asking.caller_tag}"
    refer(dialog, at, leaves, f"{carol.uri}?Replaces={replaces}")
    joined = scenario.dialog(stays.moved(44_010), carol.moved(52_010), call=dialog.call)
    plain = replaces.replace("%3B", ";").replace("%3D", "=")
    answered = joined.set_up(at + 0.1, answer_after=0.1, headers=[("Replaces", plain), ("Require", "replaces")])
    asking.bye(answered + 0.05, by=carol)
    dialog.bye(at + 1.0, by=leaves)
    talk(scenario, said, joined.caller, joined.callee, answered + 0.02)
    joined.bye(answered + 3.1)
    return scenario, said, [dialog.call_id, asking.call_id]


def paused(result: Result, said: Said, after_s: float) -> dict[str, bool | None]:
    """Whether what each says from a time on was left out; None: partly, or nothing was said."""
    left_out: dict[int, int] = {}
    seen: dict[int, int] = {}
    for report in result.reports:
        for stream in report["streams"]:
            ssrc = int(stream["ssrc"], 16)
            left_out[ssrc] = stream["dropped"].get("paused", 0)
            seen[ssrc] = stream["packets"]
    found: dict[str, bool | None] = {}
    for name, streams in said.items():
        later = {s.ssrc for s in streams if s.first_at_ns > START_NS + after_s * SECOND}
        counts = {0 if not left_out[ssrc] else 1 if left_out[ssrc] == seen[ssrc] else 2 for ssrc in later}
        found[name] = {frozenset({0}): False, frozenset({1}): True}.get(frozenset(counts))
    return found


def party_pause(at_s: float, call_id: str, party: str, answers: list[Answer]) -> dict[int, Callable[..., None]]:
    def order(pipeline: Pipeline, at_ns: int, mono_ns: int) -> None:
        select = {"sip_call_id": call_id}
        lease = 600 * SECOND
        wanted = PauseOrder("p", "api", "me", select, at_ns, mono_ns, lease, scope="party", party=party)
        answers.append(pausing.pause(pipeline, wanted))

    return {START_NS + round(at_s * SECOND): order}


@pytest.mark.parametrize("party", ["caller", "callee"])
@pytest.mark.parametrize("by_caller", [False, True], ids=["callee transfers", "caller transfers"])
@pytest.mark.parametrize("how", [blind, attended])
def test_a_pause_follows_who_stays_and_touches_nobody_who_comes(
    how: Callable[[bool], tuple[Scenario, Said, list[str]]], by_caller: bool, party: str
) -> None:
    scenario, said, call_ids = how(by_caller)
    answers: list[Answer] = []

    result = play(scenario, orders=party_pause(LATE_S, call_ids[0], party, answers))

    assert answers[0].state == pausing.PAUSED
    whose = {"caller": "alice", "callee": "bob"}[party]
    after = paused(result, said, 3.5)
    leaves, stays = ("alice", "bob") if by_caller else ("bob", "alice")
    assert after[stays] is (whose == stays)
    assert after["carol"] is False
    assert after[leaves] is (whose == leaves if how is attended else None)  # he talks on in the consultation


@pytest.mark.parametrize("party", ["caller", "callee"])
@pytest.mark.parametrize("by_caller", [False, True], ids=["callee transfers", "caller transfers"])
def test_a_pause_of_a_consultation_is_on_the_same_person_when_the_calls_become_one(by_caller: bool, party: str) -> None:
    scenario, said, call_ids = attended(by_caller)
    answers: list[Answer] = []

    result = play(scenario, orders=party_pause(5.6, call_ids[1], party, answers))

    assert answers[0].state == pausing.PAUSED
    after = paused(result, said, 7.0)
    leaves, stays = ("alice", "bob") if by_caller else ("bob", "alice")
    assert after["carol"] is (party == "callee")
    assert after[stays] is False
    assert after[leaves] is None  # gone


def test_both_legs_of_a_b2bua_are_one_person() -> None:
    scenario = transfers.b2bua("session-id")
    answers: list[Answer] = []

    result = play(scenario, orders=party_pause(1.5, scenario.truth.calls[0].call_ids[0], "caller", answers))

    (report,) = result.reports
    for stream in report["streams"]:
        assert bool(stream["dropped"].get("paused")) == (stream["party"] == "caller")


@given(pairs=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12))
def test_who_is_one_person_is_so_whoever_is_asked_first(pairs: list[tuple[int, int]]) -> None:
    persons = Persons()
    groups = [{number} for number in range(9)]
    for one, other in pairs:
        persons.join(_party(one), _party(other))
        both = groups[one] | groups[other]
        for number in both:
            groups[number] = both

    for one in range(9):
        for other in range(9):
            assert (persons.who(_party(one)) == persons.who(_party(other))) == (other in groups[one])


def _party(number: int) -> Party:
    return f"call-{number // 2}", number % 2
