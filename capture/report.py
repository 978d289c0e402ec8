"""What is said of a call and its streams when they end: the names are the contract of `vittne list --json`."""

from __future__ import annotations

from typing import Any, Final

from vittne.capture.calls import Call, Stream
from vittne.capture.gates import BEFORE_GATE, DISCARDED, EXCLUDED, GATE_LOST, NOT_OPENED
from vittne.capture.pause import MUTED, NOT_ANALYSED, PAUSED
from vittne.capture.pausenotes import pauses_report
from vittne.capture.quality import mos
from vittne.capture.sip.session import CALLEE, CALLER, Dialog, Session
from vittne.capture.streams import StreamStates, Tally
from vittne.capture.times import rfc3339
from vittne.codecs.formats import STATIC, Format

RECORDED: Final = "recorded"
PARTIAL: Final = "partial"
NO_DISK: Final = "no-disk"
DISK: Final = "disk"  # packets that no file took
NO_MEDIA: Final = "no-media"
ENCRYPTED: Final = "encrypted"
CAPTURE_LOSS: Final = "capture-loss"
UNANSWERED: Final = "unanswered"
PAUSED_THROUGHOUT: Final = "paused-throughout"

_NOT_VOICE: Final = frozenset({"TELEPHONE-EVENT", "CN"})
_BY_POLICY: Final = frozenset({DISCARDED, BEFORE_GATE, GATE_LOST})
_LEFT_OUT: Final = frozenset({"digits", PAUSED, MUTED, NOT_ANALYSED, EXCLUDED, *_BY_POLICY})
_LOSSY: Final = 0.05  # share of a voice's packets that never came, from which on it is said
_TOGETHER_NS: Final = 2_000_000_000
_ENDS_WITHOUT_BYE: Final = frozenset({"capture-end", "media-silence", "session-timer"})


def uri_text(uri: str) -> str:
    """Return a URI without its parameters and headers: what a person calls a number or an address."""
    return uri.partition("?")[0].partition(";")[0]


def main_type(tally: Tally, formats: dict[int, Format]) -> int:
    """Return the payload type that carried the voice: the commonest that is neither digits nor silence."""
    voices = {
        number: count
        for number, count in tally.payload_types.items()
        if (formats.get(number) or STATIC.get(number) or Format("", 8000)).encoding.upper() not in _NOT_VOICE
    }
    pool = voices or tally.payload_types
    return max(pool, key=lambda number: pool[number]) if pool else 0


def stream_report(stream: Stream, tally: Tally | None) -> dict[str, Any]:
    """Return what a STREAM record says (tally None), or a list's element with the counts."""
    base = {
        "party": stream.party,
        "ssrc": f"{stream.ssrc:08X}",
        "source": stream.source,
        "destination": stream.destination,
    }
    if tally is None:
        return {
            **base,
            "seat": stream.seat,
            "kind": stream.kind,
            "copy": stream.copy,
            "foreign": stream.foreign,
            "early": stream.early,
            "crypto": stream.crypto,
            "formats": {
                str(n): [f.encoding, f.clock_rate, f.channels, f.fmtp] for n, f in sorted(stream.formats.items())
            },
        }
    counts = _counts(tally, stream.formats)
    if not stream.stored:  # a score of what nobody can listen to would be taken for one of a recording
        counts["mos"] = None
    return {
        **base,
        **counts,
        "stored": stream.stored,
        "dropped": dict(stream.dropped),
    }


def _counts(tally: Tally, formats: dict[int, Format]) -> dict[str, Any]:
    payload_type = main_type(tally, formats)
    format_ = formats.get(payload_type) or STATIC.get(payload_type)
    clock_rate = format_.clock_rate if format_ is not None else 8000
    encoding = format_.encoding if format_ is not None else "unknown"
    jitter_ms = tally.jitter_ns / 1e6
    has_ptime = tally.timestamp_step > 0 and encoding.upper() not in _NOT_VOICE
    seen = tally.packets + tally.lost
    return {
        "codec": encoding,
        "payload_type": payload_type,
        "clock_rate": clock_rate,
        "packets": tally.packets,
        "lost": tally.lost,
        "reordered": tally.reordered,
        "duplicates": tally.duplicates,
        "late": tally.late,
        "jitter_ms": round(jitter_ms, 3),
        "ptime_ms": round(1000 * tally.timestamp_step / clock_rate, 3) if has_ptime else None,
        "first_at": rfc3339(tally.first_at),
        "last_at": rfc3339(tally.last_at),
        "mos": mos(encoding, (tally.lost + tally.late) / seen if seen else 0.0, jitter_ms),
    }


def unsignalled_report(ssrc: int, source: str, destination: str, tally: Tally) -> dict[str, Any]:
    """Return a stream that no signalling explains."""
    return {
        "party": "",
        "ssrc": f"{ssrc:08X}",
        "source": source,
        "destination": destination,
        **_counts(tally, {}),
        "stored": 0,
        "dropped": {"unsignalled": tally.packets},
    }


def _parties(call: Call) -> list[dict[str, Any]]:
    """Everybody who took part, by seat, with the time from when on."""
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for session in call.sessions:
        for side, who in ((CALLER, session.caller), (CALLEE, session.callee)):
            seat = call.seat(session, side)
            found.setdefault(
                (seat, uri_text(who.uri)),
                {
                    "seat": seat,
                    "uri": uri_text(who.uri),
                    "name": who.display,
                    "from": rfc3339(session.first_at),
                },
            )["to"] = rfc3339(session.ended_at)  # sessions stand in the order of their starts
    return sorted(found.values(), key=lambda p: (p["seat"], p["from"] or ""))


def _middle(call: Call) -> set[tuple[str, int]]:
    """(Call-ID, side) of parties that are a host in the middle: their streams repeat the other leg's."""
    hosts = set()
    for left in call.sessions:
        for right in call.sessions:
            if left is not right and left.hop[2] == right.hop[0] and left.hop[0] != left.hop[2]:
                hosts |= {(left.call_id, CALLEE), (right.call_id, CALLER)}
    return hosts


def mark_copies(call: Call) -> None:
    """Mark streams whose voice another stream carries nearer to its mouth; playback picks the others."""
    middle = _middle(call)
    if not middle:
        return
    own = {s.seat for s in call.streams.values() if (s.session.call_id, s.sender) not in middle and s.stored}
    for stream in call.streams.values():
        copy = stream.copy or ((stream.session.call_id, stream.sender) in middle and stream.seat in own)
        if copy != stream.copy:
            stream.copy, stream.announced = copy, False


def _judge_policy(call: Call, streams: list[Stream]) -> tuple[str, list[str]] | None:
    """Return the outcome of what rules or a gate kept from being stored, and the rule's name or the reason."""
    keeping = call.keeping
    dropped = {reason for stream in streams for reason in stream.dropped}
    if keeping.is_excluded or (EXCLUDED in dropped and not dropped & _BY_POLICY):
        return EXCLUDED, sorted({ruling.rule.name for ruling in keeping.rulings if ruling.excluded})
    if dropped & _BY_POLICY:
        return DISCARDED, [keeping.shut_by or (GATE_LOST if keeping.lost else NOT_OPENED)]
    return None


def _policy_reasons(call: Call, streams: list[Stream]) -> set[str]:
    """Return why a part of what was said is missing although the rest is stored."""
    dropped = {reason for stream in streams for reason in stream.dropped}
    reasons = {EXCLUDED} & dropped
    if DISCARDED in dropped and call.keeping.shut_by:
        reasons.add(call.keeping.shut_by)
    return reasons | ({GATE_LOST} if call.keeping.lost else set())


def _judge(call: Call, streams: list[Stream], tallies: dict[int, Tally]) -> tuple[str, list[str]]:
    """Return the one outcome of an answered call, or of the dialog that these streams are of, and its reasons."""
    stored = [s for s in streams if s.stored]
    by_policy = _judge_policy(call, streams)
    if by_policy is not None and not stored:
        return by_policy
    if not stored:
        if any(s.encrypted for s in streams):
            return ENCRYPTED, []
        if any(PAUSED in s.dropped for s in streams):
            return PAUSED_THROUGHOUT, []
        if any(NOT_ANALYSED in s.dropped for s in streams):
            return DISCARDED, [NOT_ANALYSED]
        if any(DISK in s.dropped for s in streams):
            return NO_DISK, []
        return (CAPTURE_LOSS if CAPTURE_LOSS in call.reasons else NO_MEDIA), []
    reasons = set(call.reasons) | _policy_reasons(call, streams)
    # Who sends nothing but digits, or is paused, was there all the same.
    if len({s.seat for s in streams if not s.foreign and (s.stored or _LEFT_OUT & s.dropped.keys())}) == 1:
        reasons.add("one-way")
    for stream in stored:
        tally = tallies[stream.flow]
        if tally.lost > _LOSSY * (tally.lost + tally.packets) and not stream.copy and not stream.foreign:
            reasons.add("loss")
    if any(NOT_ANALYSED in s.dropped for s in streams):
        reasons.add(NOT_ANALYSED)
    if any(s.after_hole for s in call.sessions):
        reasons.add("signalling-gap")
    return (PARTIAL if reasons else RECORDED), sorted(reasons)


def _dialogs(call: Call, outcome: str, reasons: list[str], tallies: dict[int, Tally]) -> list[dict[str, Any]]:
    """The register: every answered dialog with its outcome, and every session that was never answered."""
    rows = []
    for session in call.sessions:
        if not session.call_id:
            continue
        answered = [d for d in session.dialogs.values() if d.answered_at]
        if not answered:
            rows.append(_dialog(session, None, UNANSWERED, []))
        for dialog in answered:
            if len(call.sessions) == len(answered) == 1:
                rows.append(_dialog(session, dialog, outcome, reasons))
                continue
            own = [
                s
                for s in call.streams.values()
                if s.session is session and (len(answered) == 1 or s.callee_tag in ("", dialog.callee_tag))
            ]
            of_dialog = _judge(call, own, tallies)
            if of_dialog[0] == NO_MEDIA and len(answered) == 1:
                of_dialog = outcome, reasons  # its voices are in the linked leg's streams
            rows.append(_dialog(session, dialog, *of_dialog))
    return rows


def call_report(call: Call, states: StreamStates) -> dict[str, Any]:
    """Return all that list and show tell of a call that ended."""
    mark_copies(call)
    tallies = {flow: states.tally(flow) for flow in call.streams}
    first = call.first
    streams = sorted(call.streams.values(), key=lambda s: s.number)
    outcome, reasons = _judge(call, streams, tallies) if call.answered else (UNANSWERED, [])
    # A call joined in the middle was up at first sight, be that of a packet.
    seen_at = min((tallies[s.flow].first_at for s in streams), default=0) if first.joined_midway else 0
    undecodable = sorted(_undecodable(call, tallies))
    unheard = sum(stream.unheard for stream in streams)
    flags = {
        "not-decodable": undecodable,
        "joined-midway": first.joined_midway,
        "tones-not-searched": unheard,
        NOT_ANALYSED: any(NOT_ANALYSED in stream.dropped for stream in streams),
    }
    return {
        "id": call.id,
        "call_ids": [s.call_id for s in call.sessions if s.call_id],
        "caller": uri_text(first.caller.uri),
        "callee": uri_text(first.callee.uri or first.request_uri),
        "parties": _parties(call),
        "started_at": rfc3339(min(first.first_at, seen_at or first.first_at)),
        "answered_at": rfc3339(min(call.answered_at, seen_at or call.answered_at)),
        "ended_at": rfc3339(call.ended_at),
        "end_reason": _end_reason(call),
        "outcome": outcome,
        "outcome_reasons": reasons,
        "streams": [{"number": s.number, **stream_report(s, tallies[s.flow])} for s in streams],
        "details": {
            "links": [
                {
                    "call_id": link.call_id,
                    "other": link.other,
                    "evidence": link.evidence,
                    "confidence": link.confidence,
                }
                for link in call.links
            ],
            "related": call.related,
            "dialogs": _dialogs(call, outcome, reasons, tallies),
            "flags": [flag for flag, holds in flags.items() if holds],
            "not_decodable": undecodable,
            "other_media": call.other_media,
            "voices": [
                {"number": s.number, "seat": s.seat, "copy": s.copy, "foreign": s.foreign, "early": s.early}
                for s in streams
            ],
            "gaps": call.gaps,
            "pauses": pauses_report(call),
            "agent": next((s.agent for s in call.sessions if s.agent), ""),
            "digits": call.digits,
            "tones_not_searched": unheard,
            "sip_messages": call.signals_seen,
        },
    }


def _end_reason(call: Call) -> str:
    ended = [s for s in call.sessions if s.ended_at]
    if not ended:
        return ""
    # Legs of a B2BUA hang up one after the other, and the first BYE says who it was; a leg that was
    # transferred away ended long before the call did.
    last = max(s.ended_mono for s in ended)
    together = [s for s in ended if last - s.ended_mono < _TOGETHER_NS]
    hung_up = [s for s in together if s.end_reason not in _ENDS_WITHOUT_BYE]
    return min(hung_up or together, key=lambda s: s.ended_mono).end_reason


def _dialog(session: Session, dialog: Dialog | None, outcome: str, reasons: list[str]) -> dict[str, Any]:
    return {
        "call_id": session.call_id,
        "callee_tag": dialog.callee_tag if dialog is not None else "",
        "caller": uri_text(session.caller.uri),
        "callee": uri_text(session.callee.uri),
        "started_at": rfc3339(session.first_at),
        "answered_at": rfc3339(dialog.answered_at if dialog is not None else 0),
        "ended_at": rfc3339((dialog.ended_at if dialog is not None else 0) or session.ended_at),
        "end_reason": session.end_reason,
        "status": session.final_status or None,
        "transport": session.transport,
        "joined_midway": session.joined_midway,
        "forks": len(session.dialogs),
        "outcome": outcome,
        "outcome_reasons": reasons,
    }


_DECODABLE: Final = frozenset(
    [
        "PCMU",
        "PCMA",
        "G722",
        "G729",
        "OPUS",
        "GSM",
        "ILBC",
        "SPEEX",
        "AMR",
        "AMR-WB",
        "G723",
        "L16",
        "G726-16",
        "G726-24",
        "G726-32",
        "G726-40",
        "AAL2-G726-16",
        "AAL2-G726-24",
        "AAL2-G726-32",
        "AAL2-G726-40",
        "CN",
        "TELEPHONE-EVENT",
        "DVI4",
        "G721",
    ]
)


def _undecodable(call: Call, tallies: dict[int, Tally]) -> set[str]:
    found = set()
    for stream in call.streams.values():
        if stream.stored:
            payload_type = main_type(tallies[stream.flow], stream.formats)
            format_ = stream.format_of(payload_type)
            name = format_.encoding if format_ is not None else f"payload type {payload_type}"
            if name.upper() not in _DECODABLE:
                found.add(name)
    return found
