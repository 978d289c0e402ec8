"""Calls of more than two hosts: forks, proxies, B2BUAs and transfers."""

from __future__ import annotations

from builders import CallTruth, Dialog, Endpoint, Scenario, StreamTruth, sdp
from scenarios.basic import pair


def _three(scenario: Scenario) -> tuple[Endpoint, Endpoint, Endpoint]:
    alice, bob = pair(scenario)
    return alice, bob, scenario.endpoint("carol", "10.0.0.3", 52_000, "1003")


def forked(*, both_sides: bool = False) -> Scenario:
    """A proxy rings Bob's desk and mobile; both send early media, the mobile answers.

    The mirror is at the caller's side, or at both sides of the proxy. Streams of both branches
    belong to the call and to the callee's seat.
    """
    scenario = Scenario("forked, both sides" if both_sides else "forked")
    alice, desk = pair(scenario)
    mobile = Endpoint("mobile", "10.0.0.4", desk.user, 54_000)
    proxy = scenario.endpoint("proxy", "10.0.0.254")
    visible = None if both_sides else (0,)
    first = scenario.dialog(alice, desk, path=[proxy], visible=visible)
    first.invite(0.0, sdp(alice.ip, alice.rtp_port))
    second = first.fork(mobile, 0.002)
    first.respond(0.1, 183, body=sdp(desk.ip, desk.rtp_port))
    second.respond(0.2, 183, body=sdp(mobile.ip, mobile.rtp_port))
    scenario.voice(desk, alice, 0.11, 1.0, call=first.call)
    early = scenario.voice(mobile, alice, 0.21, 1.0, call=first.call)
    second.respond(1.2, 200, body=sdp(mobile.ip, mobile.rtp_port))
    second.ack(1.22)
    if both_sides:
        first.visible = frozenset((1,))
        first.cancel(1.23)
    scenario.voice(alice, mobile, 1.23, 2.0, call=first.call)
    scenario.voice(mobile, alice, 1.21, 2.0, call=first.call, after=early)
    second.bye(3.3)
    return scenario


def through_a_proxy() -> Scenario:
    """The same messages seen before and behind a proxy: one Call-ID, Via and Record-Route grow; media is direct."""
    scenario = Scenario("through a proxy")
    alice, bob = pair(scenario)
    proxy = scenario.endpoint("proxy", "10.0.0.254")
    dialog = scenario.dialog(alice, bob, path=[proxy])
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    return scenario


def _correlation(kind: str, leg: int) -> list[tuple[str, str]]:
    """Headers by which the legs of a B2BUA name each other."""
    local, remote = "ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2"
    return {
        "session-id": [("Session-ID", f"{local};remote={remote if leg else '0' * 32}")],
        "x-cid": [("X-CID", "leg-a-0815@10.0.0.1")] if leg else [],
        "p-charging-vector": [("P-Charging-Vector", 'icid-value="AyretyU0dm+6O2IrT5tAFrbHLso=";orig-ioi=home1.net')],
        "none": [],
    }[kind]


def b2bua(correlation: str = "none", *, second_codec: str = "PCMU") -> Scenario:
    """A PBX between Alice and Bob: two Call-IDs, media anchored at the PBX, both legs on the mirror.

    correlation: session-id (RFC 7989), x-cid, p-charging-vector or none. With second_codec other
    than PCMU the PBX transcodes; otherwise it passes the payload bytes on under SSRCs of its own.
    """
    scenario = Scenario(f"B2BUA, {correlation}, {second_codec}")
    alice, bob = pair(scenario)
    near = scenario.endpoint("pbx", "10.0.0.100", 30_000, bob.user)  # how the PBX looks from Alice
    far = Endpoint("pbx", "10.0.0.100", alice.user, 30_200)
    call = scenario.call(alice, bob)
    first = scenario.dialog(alice, near, call=call, call_id="leg-a-0815@10.0.0.1" if correlation == "x-cid" else "")
    second = scenario.dialog(far, bob, call=call)
    first.headers, second.headers = _correlation(correlation, 0), _correlation(correlation, 1)
    codecs = (second_codec, "telephone-event")
    first.invite(0.0, sdp(alice.ip, alice.rtp_port))
    first.respond(0.005, 100)
    second.invite(0.02, sdp(far.ip, far.rtp_port, codecs))
    second.respond(0.1, 180)
    first.respond(0.105, 180)
    second.respond(1.0, 200, body=sdp(bob.ip, bob.rtp_port, codecs))
    first.respond(1.005, 200, body=sdp(near.ip, near.rtp_port))
    second.ack(1.01)
    first.ack(1.015)
    there, back = _anchored(scenario, call, (alice, near), (far, bob), 1.02, 3.0, second_codec)
    scenario.report(there, alice, near, 2.5)
    scenario.report(back, bob, far, 2.6)
    first.bye(4.1)
    second.bye(4.105)
    return scenario


def _anchored(
    scenario: Scenario,
    call: CallTruth,
    near: tuple[Endpoint, Endpoint],
    far: tuple[Endpoint, Endpoint],
    at: float,
    seconds: float,
    far_codec: str,
) -> tuple[StreamTruth, StreamTruth]:
    """Voice both ways over two legs; return what the two people send. near and far: (caller's side, callee's)."""
    there = scenario.voice(*near, at, seconds, call=call, party="caller")
    scenario.voice(*far, at + 0.003, seconds, call=call, party="caller", codec=far_codec, copy_of=there)
    back = scenario.voice(*far[::-1], at + 0.005, seconds, call=call, party="callee", codec=far_codec)
    scenario.voice(*near[::-1], at + 0.008, seconds, call=call, party="callee", copy_of=back)
    return there, back


def refer(dialog: Dialog, at: float, by: Endpoint, target: str) -> None:
    """REFER, 202, and NOTIFYs with 100 and 200 (RFC 3515)."""
    other = dialog.caller if by.name == dialog.callee.name else dialog.callee
    headers = [("Refer-To", f"<{target}>"), ("Referred-By", f"<{by.address_of_record}>")]
    dialog.exchange(at, "REFER", by=by, headers=headers, status=202)
    for delay, line in ((0.02, "SIP/2.0 100 Trying"), (0.9, "SIP/2.0 200 OK")):
        state = "active;expires=60" if delay < 0.5 else "terminated;reason=noresource"
        dialog.exchange(
            at + delay,
            "NOTIFY",
            by=other,
            body=f"{line}\r\n".encode(),
            content_type="message/sipfrag;version=2.0",
            headers=[("Event", "refer"), ("Subscription-State", state)],
        )


def blind_transfer() -> Scenario:
    """Bob refers Alice to Carol and hangs up; Alice calls Carol. One call, Carol takes Bob's seat."""
    scenario = Scenario("blind transfer")
    alice, bob, carol = _three(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    call = dialog.call
    scenario.talk(call, alice, bob, answered + 0.01, 2.0)
    at = answered + 2.1
    refer(dialog, at, bob, carol.address_of_record)
    dialog.bye(at + 1.0, by=bob)
    onward = scenario.dialog(alice.moved(40_010), carol, call=call)
    answered = onward.set_up(at + 0.1, answer_after=0.7, headers=[("Referred-By", f"<{bob.address_of_record}>")])
    scenario.talk(call, onward.caller, carol, answered + 0.01, 2.0)
    onward.bye(answered + 2.1, by=carol)
    call.parties.append(carol.user)
    return scenario


def attended_transfer() -> Scenario:
    """Bob holds Alice, asks Carol, and connects the two with Replaces (RFC 3891).

    One call with three Call-IDs: Alice's voice is the caller's side; Bob's, and that of Carol
    whom he brought in, the callee's.
    """
    scenario = Scenario("attended transfer")
    alice, bob, carol = _three(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    call = dialog.call
    scenario.talk(call, alice, bob, answered + 0.01, 2.0)
    at = answered + 2.1
    held = sdp(bob.ip, bob.rtp_port, direction="sendonly", version=2)
    quiet = sdp(alice.ip, alice.rtp_port, direction="recvonly", version=2)
    dialog.exchange(at, "INVITE", by=bob, body=held, answer=quiet)
    asking = scenario.dialog(bob.moved(50_010), carol, call=call)
    asked = asking.set_up(at + 0.1, answer_after=0.4)
    scenario.talk(call, asking.caller, carol, asked + 0.01, 1.5)
    at = asked + 1.6
    replaces = f"{asking.call_id}%3Bto-tag%3D{asking.callee_tag}%3Bfrom-tag%3D{asking.caller_tag}"
    refer(dialog, at, bob, f"{carol.uri}?Replaces={replaces}")
    joined = scenario.dialog(alice.moved(40_010), carol.moved(52_010), call=call)
    plain = replaces.replace("%3B", ";").replace("%3D", "=")
    answered = joined.set_up(at + 0.1, answer_after=0.1, headers=[("Replaces", plain), ("Require", "replaces")])
    asking.bye(answered + 0.05, by=carol)
    dialog.bye(at + 1.0, by=bob)
    scenario.talk(call, joined.caller, joined.callee, answered + 0.02, 2.0)
    joined.bye(answered + 2.1)
    call.parties.append(carol.user)
    return scenario
