"""What networks and mirrors do to calls: NAT, loss, duplicates, transports, fragments, encryption."""

from __future__ import annotations

import random

from builders import (
    CODECS,
    Codec,
    Endpoint,
    Scenario,
    TcpCarrier,
    WebSocketCarrier,
    at_places,
    every,
    sdp,
    voice_of,
)
from building.carriers import Cut, sent_twice, swapped, without
from building.rtp import dtls_client_hello, stun_binding
from scenarios.basic import basic_call, pair

FINGERPRINT = ":".join(f"{(i * 37 + 11) & 255:02X}" for i in range(32))


def nat(*, latching: bool = False) -> Scenario:
    """Alice's SDP names a private address; her packets come from a public one, and Bob answers there.

    latching: Bob sends to the private address until he has heard her (half a second).
    """
    scenario = Scenario("NAT, latching" if latching else "NAT")
    _, bob = pair(scenario)
    alice = Endpoint("alice", "192.168.1.10", "1001", 40_000, public_ip="198.51.100.7", public_rtp_port=61_000)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    back = None
    if latching:
        inside = Endpoint("alice", alice.ip, alice.user, alice.rtp_port)
        back = scenario.voice(bob, inside, answered + 0.01, 0.5, call=dialog.call)
    scenario.voice(alice, bob, answered + 0.4, 3.0, call=dialog.call)
    scenario.voice(bob, alice, answered + 0.51, 3.0, call=dialog.call, after=back)
    dialog.bye(answered + 3.6)
    return scenario


def lossy() -> Scenario:
    """The caller's stream has loss, reordering, late packets and RTP duplicates; the callee's is whole."""
    scenario = Scenario("lossy")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(
        alice,
        bob,
        answered + 0.01,
        4.0,
        call=dialog.call,
        lost=(10, 50, 51, 52, 53, 54, 120),
        swapped=(30, 80),
        repeated=(60, 61),
        late={90: 0.15},
    )
    scenario.voice(bob, alice, answered + 0.02, 4.0, call=dialog.call)
    dialog.bye(answered + 4.1)
    return scenario


def rtcp_mux() -> Scenario:
    """RTCP on the RTP port (RFC 5761), with RTCP BYE at the end."""
    scenario = Scenario("rtcp-mux")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    offer, answer = (sdp(end.ip, end.rtp_port, rtcp_mux=True) for end in (alice, bob))
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    there, back = scenario.talk(dialog.call, alice, bob, answered + 0.01, 3.0)
    for at in (0.5, 1.5, 2.5):
        scenario.report(there, alice, bob, answered + at, mux=True)
        scenario.report(back, bob, alice, answered + at + 0.05, mux=True)
    scenario.report(there, alice, bob, answered + 3.03, mux=True, bye=True)
    dialog.bye(answered + 3.05)
    return scenario


def mirror_duplicates() -> Scenario:
    """Every packet twice within a millisecond, with other MAC addresses, TTL and header checksum."""
    scenario = basic_call(2.0)
    scenario.name = "mirror duplicates"
    scenario.mirrored_twice()
    return scenario


def one_direction() -> Scenario:
    """Only what the caller sends is mirrored: INVITE, ACK, BYE and one voice."""
    scenario = Scenario("one direction")
    alice, bob = pair(scenario)
    scenario.sees = lambda at_ns, src, dst: src == alice.ip
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.02, 2.0)
    dialog.bye(answered + 2.1)
    # No 200 was seen; the ACK says that there was one.
    dialog.call.answered_at_ns = scenario.ns(answered + 0.01)
    dialog.call.outcome, dialog.call.outcome_reasons = "partial", ["one-way"]
    return scenario


def over_tcp(cut: Cut | None = None, *, mangle: str = "", handshake: bool = True) -> Scenario:
    """SIP over TCP, cut by default after the start line, in a header, in the blank line and in the body.

    mangle: "" in order, "swapped" neighbours change places, "twice" all retransmitted, "hole" the second
    segment of every message is missing. The sequence number wraps in the first message.
    """
    scenario = Scenario(f"SIP over TCP {mangle}")
    alice, bob = pair(scenario)
    what = {"": None, "swapped": swapped, "twice": sent_twice, "hole": without(1)}[mangle]
    carrier = TcpCarrier(scenario, cut or at_places(5, 40, 41, 200, -10), mangle=what, handshake=handshake)
    dialog = scenario.dialog(alice, bob, carrier=carrier)
    answered = dialog.set_up(0.1)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    carrier.close(scenario.ns(answered + 2.2))
    return scenario


def over_tcp_byte_by_byte() -> Scenario:
    scenario = over_tcp(every(7))
    scenario.name = "SIP over TCP in seven-byte segments"
    return scenario


def over_tcp_two_calls_in_one_connection() -> Scenario:
    """Two overlapping calls between the same hosts share one connection."""
    scenario = Scenario("two calls in one TCP connection")
    alice, bob = pair(scenario)
    carol, dave = alice.moved(40_020), bob.moved(50_020)
    carrier = TcpCarrier(scenario, every(300))
    for at, caller, callee in ((0.1, alice, bob), (0.13, carol, dave)):
        dialog = scenario.dialog(caller, callee, carrier=carrier)
        answered = dialog.set_up(at)
        scenario.talk(dialog.call, caller, callee, answered + 0.01, 2.0)
        dialog.bye(answered + 2.05)
    return scenario


def over_websocket(cut: Cut | None = None) -> Scenario:
    """SIP over WebSocket in clear (RFC 7118), upgrade included, frames cut over segments."""
    scenario = Scenario("SIP over WebSocket")
    alice, bob = pair(scenario)
    bob = Endpoint("bob", bob.ip, bob.user, bob.rtp_port, 8080)
    carrier = WebSocketCarrier(scenario, cut or at_places(1, 3, 100))
    dialog = scenario.dialog(alice, bob, carrier=carrier)
    answered = dialog.set_up(0.1)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    return scenario


def over_ipv6(*, fragment: bool = False) -> Scenario:
    """Signalling and media over IPv6; with fragment, packets over 1280 bytes are fragmented."""
    scenario = Scenario("IPv6, fragmented" if fragment else "IPv6")
    alice = scenario.endpoint("alice", "2001:db8:1::a", 40_000, "1001")
    bob = scenario.endpoint("bob", "2001:db8:2::b", 50_000, "1002")
    dialog = scenario.dialog(alice, bob)
    if fragment:
        dialog.headers = [(f"X-Filler-{i}", "x" * 90) for i in range(15)]
        scenario.fragmented(1280)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    return scenario


def fragmented_invite(*, reverse: bool = False) -> Scenario:
    """SIP messages of 2 kB over UDP in IPv4 fragments of 576 bytes, in order or last one first."""
    scenario = Scenario("fragmented INVITE" + (", reversed" if reverse else ""))
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    dialog.headers = [(f"X-Filler-{i}", "x" * 90) for i in range(15)]
    scenario.fragmented(576, reverse=reverse)
    answered = dialog.set_up(0.0)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    dialog.bye(answered + 2.05)
    return scenario


def foreign_packets() -> Scenario:
    """A stranger sprays RTP at the callee's port: before, while and after the caller talks."""
    scenario = Scenario("foreign packets")
    alice, bob = pair(scenario)
    mallory = Endpoint("mallory", "203.0.113.66", "", 31_337)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(mallory, bob, answered - 0.1, 3.0, call=dialog.call, foreign=True)
    scenario.talk(dialog.call, alice, bob, answered + 0.02, 3.0)
    dialog.bye(answered + 3.1)
    return scenario


def encrypted_without_keys() -> Scenario:
    """WebRTC media: ICE, DTLS and SRTP whose keys nobody outside has."""
    scenario = Scenario("DTLS-SRTP")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    profile = "UDP/TLS/RTP/SAVPF"
    offer, answer = (
        sdp(end.ip, end.rtp_port, protocol=profile, fingerprint=FINGERPRINT, rtcp_mux=True, ice=True)
        for end in (alice, bob)
    )
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    ends = (alice.ip, alice.rtp_port), (bob.ip, bob.rtp_port)
    noise = random.Random(5)
    scenario.datagram(answered + 0.02, *ends, stun_binding(noise.randbytes(12)))
    scenario.datagram(answered + 0.03, *ends[::-1], stun_binding(noise.randbytes(12), response_to=ends[0]))
    scenario.datagram(answered + 0.04, *ends, dtls_client_hello(noise.randbytes(32)))
    for side, (sender, receiver) in enumerate(((alice, bob), (bob, alice))):
        data = [noise.randbytes(170) for _ in range(100)]  # 160 bytes of voice and a tag of 10
        at = answered + 0.1 + 0.007 * side
        scenario.voice(sender, receiver, at, 2.0, call=dialog.call, data=data, encrypted="dtls")
    dialog.bye(answered + 2.2)
    dialog.call.outcome = "encrypted"
    return scenario


def audio_and_video() -> Scenario:
    """A second media line with H.264 both ways, two ports up."""
    scenario = Scenario("audio and video")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    offer, answer = (sdp(end.ip, end.rtp_port, video_port=end.rtp_port + 2) for end in (alice, bob))
    answered = dialog.set_up(0.0, offer=offer, answer=answer)
    scenario.talk(dialog.call, alice, bob, answered + 0.01, 2.0)
    noise = random.Random(6)
    h264 = Codec("H264", 99, 90_000)
    for side, (sender, receiver) in enumerate(((alice, bob), (bob, alice))):
        camera, screen = sender.moved(sender.rtp_port + 2), receiver.moved(receiver.rtp_port + 2)
        data = [b"\x41" + noise.randbytes(noise.randint(200, 1100)) for _ in range(50)]
        at = answered + 0.01 + 0.005 * side
        scenario.voice(camera, screen, at, 2.0, call=dialog.call, codec=h264, data=data, ptime_ms=40, kind="video")
    dialog.bye(answered + 2.1)
    return scenario


def wideband(codec: str = "opus") -> Scenario:
    """A call in Opus, G.722 or L16 with real voice in the payload."""
    scenario = basic_call(2.0, codec)
    scenario.name = f"wideband, {codec}"
    return scenario


def codec_frames(codec: str = "G729") -> Scenario:
    """A call in a codec whose payload has the right size but is noise."""
    scenario = basic_call(2.4, codec, ptime_ms=max(20, CODECS[codec].frame_ms))
    scenario.name = f"frames of {codec}"
    return scenario


def clocks_drift() -> Scenario:
    """The callee's crystal is 300 ppm fast for eight seconds: packets come 6 us early each."""
    scenario = Scenario("clocks drift")
    alice, bob = pair(scenario)
    dialog = scenario.dialog(alice, bob)
    answered = dialog.set_up(0.0)
    scenario.voice(alice, bob, answered + 0.01, 8.0, call=dialog.call)
    drift = {i: -i * 0.02 * 300e-6 for i in range(400)}
    pcm = voice_of("bob", 8.0, begin_s=1.0)
    scenario.voice(bob, alice, answered + 0.02, 8.0, call=dialog.call, late=drift, pcm=pcm)
    dialog.bye(answered + 8.1)
    return scenario
