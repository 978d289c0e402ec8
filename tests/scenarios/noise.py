"""Traffic that is no call, or none that was answered."""

from __future__ import annotations

import random

from builders import Scenario, sdp
from scenarios.basic import pair


def unsignalled_rtp() -> Scenario:
    """Voice both ways between two ports that no SDP names."""
    scenario = Scenario("unsignalled RTP")
    alice, bob = pair(scenario)
    scenario.voice(alice, bob, 0.0, 3.0)
    scenario.voice(bob, alice, 0.01, 3.0)
    return scenario


def registrations() -> Scenario:
    """REGISTER with a challenge, OPTIONS, SUBSCRIBE and NOTIFY, MESSAGE, keep-alives: no call."""
    scenario = Scenario("registrations")
    alice, server = scenario.endpoint("alice", "10.0.0.1", user="1001"), scenario.endpoint("server", "10.0.0.254")

    def dialog_to(method: str, at: float, **more: object) -> None:
        dialog = scenario.dialog(alice, server, call=scenario.call(alice, server, expected=False))
        dialog.exchange(at, method, **more)  # type: ignore[arg-type]

    register = scenario.dialog(alice, server, call=scenario.call(alice, server, expected=False))
    register.exchange(0.0, "REGISTER", status=401, headers=[("Expires", "300")])
    digest = 'Digest username="1001", realm="example.net", nonce="77", uri="sip:example.net", response="00ff"'
    register.exchange(0.1, "REGISTER", headers=[("Expires", "300"), ("Authorization", digest)])
    dialog_to("OPTIONS", 0.5)
    watch = scenario.dialog(alice, server, call=scenario.call(alice, server, expected=False))
    watch.exchange(0.7, "SUBSCRIBE", headers=[("Event", "message-summary"), ("Expires", "300")])
    waiting = b"Messages-Waiting: no\r\n"
    headers = [("Event", "message-summary"), ("Subscription-State", "active")]
    kind = "application/simple-message-summary"
    watch.exchange(0.8, "NOTIFY", by=server, body=waiting, content_type=kind, headers=headers)
    dialog_to("MESSAGE", 1.0, body=b"hello", content_type="text/plain")
    for i in range(5):
        scenario.datagram(2.0 + i, (alice.ip, 5060), (server.ip, 5060), b"\r\n\r\n")
        scenario.datagram(2.1 + i, (alice.ip, 5060), (server.ip, 5060), b"\0")
    return scenario


def scanners(number: int = 100) -> Scenario:
    """A scanner floods INVITEs to numbers of every length; nobody answers, some get 404."""
    scenario = Scenario("scanners")
    chance = random.Random(7)
    target = scenario.endpoint("pbx", "10.0.0.254")
    for i in range(number):
        source = scenario.endpoint("100", "203.0.113.5", 25_282, "100", sip_port=5070 + i % 7)
        callee = scenario.endpoint("pbx", target.ip, user="00" + str(chance.randint(10**6, 10**12)))
        dialog = scenario.dialog(source, callee)
        at = 0.05 * i
        dialog.invite(at, sdp(source.ip, source.rtp_port), headers=[("User-Agent", "friendly-scanner")])
        if i % 5 == 0:
            dialog.respond(at + 0.01, 404)
    return scenario
