"""What the calls on a tap say about it: both directions, signalling with media and media with signalling, keys, codecs.

Each check takes the facts and gives one finding, or none where there is nothing to judge.
"""

from __future__ import annotations

from typing import Final

from vittne.appliance.doctor.finding import Finding, Weight, listed, percent, share
from vittne.appliance.doctor.tapfacts import TapFacts
from vittne.appliance.saying import said

_USUAL_PORTS: Final = frozenset({"5060", "5061", "80", "443"})
_OWN_PORTS: Final = 32_768  # from here on telephones choose theirs
_FEW_PACKETS: Final = 50  # may as well be another protocol
_OUTSIDE: Final = {f"{method} outside a known call" for method in ("ACK", "BYE", "INFO", "PRACK", "REFER", "UPDATE")}
_MOSTLY: Final = 0.5
_SOME: Final = 0.1
_LOSSY: Final = 0.01
_BAD_LOSS: Final = 0.05


def directions(tap: TapFacts) -> Finding | None:
    """Does the tap show both directions?"""
    requests, responses = tap.of("media", "sip requests"), tap.of("media", "sip responses")
    calls, one_way = tap.calls.answered, tap.calls.reasons["one-way"]
    alone = tap.unsignalled
    facts = {
        "sip_requests": requests,
        "sip_responses": responses,
        "calls": calls,
        "one_way_calls": one_way,
        "unsignalled_streams": alone.streams,
        "unsignalled_one_way": alone.alone,
    }
    remedy = said(
        "Mirror both directions: `both` (not rx or tx) in the switch's session; behind a passive tap record both of "
        'its ports: interfaces = ["eth1", "eth2"].'
    )
    if requests + responses >= 4 and not (requests and responses):
        what = said("requests") if requests else said("responses")
        words = said("Of SIP only %(what)s are seen: the other direction is missing.", what=what)
        return Finding("directions", "bad", words, remedy, facts)
    if one_way and share(one_way, calls) >= _MOSTLY:
        words = said("Only one party is heard in %(part)s of %(calls)s calls.", part=one_way, calls=calls)
        return Finding("directions", "bad", words, remedy, facts)
    if not calls and alone.streams and alone.alone == alone.streams:
        words = said("Voices go one way only: none of %(streams)s streams has an answer.", streams=alone.streams)
        return Finding("directions", "warn", words, remedy, facts)
    if one_way and share(one_way, calls) > _SOME:
        words = said("Only one party is heard in %(part)s of %(calls)s calls.", part=one_way, calls=calls)
        look = said("Look whose: `vittne list` shows them as partial (one-way); their media may take another path.")
        return Finding("directions", "warn", words, look, facts)
    if not calls and not alone.streams:
        return None
    return Finding("directions", "good", said("Both directions are seen."), None, facts)


def signalling_gaps(tap: TapFacts) -> Finding | None:
    """Is signalling missing?"""
    if not tap.sip_messages:
        return None
    outside = {n: c for n, c in tap.begin("sip", "sip ").items() if n in _OUTSIDE}
    broken = sum(tap.begin("sip", "sip: ").values()) + sum(tap.begin("sip", "sdp: ").values())
    midway, gaps = tap.calls.joined_midway, tap.calls.reasons["signalling-gap"]
    facts = {"outside": sum(outside.values()), "unreadable": broken, "joined_midway": midway, "gaps": gaps}
    if gaps:
        words = said("In %(calls)s calls a part of the signalling is missing.", calls=gaps)
        remedy = said("The mirror drops packets: look at its load, and whether it shows both directions.")
        return Finding("signalling-gaps", "warn", words, remedy, facts)
    if share(sum(outside.values()), tap.sip_messages) > _SOME and sum(outside.values()) > 1:
        words = said("%(messages)s messages belong to calls whose beginning was not seen.", messages=facts["outside"])
        remedy = said(
            "They began before the capture did; if it goes on, their INVITE takes another path: mirror that path too."
        )
        return Finding("signalling-gaps", "note", words, remedy, facts)
    if share(broken, tap.sip_messages) > _SOME:
        words = said("%(messages)s messages cannot be read.", messages=broken)
        remedy = said("Scanners on the internet send such; if your own PBX does, send us one.")
        return Finding("signalling-gaps", "warn", words, remedy, facts)
    return Finding("signalling-gaps", "good", said("Signalling is complete."), None, facts)


def media_without_signalling(tap: TapFacts) -> Finding | None:
    """Are there voices that nobody announced?"""
    packets, streams = tap.of("media", "rtp without signalling"), tap.unsignalled.streams
    if not tap.voices:
        return None
    of_all = share(packets, tap.voices)
    facts = {
        "packets": packets,
        "share": round(of_all, 6),
        "streams": streams,
        "codecs": dict(tap.unsignalled.codecs),
        "rtcp": tap.of("media", "rtcp without signalling"),
    }
    if not streams and of_all < _LOSSY:
        words = said("Every voice has its signalling.")
        return Finding("media-without-signalling", "good", words, None, facts)
    words = said(
        "%(share)s %% of the voice packets have no signalling (%(streams)s streams).",
        share=percent(of_all),
        streams=streams,
    )
    if tap.of("tcp", "tcp: tls connections with sip") and not tap.sip_messages:
        remedy = said(
            "Their signalling is encrypted (TLS): mirror it where it is in clear, behind the session border controller."
        )
    elif not tap.sip_messages:
        remedy = said(
            "Mirror the signalling too: the port of the SIP server, not only the media path. Without it set "
            "record_unsignalled = true: recordings then have no numbers."
        )
    else:
        remedy = said(
            "Their signalling takes another path, is encrypted, or is not SIP: mirror that path too, or set "
            "record_unsignalled = true."
        )
    weight: Weight = "bad" if not tap.sip_messages or of_all > _MOSTLY else "warn" if of_all > _SOME else "note"
    if not streams and packets < _FEW_PACKETS:
        weight = "note"
    return Finding("media-without-signalling", weight, words, remedy, facts)


def signalling_without_media(tap: TapFacts) -> Finding | None:
    """Are there calls that nobody hears?"""
    silent, calls = tap.calls.outcomes["no-media"], tap.calls.answered
    if not calls:
        return None
    facts = {"calls": calls, "without_media": silent}
    if not silent:
        words = said("Every answered call has its media.")
        return Finding("signalling-without-media", "good", words, None, facts)
    words = said("%(part)s of %(calls)s answered calls have no media here.", part=silent, calls=calls)
    remedy = said(
        "Their media takes another path (directly between telephones, or through another SBC): mirror that path too."
    )
    weight: Weight = "bad" if share(silent, calls) >= _MOSTLY else "warn"
    return Finding("signalling-without-media", weight, words, remedy, facts)


def encrypted_signalling(tap: TapFacts) -> Finding | None:
    """Is SIP in TLS on the wire?"""
    tls = tap.of("tcp", "tcp: tls connections with sip")
    if not tls:
        return None
    words = said(
        "%(connections)s connections carry SIP in TLS: that there are connections is seen, their calls are not.",
        connections=tls,
    )
    remedy = said(
        "Mirror where signalling is in clear: between session border controller and PBX, or have the SBC fork it "
        "(SIPREC)."
    )
    weight: Weight = "bad" if not tap.sip_messages else "warn"
    return Finding("encrypted-signalling", weight, words, remedy, {"connections": tls})


def encrypted_media(tap: TapFacts) -> Finding | None:
    """Is media encrypted, and is the key seen?"""
    calls, dtls = tap.calls.outcomes["encrypted"], tap.of("media", "dtls records")
    opened = tap.calls.with_key
    facts = {"without_key": calls, "with_key": opened, "dtls_records": dtls, "packets": tap.of("media", "encrypted")}
    if calls:
        words = said(
            "%(part)s of %(calls)s answered calls are encrypted with a key that is not in the signalling: who, when "
            "and how long is recorded, the voices cannot be.",
            part=calls,
            calls=tap.calls.answered,
        )
        remedy = said(
            "Mirror behind the session border controller, where media is in clear, or have keys exchanged by SDES "
            "(a=crypto) on that leg; keys of DTLS-SRTP never cross the wire."
        )
        return Finding("encrypted-media", "bad", words, remedy, facts)
    if dtls:
        words = said("DTLS is on the wire: somebody exchanges keys of media that are not seen here.")
        remedy = said("If these are calls (WebRTC), mirror where media is in clear: behind the gateway.")
        return Finding("encrypted-media", "note", words, remedy, facts)
    if opened:
        words = said(
            "%(calls)s calls are encrypted, and their keys are in the signalling: they are heard.", calls=opened
        )
        return Finding("encrypted-media", "good", words, None, facts)
    return None


def codecs(tap: TapFacts) -> Finding | None:
    """Can everything be played?"""
    found, strange = dict(tap.calls.codecs), dict(tap.calls.not_decodable)
    if not found:
        return None
    facts = {"codecs": found, "not_decodable": strange}
    if strange:
        words = said("Voices that cannot be played: %(which)s. They are recorded all the same.", which=listed(strange))
        remedy = said("Have telephones and trunk agree on another codec, such as G.711, G.722, Opus or AMR.")
        return Finding("codecs", "warn", words, remedy, facts)
    return Finding("codecs", "good", said("All voices can be played: %(which)s.", which=listed(found)), None, facts)


def media_loss(tap: TapFacts) -> Finding | None:
    """Do packets of voices reach the tap?"""
    seen = tap.calls.packets + tap.calls.lost
    if not seen:
        return None
    lost = share(tap.calls.lost, seen)
    facts = {
        "packets": tap.calls.packets,
        "lost": tap.calls.lost,
        "share": round(lost, 6),
        "calls": tap.calls.loss_calls,
    }
    if lost <= _LOSSY:
        words = said("Voices are complete (lost: %(share)s %%).", share=percent(lost))
        return Finding("media-loss", "good", words, None, facts)
    words = said("%(share)s %% of the packets of voices are missing.", share=percent(lost))
    remedy = said(
        "If people hear it too, it is the network. If not, it is the mirror: a session that mirrors more than its port "
        "carries drops packets without a word (1 Gbit/s both ways is 2 Gbit/s)."
    )
    return Finding("media-loss", "bad" if lost > _BAD_LOSS else "warn", words, remedy, facts)


def sip_ports(tap: TapFacts) -> Finding | None:
    """On which ports is SIP?"""
    ports = tap.begin("media", "sip port ")
    if not ports:
        return None
    facts = {"ports": ports, "transports": dict(tap.calls.transports)}
    of_servers = {port for port in ports if port == "other" or int(port) < _OWN_PORTS}
    if of_servers <= _USUAL_PORTS:
        return Finding("sip-ports", "good", said("SIP on port %(which)s.", which=listed(ports)), None, facts)
    words = said("SIP on several or unusual ports, all are heard: %(which)s.", which=listed(ports))
    return Finding("sip-ports", "note", words, None, facts)


CALL_CHECKS: Final = (
    *(directions, media_without_signalling, signalling_without_media, encrypted_signalling, encrypted_media),
    *(media_loss, signalling_gaps, codecs, sip_ports),
)
