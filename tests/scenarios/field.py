"""What the field adds: shared hosts and ports, PBXs that transfer inside, NATs that change their mind, thieves."""

from __future__ import annotations

import dataclasses

from builders import CODECS, CallTruth, Codec, Endpoint, Scenario, sdp
from building.rtp import KEYS
from scenarios.basic import pair


def _leg_pair(
    scenario: Scenario, call: CallTruth, caller: Endpoint, callee: Endpoint, ports: tuple[int, int], at: float
) -> None:
    """A call to one number through a PBX that shows nothing of itself: two Call-IDs, media anchored."""
    near = scenario.endpoint("pbx", "10.0.0.100", ports[0], callee.user)
    far = Endpoint("pbx", "10.0.0.100", caller.user, ports[1])
    first = scenario.dialog(caller, near, call=call)
    second = scenario.dialog(far, callee, call=call)
    first.invite(at, sdp(caller.ip, caller.rtp_port))
    second.invite(at + 0.02, sdp(far.ip, far.rtp_port))
    second.respond(at + 0.6, 200, body=sdp(callee.ip, callee.rtp_port))
    first.respond(at + 0.605, 200, body=sdp(near.ip, near.rtp_port))
    second.ack(at + 0.61)
    first.ack(at + 0.615)
    there = scenario.voice(caller, near, at + 0.62, 2.0, call=call, party="caller")
    scenario.voice(far, callee, at + 0.623, 2.0, call=call, party="caller", copy_of=there)
    back = scenario.voice(callee, far, at + 0.625, 2.0, call=call, party="callee")
    scenario.voice(near, caller, at + 0.628, 2.0, call=call, party="callee", copy_of=back)
    first.bye(at + 2.7)
    second.bye(at + 2.705)


def hotline() -> Scenario:
    """Three callers ask for the same number at the same PBX within a second: three calls of two legs each."""
    scenario = Scenario("hotline")
    for i, at in enumerate((0.0, 0.3, 0.55)):
        caller = scenario.endpoint(f"caller{i}", f"10.0.1.{i + 1}", 40_000, f"20{i}")
        agent = scenario.endpoint(f"agent{i}", f"10.0.2.{i + 1}", 50_000, "1000")
        call = scenario.call(caller, agent)
        _leg_pair(scenario, call, caller, agent, (30_000 + 4 * i, 31_000 + 4 * i), at)
    return scenario


def transferred_inside_the_pbx() -> Scenario:
    """Bob's telephone sends the PBX a REFER with Replaces; the PBX joins Alice and Carol without an INVITE."""
    scenario = Scenario("transferred inside the PBX")
    alice, bob = pair(scenario)
    carol = scenario.endpoint("carol", "10.0.0.3", 52_000, "1003")
    pbx = "10.0.0.100"
    call = scenario.call(alice, bob)
    to_bob = Endpoint("pbx", pbx, alice.user, 30_000)
    first = scenario.dialog(to_bob, bob, call=call)
    answered = first.set_up(0.0)
    scenario.voice(to_bob, bob, answered + 0.01, 2.0, call=call, party="caller")
    scenario.voice(bob, to_bob, answered + 0.02, 2.0, call=call, party="callee")
    from_bob = bob.moved(50_010)
    to_carol = Endpoint("pbx", pbx, carol.user, 30_010)
    second = scenario.dialog(from_bob, to_carol, call=call)
    asked = second.set_up(2.6, answer_after=0.4)
    scenario.voice(from_bob, to_carol, asked + 0.01, 1.5, call=call, party="callee")
    scenario.voice(to_carol, from_bob, asked + 0.02, 1.5, call=call, party="callee")
    replaces = f"{second.call_id}%3Bto-tag%3D{second.callee_tag}%3Bfrom-tag%3D{second.caller_tag}"
    target = f"<{carol.uri}?Replaces={replaces}>"
    first.exchange(asked + 1.6, "REFER", by=bob, headers=[("Refer-To", target)], status=202)
    first.bye(asked + 1.8, by=bob)
    second.bye(asked + 1.81)
    call.parties.append(carol.user)
    return scenario


def both_branches_answer() -> Scenario:
    """Desk and mobile pick up at once: two dialogs are answered, the caller hangs up the second (RFC 3261 13.2.2.4)."""
    scenario = Scenario("both branches answer")
    alice, desk = pair(scenario)
    mobile = Endpoint("mobile", "10.0.0.4", desk.user, 54_000)
    proxy = scenario.endpoint("proxy", "10.0.0.254")
    first = scenario.dialog(alice, desk, path=[proxy], visible=(0,))
    first.invite(0.0, sdp(alice.ip, alice.rtp_port))
    second = first.fork(mobile, 0.002)
    first.respond(1.0, 200, body=sdp(desk.ip, desk.rtp_port))
    second.respond(1.01, 200, body=sdp(mobile.ip, mobile.rtp_port))
    first.ack(1.02)
    second.ack(1.03)
    second.bye(1.1, by=alice)
    scenario.talk(first.call, alice, desk, 1.03, 2.0)
    first.bye(3.1)
    return scenario


def nat_rebinding() -> Scenario:
    """A NAT gives the caller's stream another address in the middle: same SSRC, sequence goes on."""
    scenario = Scenario("NAT rebinding")
    _, bob = pair(scenario)
    alice = Endpoint("alice", "192.168.1.10", "1001", 40_000, public_ip="198.51.100.7", public_rtp_port=61_000)
    moved = dataclasses.replace(alice, public_ip="198.51.100.8", public_rtp_port=61_222)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there = scenario.voice(alice, bob, answered + 0.01, 1.0, call=dialog.call)
    scenario.voice(moved, bob, answered + 1.01, 1.0, call=dialog.call, after=there)
    scenario.voice(bob, alice, answered + 0.02, 2.0, call=dialog.call)
    dialog.bye(answered + 2.1)
    return scenario


def only_the_callee() -> Scenario:
    """Only what the callee sends is mirrored: responses and one voice."""
    scenario = Scenario("only the callee")
    alice, bob = pair(scenario)
    scenario.sees = lambda at_ns, src, dst: src == bob.ip
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.02, 2.0)
    dialog.bye(answered + 2.1)
    call = dialog.call
    call.invited_at_ns = scenario.ns(0.01 + 0.04)  # the 180
    call.ended_at_ns, call.end_reason = scenario.ns(answered + 2.11), "bye"
    call.outcome, call.outcome_reasons = "partial", ["one-way"]
    return scenario


def refused_change() -> Scenario:
    """A re-INVITE to another port is refused with 488: everything goes on as before."""
    scenario = Scenario("refused change")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.exchange(answered + 2.02, "INVITE", body=sdp(alice.ip, 40_900, version=2), status=488)
    scenario.voice(alice, bob, answered + 2.05, 3.0, call=dialog.call, after=there)
    scenario.voice(bob, alice, answered + 2.05, 3.0, call=dialog.call, after=back)
    dialog.bye(answered + 5.1)
    return scenario


def same_stream_again() -> Scenario:
    """A load generator plays the same file in every call: ports, SSRC and sequence are those of the call before."""
    scenario = Scenario("the same stream again")
    alice, bob = pair(scenario)
    at = 0.0
    for _ in range(3):
        dialog = scenario.dialog(alice, bob)
        answered = dialog.set_up(at, answer_after=0.1)
        for sender, receiver, ssrc in ((alice, bob, 0x1234), (bob, alice, 0x5678)):
            scenario.voice(sender, receiver, answered + 0.01, 2.0, call=dialog.call, ssrc=ssrc, seq=1, timestamp=0)
        dialog.bye(answered + 2.05)
        at = answered + 2.1
    return scenario


def ports_named_by_a_thief() -> Scenario:
    """Mallory calls and names Alice's port as hers, is answered, and Bob's port in a call that nobody answers."""
    scenario = Scenario("ports named by a thief")
    alice, bob = pair(scenario)
    mallory = Endpoint("mallory", "203.0.113.66", "6666", alice.rtp_port)
    victim = scenario.endpoint("carol", "10.0.0.3", 52_000, "1003")
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    theft = scenario.dialog(mallory, victim)
    theft.set_up(answered + 1.0, offer=sdp(alice.ip, alice.rtp_port))
    scenario.voice(victim, alice, answered + 1.6, 0.5, call=theft.call, party="callee")
    idle = scenario.dialog(mallory, bob)
    idle.invite(answered + 1.2, sdp(bob.ip, bob.rtp_port))
    idle.respond(answered + 1.3, 486)
    scenario.voice(alice, bob, answered + 2.01, 3.0, call=dialog.call, after=there)
    scenario.voice(bob, alice, answered + 2.017, 3.0, call=dialog.call, after=back)
    theft.bye(answered + 2.3)
    dialog.bye(answered + 5.1)
    theft.call.outcome, theft.call.outcome_reasons = "partial", ["one-way"]
    return scenario


def hung_up_by_a_stranger() -> Scenario:
    """Somebody who learned the Call-ID, and no tag, sends a BYE in mid-call."""
    scenario = Scenario("hung up by a stranger")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 6.0)
    stranger = scenario.endpoint("mallory", "203.0.113.66", user="6666")
    forged = scenario.dialog(stranger, bob, call=scenario.call(stranger, bob, expected=False), call_id=dialog.call_id)
    forged.callee_tag = "guessed"
    forged.request(answered + 1.0, "BYE")
    dialog.bye(answered + 6.1)
    return scenario


def digits_get_another_number() -> Scenario:
    """telephone-event is 101, then 96 after a re-INVITE; keys are pressed under both, the last one under the old."""
    scenario = Scenario("digits get another number")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there = scenario.voice(alice, bob, answered + 0.01, 2.0, call=dialog.call, keys=[(0.5, "4")])
    back = scenario.voice(bob, alice, answered + 0.02, 2.0, call=dialog.call)
    moved = ("PCMU", dataclasses.replace(CODECS["telephone-event"], payload_type=96))
    offer, answer = (sdp(end.ip, end.rtp_port, moved, version=2) for end in (alice, bob))
    dialog.exchange(answered + 2.02, "INVITE", body=offer, answer=answer)
    event = [bytes((KEYS.index("7"), 10, 0, 160 * (i + 1) & 0xFF)) for i in range(8)]
    for i, payload_type in enumerate((96, 101)):
        keys = Codec("telephone-event", payload_type, 8000)
        scenario.voice(alice, bob, answered + 2.1 + i, 0.16, call=dialog.call, codec=keys, data=event, after=there)
        scenario.voice(alice, bob, answered + 2.3 + i, 0.7, call=dialog.call, after=there)
    scenario.voice(bob, alice, answered + 2.05, 2.0, call=dialog.call, after=back)
    dialog.bye(answered + 4.1)
    return scenario
