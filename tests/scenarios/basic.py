"""Plain calls, and the ways in which they begin and end.

Every function returns a Scenario with its truth; alice calls, bob is called.
"""

from __future__ import annotations

from builders import Crypto, Dialog, Endpoint, Scenario, sdp

KEEP_ALIVE_S = 10.0


def pair(scenario: Scenario) -> tuple[Endpoint, Endpoint]:
    """Alice who calls and Bob who is called."""
    return scenario.endpoint("alice", "10.0.0.1", 40_000, "1001"), scenario.endpoint("bob", "10.0.0.2", 50_000, "1002")


def time_goes_on(scenario: Scenario, begin: float, end: float) -> None:
    """OPTIONS between two hosts that have nothing to do with the calls, so that timers run out."""
    one, other = scenario.endpoint("ping", "10.9.0.1"), scenario.endpoint("pong", "10.9.0.2")
    at = begin
    while at < end:
        dialog = scenario.dialog(one, other, call=scenario.call(one, other, expected=False))
        dialog.exchange(at, "OPTIONS")
        at += KEEP_ALIVE_S


def basic_call(seconds: float = 3.0, codec: str = "PCMU", ptime_ms: int = 20) -> Scenario:
    """INVITE, ringing, answer, voice both ways with reports, BYE by the caller."""
    scenario = Scenario("basic call")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    codecs = (codec, "telephone-event")
    offer, answer = (sdp(end.ip, end.rtp_port, codecs, ptime_ms=ptime_ms) for end in (alice, bob))
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    there = scenario.voice(
        alice, bob, answered + 0.01, seconds, call=dialog.call, codec=codec, ptime_ms=ptime_ms, jitter_ms=0.3
    )
    back = scenario.voice(bob, alice, answered + 0.017, seconds, call=dialog.call, codec=codec, ptime_ms=ptime_ms)
    scenario.report(there, alice, bob, answered + seconds / 2)
    scenario.report(back, bob, alice, answered + seconds / 2 + 0.1)
    dialog.bye(answered + seconds + 0.05)
    return scenario


def called_party_hangs_up() -> Scenario:
    """BYE comes from the callee."""
    scenario = Scenario("called party hangs up")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05, by=bob)
    return scenario


def compact_headers() -> Scenario:
    """The basic call with compact header names throughout."""
    scenario = Scenario("compact headers")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob, compact=True)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    return scenario


def early_media() -> Scenario:
    """183 with an answer: the callee's announcement one second before the 200."""
    scenario = Scenario("early media")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port))
    dialog.respond(0.01, 100)
    dialog.respond(0.2, 183, body=sdp(bob.ip, bob.rtp_port))
    early = scenario.voice(bob, alice, 0.21, 1.3, call=dialog.call)
    dialog.respond(1.5, 200, body=sdp(bob.ip, bob.rtp_port))
    dialog.ack(1.51)
    scenario.voice(alice, bob, 1.52, 2.0, call=dialog.call)
    scenario.voice(bob, alice, 1.51, 2.0, call=dialog.call, after=early)
    dialog.bye(3.6)
    return scenario


def late_offer() -> Scenario:
    """INVITE without SDP, the offer in the 200, the answer in the ACK."""
    scenario = Scenario("late offer")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0)
    dialog.respond(0.05, 180)
    dialog.respond(0.5, 200, body=sdp(bob.ip, bob.rtp_port))
    dialog.ack(0.55, sdp(alice.ip, alice.rtp_port, ("PCMA", "telephone-event")))
    scenario.talk(dialog.call, alice, bob, 0.56, 2.0, "PCMA")
    dialog.bye(2.6)
    return scenario


def reliable_provisional() -> Scenario:
    """183 with 100rel, PRACK and its 200 (RFC 3262), early media, 200."""
    scenario = Scenario("PRACK")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port), headers=[("Supported", "100rel")])
    needs = [("Require", "100rel"), ("RSeq", "7001")]
    dialog.respond(0.1, 183, body=sdp(bob.ip, bob.rtp_port), headers=needs)
    dialog.exchange(0.15, "PRACK", headers=[("RAck", "7001 1 INVITE")])
    ringback = scenario.voice(bob, alice, 0.2, 0.8, call=dialog.call)
    dialog.respond(1.0, 200, "INVITE")
    dialog.ack(1.01)
    scenario.voice(alice, bob, 1.02, 2.0, call=dialog.call)
    scenario.voice(bob, alice, 1.0, 2.0, call=dialog.call, after=ringback)
    dialog.bye(3.1)
    return scenario


def media_before_the_answer() -> Scenario:
    """The callee's RTP overtakes its 200 by 300 ms, with no 18x before it."""
    scenario = Scenario("media before the answer")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port))
    back = scenario.voice(bob, alice, 0.7, 0.3, call=dialog.call)
    dialog.respond(1.0, 200, body=sdp(bob.ip, bob.rtp_port))
    dialog.ack(1.01)
    scenario.voice(bob, alice, 1.0, 2.0, call=dialog.call, after=back)
    scenario.voice(alice, bob, 1.02, 2.0, call=dialog.call)
    dialog.bye(3.1)
    return scenario


def cancelled() -> Scenario:
    """The caller gives up while it rings: CANCEL, 487."""
    scenario = Scenario("cancelled")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port))
    dialog.respond(0.05, 180)
    dialog.cancel(2.0)
    return scenario


def rejected(status: int = 486) -> Scenario:
    """A final response that is not 2xx."""
    scenario = Scenario(f"rejected with {status}")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.exchange(0.0, "INVITE", body=sdp(alice.ip, alice.rtp_port), status=status)
    return scenario


def challenged() -> Scenario:
    """407, then the INVITE again with credentials, in the same Call-ID."""
    scenario = Scenario("challenged")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    challenge = [("Proxy-Authenticate", 'Digest realm="example.net", nonce="5f0c1d7e", algorithm=MD5')]
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port))
    dialog.respond(0.01, 407, headers=challenge)
    dialog.ack_failure(0.02)
    credentials = 'Digest username="1001", realm="example.net", nonce="5f0c1d7e", uri="sip:1002@10.0.0.2", '
    credentials += 'response="0123456789abcdef0123456789abcdef"'
    answered = dialog.set_up(0.03, headers=[("Proxy-Authorization", credentials)])
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    return scenario


def redirected() -> Scenario:
    """302 to Carol, whom the caller then calls in the same Call-ID (RFC 3261 8.1.3.4)."""
    scenario = Scenario("redirected")
    alice, bob = pair(scenario)
    carol = scenario.endpoint("carol", "10.0.0.3", 52_000, "1003")
    dialog = scenario.dialog(alice, bob)
    dialog.invite(0.0, sdp(alice.ip, alice.rtp_port))
    dialog.respond(0.1, 302, headers=[("Contact", f"<{carol.uri}>")])
    dialog.ack_failure(0.11)
    dialog.callee = Endpoint("bob", carol.ip, bob.user, carol.rtp_port)  # To stays as it was; the target moves
    answered = dialog.set_up(0.2)
    scenario.voice(alice, carol, answered + 0.01, 2.0, call=dialog.call)
    scenario.voice(carol, alice, answered + 0.02, 2.0, call=dialog.call)
    dialog.bye(answered + 2.05)
    return scenario


def bye_never_seen() -> Scenario:
    """Voice stops and nothing more comes, for two minutes."""
    scenario = Scenario("BYE never seen")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 3.0)
    time_goes_on(scenario, 1.0, 120.0)
    dialog.call.ended_at_ns = max(there.last_at_ns, back.last_at_ns)
    dialog.call.end_reason = "media-silence"
    return scenario


def bye_repeated() -> Scenario:
    """The 200 of the BYE is lost, so the BYE comes three times."""
    scenario = Scenario("BYE repeated")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05, answered=False)
    for delay in (0.5, 1.5):
        dialog.again(answered + 2.05 + delay, dialog.transactions["BYE"])
    dialog.respond(answered + 3.56, 200, "BYE")
    return scenario


def everything_retransmitted() -> Scenario:
    """INVITE, 200 and BYE each come twice half a second apart."""
    scenario = Scenario("retransmissions")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    offer, answer = sdp(alice.ip, alice.rtp_port), sdp(bob.ip, bob.rtp_port)
    invite = dialog.invite(0.0, offer)
    dialog.again(0.5, invite, body=offer)
    dialog.respond(0.55, 180)
    dialog.respond(1.0, 200, body=answer)
    dialog.respond(1.5, 200, body=answer)
    dialog.ack(1.51)
    scenario.talk(dialog.call, alice, bob, 1.02, 2.0)
    dialog.bye(3.1, answered=False)
    dialog.again(3.6, dialog.transactions["BYE"])
    dialog.respond(3.61, 200, "BYE")
    return scenario


def session_timer() -> Scenario:
    """On hold without media, and never refreshed: the session timer (RFC 4028, 90 s) ends it, no BYE comes."""
    scenario = Scenario("session timer")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    timer = [("Supported", "timer"), ("Session-Expires", "90;refresher=uac")]
    dialog.headers = timer
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    held = answered + 2.1
    dialog.exchange(
        held,
        "INVITE",
        body=sdp(alice.ip, alice.rtp_port, direction="inactive", version=2),
        answer=sdp(bob.ip, bob.rtp_port, direction="inactive", version=2),
    )
    time_goes_on(scenario, 5.0, 150.0)
    dialog.call.ended_at_ns, dialog.call.end_reason = scenario.ns(held + 0.01 + 90), "session-timer"
    dialog.call.held.append((scenario.ns(held), scenario.ns(held + 90.01), "caller"))
    return scenario


def joined_in_the_middle() -> Scenario:
    """The capture begins in mid-call: RTP, then a re-INVITE, then BYE."""
    scenario = Scenario("joined in the middle")
    alice, bob = pair(scenario)
    begin = scenario.ns(2.0)
    scenario.sees = lambda at_ns, src, dst: at_ns >= begin
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    there, _ = scenario.talk(dialog.call, alice, bob, answered + 0.01, 5.0)
    offer, answer = sdp(alice.ip, alice.rtp_port), sdp(bob.ip, bob.rtp_port)
    dialog.exchange(3.0, "INVITE", body=offer, answer=answer)
    dialog.bye(answered + 5.05)
    # Answered at first sight (DESIGN 4).
    dialog.call.answered_at_ns = dialog.call.invited_at_ns = there.first_at_ns
    dialog.call.end_reason = "bye"
    return scenario


def only_the_bye() -> Scenario:
    """The capture begins in mid-call and no signalling comes before the BYE: nothing says whose the voices are.

    The truth has the dialog, answered at first sight and without media, and the voices as strays.
    """
    scenario = Scenario("only the BYE")
    alice, bob = pair(scenario)
    begin = scenario.ns(2.0)
    scenario.sees = lambda at_ns, src, dst: at_ns >= begin
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 3.0)
    scenario.voice(bob, alice, answered + 0.017, 3.0)
    dialog.bye(answered + 3.05)
    dialog.call.answered_at_ns = dialog.call.ended_at_ns
    dialog.call.outcome = "no-media"
    return scenario


def ports_used_again() -> Scenario:
    """The same two port pairs carry the next call 100 ms after BYE; a few packets of the first come 80 ms late."""
    scenario = Scenario("ports used again")
    alice, bob = pair(scenario)
    carol = scenario.endpoint("carol", alice.ip, alice.rtp_port, "1003")
    first = scenario.dialog(alice, bob)
    answered = first.set_up(0.0)
    scenario.talk(first.call, alice, bob, answered + 0.01, 2.0)
    ended = answered + 1.93  # the last packets of both directions come after it
    first.bye(ended)
    second = scenario.dialog(carol, bob)
    answered = second.set_up(ended + 0.1, answer_after=0.06)
    scenario.talk(second.call, carol, bob, answered + 0.005, 2.0)
    second.bye(answered + 2.05)
    return scenario


def one_way_audio() -> Scenario:
    """Signalling is whole, the callee never sends RTP."""
    scenario = Scenario("one-way audio")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 2.0, call=dialog.call)
    dialog.bye(answered + 2.05)
    dialog.call.outcome, dialog.call.outcome_reasons = "partial", ["one-way"]
    return scenario


def no_media() -> Scenario:
    """Answered, and not one RTP packet."""
    scenario = Scenario("no media")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    dialog.bye(answered + 3.0)
    dialog.call.outcome = "no-media"
    return scenario


def many_calls(number: int = 50) -> Scenario:
    """Calls that overlap, each two seconds long, by turns in PCMU and PCMA, over UDP."""
    scenario = Scenario("many calls")
    for i in range(number):
        caller = scenario.endpoint(f"caller{i}", f"10.1.0.{i + 1}", 40_000 + 2 * i, f"2{i:03d}")
        callee = scenario.endpoint(f"callee{i}", f"10.2.0.{i % 4 + 1}", 20_000 + 2 * i, f"3{i:03d}")
        dialog: Dialog = scenario.dialog(caller, callee)
        codec = ("PCMU", "PCMA")[i % 2]
        at = 0.037 * i
        answered = dialog.set_up(at, answer_after=0.2)
        scenario.talk(dialog.call, caller, callee, answered + 0.01, 2.0, codec)
        dialog.bye(answered + 2.05, by=(caller, callee)[i % 3 == 0])
    return scenario


def encrypted_with_keys(suite: str = "AES_CM_128_HMAC_SHA1_80") -> Scenario:
    """SRTP with the keys in the SDP (RFC 4568): one key a direction."""
    scenario = Scenario("SRTP, SDES")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    keys = [Crypto(bytes((i * 7 + side) & 0xFF for i in range(30)), suite) for side in (1, 2)]
    offer = sdp(alice.ip, alice.rtp_port, crypto=keys[0])
    answered = dialog.set_up(0.0, offer=offer, answer=sdp(bob.ip, bob.rtp_port, crypto=keys[1]))
    scenario.voice(alice, bob, answered + 0.01, 2.0, call=dialog.call, srtp=keys[0])
    scenario.voice(bob, alice, answered + 0.02, 2.0, call=dialog.call, srtp=keys[1])
    dialog.bye(answered + 2.05)
    return scenario
