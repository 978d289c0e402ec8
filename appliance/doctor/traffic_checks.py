"""What packets say about a tap: whether there are any, copies, tunnels, what is cut or missing, whose clock.

Each check takes the facts and gives one finding, or none where there is nothing to judge.
"""

from __future__ import annotations

from typing import Final

from vittne.appliance.doctor.finding import Finding, Weight, listed, percent, share
from vittne.appliance.doctor.tapfacts import TapFacts
from vittne.appliance.saying import said

_FEW: Final = 0.01  # of all packets: more is how the mirror is set up
_BEHIND_S: Final = 0.5  # that a file's clock may go back: several queues of one card
_GAP_S: Final = 60.0
# What every network says for itself, and no tap is the worse for: LLDP, LACP, 802.1X, loop tests, PTP, ARP's kin, ...
_QUIET_TYPES: Final = frozenset(
    {"0x0842", "0x6002", "0x8035", "0x8808", "0x8809", "0x888e", "0x88cc", "0x88d9", "0x88e1", "0x88f7", "0x8912"}
    | {"0x8902", "0x893a", "0x9000", "0x0806", "0x88e3", "0x886f", "0x8100"}
)
_TYPE_NAMES: Final = {"0x88e5": "MACsec", "0x8863": "PPPoE discovery", "0x88e7": "PBB (802.1ah)", "0x894f": "NSH"}
_QUIET_PROTOCOLS: Final = frozenset({"1", "2", "58", "88", "89", "103", "112"})  # ICMP, IGMP, routing, VRRP
_PROTOCOL_NAMES: Final = {"50": "ESP", "115": "L2TPv3", "132": "SCTP", "136": "UDP-Lite", "55": "IP Mobility"}
_TUNNELS: Final = {
    "l2tp": "L2TP",
    "teredo": "Teredo",
    "ipsec": "IPsec in UDP",
    "gre in udp": "GRE in UDP",
    "vxlan-gpe": "VXLAN-GPE",
    "capwap": "CAPWAP",
    "tzsp": "TZSP",
    "wireguard": "WireGuard",
}
_OTHER_SIGNALLING: Final = {
    "h323": "H.323",
    "mgcp": "MGCP",
    "megaco": "Megaco (H.248)",
    "iax2": "IAX2",
    "sccp": "Skinny (SCCP)",
    "sccp in tls": "Skinny (SCCP) in TLS",
    "hep": "HEP",
}


def traffic(tap: TapFacts) -> Finding:
    """Is there anything at all?"""
    facts = {
        "frames": tap.frames,
        "seconds": round(tap.seconds, 3),
        "sip_messages": tap.sip_messages,
        "rtp_packets": tap.voices,
        "calls": tap.calls.all,
        "answered": tap.calls.answered,
    }
    if not tap.frames:
        remedy = said(
            "Look at the mirror session of the switch (source and destination port, direction both), at the cable, and "
            "with `tcpdump -ni IF -c 10` whether anything comes in."
        )
        return Finding("traffic", "bad", said("No packet came."), remedy, facts)
    if not tap.sip_messages and not tap.voices:
        remedy = said(
            "Mirror the port of the PBX, SBC or gateway, or the VLAN of the telephones: this one carries other things."
        )
        words = said("%(frames)s packets came, and none of them is of a call.", frames=tap.frames)
        return Finding("traffic", "bad", words, remedy, facts)
    words = said(
        "%(frames)s packets in %(seconds)s s; messages of SIP: %(messages)s, packets of voices: %(voices)s, calls: "
        "%(calls)s, answered: %(answered)s.",
        frames=tap.frames,
        seconds=f"{tap.seconds:.1f}",
        messages=tap.sip_messages,
        voices=tap.voices,
        calls=tap.calls.all,
        answered=tap.calls.answered,
    )
    return Finding("traffic", "good", words, None, facts)


def duplicates(tap: TapFacts) -> Finding | None:
    """Does the mirror show packets twice?"""
    copies = tap.of("media", "mirror duplicate")
    seen = tap.sip_messages + tap.voices + copies
    if not seen:
        return None
    of_all = share(copies, seen)
    facts = {"copies": copies, "share": round(of_all, 6), "fragment_copies": tap.of("frames", "fragment repeat")}
    if of_all <= _FEW:
        words = said("Packets come once (copies: %(share)s %%).", share=percent(of_all))
        return Finding("duplicates", "good", words, None, facts)
    remedy = said(
        "The copies are left out, but cost bandwidth of the mirror. Mirror one direction (rx) of each port or VLAN, or "
        "both directions of one port only."
    )
    words = said("%(share)s %% of the packets of calls come twice.", share=percent(of_all))
    return Finding("duplicates", "note", words, remedy, facts)


def encapsulation(tap: TapFacts) -> Finding | None:
    """Which tags and tunnels are opened?"""
    found = tap.begin("frames", "encap ")
    if not tap.frames:
        return None
    words = (
        said("Tags and tunnels that are opened: %(which)s.", which=listed(found))
        if found
        else said("No tags and no tunnels.")
    )
    return Finding("encapsulation", "good", words, None, {"opened": found})


def unread_encapsulation(tap: TapFacts) -> Finding | None:
    """Which are not?"""
    if not tap.frames:
        return None
    found: dict[str, int] = {}
    for number, count in tap.begin("frames", "unread ethertype ").items():
        if number not in _QUIET_TYPES:
            found[_TYPE_NAMES.get(number, f"EtherType {number}")] = count
    for number, count in tap.begin("frames", "unread ip protocol ").items():
        if number not in _QUIET_PROTOCOLS:
            found[_PROTOCOL_NAMES.get(number, f"IP protocol {number}")] = count
    for name, count in tap.begin("media", "unread udp ").items():
        if name in _TUNNELS:
            found[_TUNNELS[name]] = count
    if tap.of("frames", "encrypted"):
        found["IPsec (ESP)"] = tap.of("frames", "encrypted")
    for name in ("unknown link type", "too many layers"):
        if tap.of("frames", name):
            found[name] = tap.of("frames", name)
    facts = {"unread": found}
    if not found:
        return Finding("unread-encapsulation", "good", said("Nothing is wrapped in what is not read."), None, facts)
    words = said("Packets are wrapped in what is not read here: %(which)s.", which=listed(found))
    remedy = said(
        "If calls are inside, mirror where the tunnel has ended, or before it is encrypted. GRE, ERSPAN, VXLAN, "
        "Geneve, GTP, MPLS, PPPoE, VLAN and IP-in-IP are read."
    )
    weight: Weight = "warn" if share(sum(found.values()), tap.frames) > _FEW else "note"
    return Finding("unread-encapsulation", weight, words, remedy, facts)


def other_signalling(tap: TapFacts) -> Finding | None:
    """Are there calls that SIP knows nothing of?"""
    seen = {**tap.begin("media", "unread udp "), **tap.begin("tcp", "tcp: unread tcp ")}
    found = {_OTHER_SIGNALLING[name]: count for name, count in seen.items() if name in _OTHER_SIGNALLING}
    if not found:
        return None
    words = said("Signalling that is not SIP is on the wire: %(which)s.", which=listed(found))
    remedy = said(
        "Its calls have no signalling here: mirror where they are SIP (the trunk), or keep their voices with "
        "record_unsignalled = true."
    )
    return Finding("other-signalling", "warn", words, remedy, {"seen": found})


def fragments(tap: TapFacts) -> Finding | None:
    """Do all pieces of packets come?"""
    pieces, whole = tap.of("frames", "fragment"), sum(tap.begin("frames", "reassembled ").values())
    lost = sum(tap.of("frames", name) for name in ("fragment timeout", "fragment truncated", "fragment bad length"))
    odd = tap.of("frames", "fragment memory") + tap.of("frames", "fragment conflict")
    if not pieces:
        return None
    facts = {"fragments": pieces, "put_together": whole, "incomplete": lost, "odd": odd}
    if lost or odd:
        words = said(
            "%(lost)s packets that came in pieces stayed incomplete (%(whole)s were put together).",
            lost=lost + odd,
            whole=whole,
        )
        remedy = said(
            "The mirror drops pieces, or they take another path. Large SIP messages then are missing: look at the "
            "mirror's load, and prefer SIP over TCP."
        )
        return Finding("fragments", "bad" if lost else "warn", words, remedy, facts)
    words = said("Packets in pieces are put together: %(whole)s.", whole=whole)
    return Finding("fragments", "good", words, None, facts)


def cut_packets(tap: TapFacts) -> Finding | None:
    """Are packets whole?"""
    if not tap.frames:
        return None
    cut = tap.of("frames", "cut by snaplen")
    names = ("bad length", "length behind the end of the frame", "udp length behind the end of the packet")
    broken = sum(tap.of("frames", name) for name in names)
    facts = {"cut": cut, "broken": broken}
    if cut:
        words = said("%(cut)s packets were cut when they were captured: what was cut off cannot be had.", cut=cut)
        remedy = said("Capture whole packets: `tcpdump -s 0`, `dumpcap -s 0`, and no truncation on the mirror session.")
        return Finding("cut-packets", "bad", words, remedy, facts)
    if broken:
        words = said("%(broken)s packets are shorter than they say.", broken=broken)
        remedy = said(
            "The path of the mirror has too small an MTU: a tunnel (ERSPAN, VXLAN) needs 1600 or more, also on the "
            "card (`ip link set IF mtu 9000`)."
        )
        return Finding("cut-packets", "warn", words, remedy, facts)
    return Finding("cut-packets", "good", said("Packets are whole."), None, facts)


def tcp_holes(tap: TapFacts) -> Finding | None:
    """Are bytes of signalling over TCP missing?"""
    connections = sum(tap.of("tcp", f"tcp: {kind} connections") for kind in ("sip", "websocket"))
    messages = tap.of("tcp", "sip tcp: messages") + tap.of("tcp", "sip ws: messages")
    if not connections and not messages:
        return None
    passed = sum(n for name, n in tap.begin("tcp", "").items() if name.endswith("bytes passed over"))
    holes = tap.of("tcp", "tcp: holes")
    facts = {"connections": connections, "messages": messages, "holes": holes, "bytes_passed_over": passed}
    if passed:
        words = said("Bytes of SIP over TCP are missing: %(bytes)s had to be passed over.", bytes=passed)
        remedy = said("The mirror drops packets: look at its load, and whether it shows both directions.")
        return Finding("tcp-holes", "bad", words, remedy, facts)
    words = said("SIP over TCP is complete: %(messages)s messages.", messages=messages)
    return Finding("tcp-holes", "good", words, None, facts)


def timestamps(tap: TapFacts) -> Finding | None:
    """Does time go forward?"""
    if not tap.frames:
        return None
    steps = tap.of("media", "clock steps")
    facts = {
        "behind_s": round(tap.behind_s, 6),
        "longest_gap_s": round(tap.longest_gap_s, 3),
        "clock_steps": steps,
    }
    if steps:
        remedy = said("Let chrony slew the clock instead of setting it (`makestep` only at start), see docs/time.md.")
        return Finding("timestamps", "warn", said("The clock was set while packets came."), remedy, facts)
    if tap.behind_s > _BEHIND_S:
        words = said("Time goes back by up to %(seconds)s s between packets.", seconds=f"{tap.behind_s:.3f}")
        remedy = said(
            "The clock was set while this was captured, or files were named in the wrong order, or merged without "
            "sorting (`reordercap`, `mergecap`)."
        )
        return Finding("timestamps", "warn", words, remedy, facts)
    if tap.longest_gap_s > _GAP_S and not tap.is_live and tap.calls.all:
        words = said(
            "Time goes forward, with a gap of %(seconds)s s without any packet.", seconds=f"{tap.longest_gap_s:.0f}"
        )
        return Finding("timestamps", "note", words, None, facts)
    return Finding("timestamps", "good", said("Time goes forward."), None, facts)


def drops(tap: TapFacts) -> Finding | None:
    """What was lost on the way here? Only where somebody can tell."""
    if not tap.is_live:
        return None
    kernel, card = (tap.begin(layer, "") for layer in ("kernel", "network card"))
    facts = {"kernel": kernel, "network_card": card}
    if sum(kernel.values()):
        words = said("The kernel threw packets away, nobody took them in time: %(which)s.", which=listed(kernel))
        remedy = said(
            "Give the recorder a larger ring (ring.packets_per_s), a faster disk or more processor; `vittne doctor` on "
            "the box says which is short."
        )
        return Finding("drops", "bad", words, remedy, facts)
    if sum(card.values()):
        words = said("The network card lost packets: %(which)s.", which=listed(card))
        remedy = said("Make its receive rings larger: `ethtool -g IF` shows the most, `ethtool -G IF rx N` sets it.")
        return Finding("drops", "bad", words, remedy, facts)
    return Finding("drops", "good", said("No packet was lost between the wire and here."), None, facts)


def files(tap: TapFacts) -> Finding | None:
    """Could the capture be read to its end?"""
    if not tap.problems:
        return None
    words = said("Not everything could be read: %(which)s", which="; ".join(tap.problems[:4]))
    remedy = said("Copy the file anew, or stop the capture before copying; pcap and pcapng are read, also gzipped.")
    return Finding("files", "bad" if not tap.frames else "warn", words, remedy, {"problems": list(tap.problems)})


TRAFFIC_CHECKS: Final = (
    *(files, traffic, drops, cut_packets, fragments, tcp_holes, unread_encapsulation, other_signalling),
    *(duplicates, timestamps, encapsulation),
)
