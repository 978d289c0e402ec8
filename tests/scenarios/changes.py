"""What changes in the middle of a call: ports, codecs, hold, SSRC, payload type, ptime."""

from __future__ import annotations

from builders import Endpoint, Scenario, sdp
from scenarios.basic import pair


def port_moves(method: str = "INVITE") -> Scenario:
    """The caller moves its media to another port with a re-INVITE (or UPDATE): same SSRCs, other port."""
    scenario = Scenario(f"port moves by {method}")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    moved = alice.moved(40_100, "10.0.0.9")
    offer = sdp(alice.ip, moved.rtp_port, connection=moved.ip, version=2)
    dialog.exchange(answered + 2.02, method, body=offer, answer=sdp(bob.ip, bob.rtp_port, version=2))
    media = Endpoint("alice", moved.ip, alice.user, moved.rtp_port)
    scenario.voice(media, bob, answered + 2.05, 2.0, call=dialog.call, after=there)
    scenario.voice(bob, media, answered + 2.05, 2.0, call=dialog.call, after=back)
    dialog.bye(answered + 4.1)
    return scenario


def codec_changes(method: str = "INVITE") -> Scenario:
    """The callee changes from PCMU to G.722 with a re-INVITE (or UPDATE) of its own."""
    scenario = Scenario(f"codec changes by {method}")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    codecs = ("G722", "telephone-event")
    offer, answer = sdp(bob.ip, bob.rtp_port, codecs, version=2), sdp(alice.ip, alice.rtp_port, codecs, version=2)
    dialog.exchange(answered + 2.02, method, by=bob, body=offer, answer=answer)
    scenario.voice(alice, bob, answered + 2.05, 2.0, call=dialog.call, codec="G722", after=there)
    scenario.voice(bob, alice, answered + 2.05, 2.0, call=dialog.call, codec="G722", after=back)
    dialog.bye(answered + 4.1)
    return scenario


def hold(style: str = "sendonly") -> Scenario:
    """The caller holds for two seconds and comes back.

    style: sendonly (music from another SSRC of the caller's port plays), inactive, or
    0.0.0.0 (RFC 2543). The voices keep their SSRC; their timestamps go on with the clock.
    """
    scenario = Scenario(f"hold by {style}")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    begin, end = answered + 2.1, answered + 4.1
    if style == "0.0.0.0":
        offer = sdp(alice.ip, alice.rtp_port, connection="0.0.0.0", version=2)
        answer = sdp(bob.ip, bob.rtp_port, version=2)
    else:
        offer = sdp(alice.ip, alice.rtp_port, direction=style, version=2)
        other = {"sendonly": "recvonly", "inactive": "inactive"}[style]
        answer = sdp(bob.ip, bob.rtp_port, direction=other, version=2)
    dialog.exchange(begin, "INVITE", body=offer, answer=answer)
    if style == "sendonly":
        scenario.voice(alice, bob, begin + 0.05, 1.9, call=dialog.call, sound_of="music")
    resumed = sdp(alice.ip, alice.rtp_port, version=3), sdp(bob.ip, bob.rtp_port, version=3)
    dialog.exchange(end, "INVITE", body=resumed[0], answer=resumed[1])
    scenario.voice(alice, bob, end + 0.05, 2.0, call=dialog.call, after=there)
    scenario.voice(bob, alice, end + 0.05, 2.0, call=dialog.call, after=back)
    dialog.bye(end + 2.1)
    dialog.call.held.append((scenario.ns(begin), scenario.ns(end), "caller"))
    return scenario


def ssrc_changes() -> Scenario:
    """The callee starts anew with another SSRC, sequence and timestamp, without signalling."""
    scenario = Scenario("SSRC changes")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 4.0, call=dialog.call)
    scenario.voice(bob, alice, answered + 0.017, 2.0, call=dialog.call)
    scenario.voice(bob, alice, answered + 2.017, 2.0, call=dialog.call)
    dialog.bye(answered + 4.1)
    return scenario


def payload_type_changes() -> Scenario:
    """PCMU, then PCMA for one second, then PCMU again, in one SSRC, as both were negotiated."""
    scenario = Scenario("payload type changes")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 3.0, call=dialog.call)
    back = scenario.voice(bob, alice, answered + 0.017, 1.0, call=dialog.call)
    scenario.voice(bob, alice, answered + 1.017, 1.0, call=dialog.call, codec="PCMA", after=back)
    scenario.voice(bob, alice, answered + 2.017, 1.0, call=dialog.call, after=back)
    dialog.bye(answered + 3.1)
    return scenario


def ptime_changes() -> Scenario:
    """20 ms, then 30 ms, then 10 ms a packet, without a word in the SDP."""
    scenario = Scenario("ptime changes")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(bob, alice, answered + 0.017, 3.6, call=dialog.call)
    there = scenario.voice(alice, bob, answered + 0.01, 1.2, call=dialog.call)
    scenario.voice(alice, bob, answered + 1.21, 1.2, call=dialog.call, ptime_ms=30, after=there)
    scenario.voice(alice, bob, answered + 2.41, 1.2, call=dialog.call, ptime_ms=10, after=there)
    dialog.bye(answered + 3.7)
    return scenario


def sequence_wraps() -> Scenario:
    """Sequence number and timestamp pass their end in mid-call."""
    scenario = Scenario("sequence wraps")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 3.0, call=dialog.call, seq=65_500, timestamp=2**32 - 8000)
    scenario.voice(bob, alice, answered + 0.02, 3.0, call=dialog.call)
    dialog.bye(answered + 3.1)
    return scenario


def glare() -> Scenario:
    """Both ends send a re-INVITE at once: 491 both ways, then the caller's works (RFC 3261 14.1)."""
    scenario = Scenario("glare")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 3.0)
    at = answered + 3.02
    one = dialog.request(at, "INVITE", body=sdp(alice.ip, 40_200, version=2))
    other = dialog.request(at + 0.001, "INVITE", by=bob, body=sdp(bob.ip, 50_200, version=2))
    dialog.respond(at + 0.01, 491, one)
    dialog.respond(at + 0.011, 491, other)
    dialog.ack_failure(at + 0.02, to=one)
    dialog.ack_failure(at + 0.021, to=other)
    dialog.exchange(
        at + 2.1, "INVITE", body=sdp(alice.ip, 40_200, version=3), answer=sdp(bob.ip, bob.rtp_port, version=2)
    )
    moved = alice.moved(40_200)
    scenario.voice(moved, bob, at + 2.2, 1.0, call=dialog.call, after=there)
    scenario.voice(bob, moved, at + 2.2, 1.0, call=dialog.call, after=back)
    dialog.bye(at + 3.3)
    return scenario


def comfort_noise() -> Scenario:
    """Silence suppression: the caller's stream stops for a second, twice, each time after one CN packet (RFC 3389)."""
    scenario = Scenario("comfort noise")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    codecs = ("PCMU", "CN", "telephone-event")
    offer, answer = sdp(alice.ip, alice.rtp_port, codecs), sdp(bob.ip, bob.rtp_port, codecs)
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    pauses = ((50, 100), (150, 200))
    scenario.voice(alice, bob, answered + 0.01, 5.0, call=dialog.call, silent=pauses, comfort_noise=True)
    scenario.voice(bob, alice, answered + 0.02, 5.0, call=dialog.call)
    dialog.bye(answered + 5.1)
    return scenario
