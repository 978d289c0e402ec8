"""A call for a support bundle: its packets with what was said as zeros, its ladder, its row of the catalogue."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, BinaryIO, Final

from vittne.appliance.explain import explained
from vittne.appliance.frames import Ends, Framer, Place, split_signal
from vittne.appliance.opened import OpenedRecording
from vittne.appliance.packets import PacketIndex
from vittne.appliance.seal import records
from vittne.appliance.signalling import Happening, Signal, Signalling, read_signalling
from vittne.appliance.store.rows import CallRow, StreamRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.support import known
from vittne.appliance.support.media import scrub_rtcp, scrub_rtp
from vittne.appliance.support.names import Names
from vittne.appliance.support.sip import scrub_sip, scrub_uri
from vittne.appliance.support.text import scrub_text
from vittne.capture.errors import Malformed
from vittne.capture.pcapfile import write_pcap
from vittne.capture.sip.message import parse

_WIDTH: Final = 140
_KEPT: Final = ("id", "state", "outcome", "outcome_reasons", "end_reason", "size_bytes", "announced", "retention_class")
_STREAM_KEPT: Final = (
    *("party", "payload_type", "clock_rate", "packets", "stored", "dropped", "lost", "reordered", "duplicates", "late"),
    *("jitter_ms", "ptime_ms", "mos", "first_at", "last_at"),
)


def write_pcap_of(index: PacketIndex, stream: BinaryIO, names: Names) -> None:
    """Write a call's packets; what cannot be made harmless is left out."""
    write_pcap(stream, _frames(index, names))


def _frames(index: PacketIndex, names: Names) -> Iterator[tuple[int, bytes]]:
    ends = index.streams.items()
    framer = Framer({n: Ends(_place(one.source, names), _place(one.destination, names)) for n, one in ends})
    for at_ns, kind, stream, body in index.bodies():
        plain = _body(kind, body, names)
        frame = framer.frame(kind, stream, plain) if plain is not None else None
        if frame is not None:
            yield at_ns, frame


def _place(place: Place, names: Names) -> Place:
    return ipaddress.ip_address(names.address(ipaddress.ip_address(place[0]))).packed, place[1]


def _body(kind: int, body: bytes, names: Names) -> bytes | None:
    if kind == records.RTP:
        return scrub_rtp(body, names)
    said, message = split_signal(body)
    plain = scrub_sip(message, names) if kind == records.SIP else scrub_rtcp(message, names)
    if plain is None:
        return None
    told = {name: _where(str(said.get(name, "")), names) for name in ("source", "destination")}
    told["transport"] = _transport(str(said.get("transport", "")))
    return json.dumps(told).encode() + b"\n" + plain


def _transport(text: str) -> str:
    return text if text in ("udp", "tcp", "tls", "ws", "wss") else "udp"


def _where(text: str, names: Names) -> str:
    """Return address:port with the address that stands for it."""
    address, _, port = text.rpartition(":")
    host = names.host(address) if address else ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{port if port.isdecimal() and len(port) < 6 else 0}"


def ladder_of(call: CallRow, opened: OpenedRecording, names: Names) -> str:
    """Return a call's ladder, as `vittne explain` draws it, of messages in which nobody is named."""
    found = read_signalling(opened)
    signals = [_signal(one, names) for one in found.signals]
    happenings = [
        Happening(one.at_ns, scrub_text(one.what, names), scrub_text(one.by, names)) for one in found.happenings
    ]
    return "\n".join(explained(_row(call, names), Signalling(signals, happenings), _WIDTH)) + "\n"


def _signal(one: Signal, names: Names) -> Signal:
    plain = parse(scrub_sip(one.message.raw, names)) if one.message is not None else None
    message = None if isinstance(plain, Malformed) else plain
    source, destination = _where(one.source, names), _where(one.destination, names)
    return replace(one, transport=_transport(one.transport), source=source, destination=destination, message=message)


def _row(call: CallRow, names: Names) -> CallRow:
    return CallRow(
        id=call.id,
        state=call.state,
        call_ids=tuple(names.word("call", one.strip()) for one in call.call_ids),
        caller=scrub_uri(call.caller, names),
        callee=scrub_uri(call.callee, names),
        started_us=call.started_us,
        answered_us=call.answered_us,
        ended_us=call.ended_us,
        outcome=call.outcome,
        outcome_reasons=call.outcome_reasons,
        streams=tuple(_stream(one, names) for one in call.streams),
    )


def _stream(one: StreamRow, names: Names) -> StreamRow:
    return replace(
        one,
        codec=_codec(one.codec, names),
        ssrc=names.number32("ssrc", one.ssrc),
        source=_where(one.source, names),
        destination=_where(one.destination, names),
    )


def _codec(text: str, names: Names) -> str:
    return text if not text or text.lower() in known.CODECS else names.word("codec", text)


def call_json(call: CallRow, names: Names) -> dict[str, Any]:
    """Return what the catalogue knows of a call: times, outcomes, counts; of details, numbers and our own words."""
    told = call.as_json()
    found = {name: told[name] for name in _KEPT}
    times = {name: value for name, value in told.items() if name.endswith("_at")}
    plain = _row(call, names)
    streams = [{**_some(one.as_json(), _STREAM_KEPT), **_ends(one)} for one in plain.streams]
    return {
        **found,
        **times,
        "duration_s": call.duration_s,
        "caller": plain.caller,
        "callee": plain.callee,
        "call_ids": list(plain.call_ids),
        "site": names.word("site", call.site) if call.site else "",
        "parties": len(call.parties),
        "tags": len(call.tags),
        "streams": streams,
        "details": _details(call.details, names),
    }


def _ends(one: StreamRow) -> dict[str, str]:
    return {"codec": one.codec, "ssrc": f"{one.ssrc:08X}", "source": one.source, "destination": one.destination}


def _some(told: Mapping[str, Any], wanted: tuple[str, ...]) -> dict[str, Any]:
    return {name: told[name] for name in wanted}


def _details(value: Any, names: Names) -> Any:
    """Return numbers and truths as they are, all texts and keys as scrub_text has them. Long numbers are replaced."""
    match value:
        case Mapping():
            return {scrub_text(str(key), names): _details(inner, names) for key, inner in value.items()}
        case list() | tuple():
            return [_details(one, names) for one in value]
        case str():
            return scrub_text(value, names)
        case int() if abs(value) >= 10**6 and not isinstance(value, bool):
            return names.word("number", str(value))
    return value


def about(call: CallRow) -> str:
    """Return a line on which call it is."""
    return f"recording {call.id}, {rfc3339(call.started_us)}"
