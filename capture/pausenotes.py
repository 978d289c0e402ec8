"""What pauses and digits leave in a call's own records and report: when, why, and how much is missing."""

from __future__ import annotations

import uuid
from typing import Any, Final

from vittne.capture import record
from vittne.capture.calls import Call
from vittne.capture.digits import burst
from vittne.capture.pause import BOTH, Pause, PausedStream, PauseNote, PauseSettings
from vittne.capture.pausebook import PauseBook
from vittne.capture.sip.session import SIDE_NAMES
from vittne.capture.times import rfc3339

_NAMES: Final = uuid.UUID("6a1e4c0e-5c6d-4a57-9a9e-5f0f5b6f7d10")


def begin_note(call: Call, pause: Pause, now_mono: int) -> None:
    """Enter a pause as it stands now in a call, with an EVENT record at its beginning and at its end."""
    note = call.pauses.get(pause.id)
    if note is None:
        note = call.pauses[pause.id] = PauseNote(pause)
    was, note.pause = note.pause, pause
    told: dict[str, Any] = {"pause": pause.id, "trigger": pause.trigger, "by": pause.actor}
    if not note.begun:
        note.begun = True
        asked_mono = min(now_mono, pause.from_mono + max(0, pause.asked_at - pause.from_at))
        call.event(
            pause.asked_at,
            asked_mono,
            "paused",
            **told,
            reason=pause.reason,
            from_ns=pause.from_at,
            lease_ns=pause.lease_at,
            incomplete_ns=pause.incomplete_at,
        )
    if pause.ended_by and not was.ended_by:
        call.event(pause.to_at, min(now_mono, pause.to_mono), "resumed", **{**told, "by": pause.ended_by})
    elif pause.overdue and not was.overdue:
        call.event(pause.lease_at, min(now_mono, pause.lease_mono), "lease ran out", **told)


def end_notes(call: Call, before_mono: int | None) -> None:
    """Write a GAP record a stream for pauses that ended before a time; None: for all of them, the call is over."""
    for note in call.pauses.values():
        if note.ended or (before_mono is not None and note.pause.to_mono > before_mono):
            continue
        note.ended = True
        if note.streams:
            call.gaps.append(_span(call, note))
        for number, left_out in sorted(note.streams.items()):
            call.signals.append(
                (
                    note.pause.from_mono,
                    record.encode_json(record.GAP, left_out.first_at, _gap(note.pause, left_out), number),
                )
            )


def tell_mutes(call: Call, before_mono: int | None, mono_to_at: int) -> None:
    """Write an EVENT record for each window around digits that ended before a time, and forget it; None: for all.

    mono_to_at: what makes a monotonic time one in UTC.
    """
    for begin, end in call.mutes:
        if before_mono is None or end < before_mono:
            call.event(begin + mono_to_at, begin, "digits", from_ns=begin + mono_to_at, to_ns=end + mono_to_at)
    call.mutes = [] if before_mono is None else [window for window in call.mutes if window[1] >= before_mono]


def _span(call: Call, note: PauseNote) -> dict[str, Any]:
    """Return a pause as a gap of the whole call, for its report."""
    begin = max(note.pause.from_at, note.pause.incomplete_at, call.first.first_at)
    end = min(one for one in (note.pause.to_at, call.ended_at, begin + (1 << 62)) if one)
    seats = {"party": SIDE_NAMES[note.pause.seat & 1]} if note.pause.seat != BOTH else {}
    return {"from": rfc3339(begin), "to": rfc3339(max(begin, end)), "reason": "paused", **seats}


def _gap(pause: Pause, left_out: PausedStream) -> dict[str, Any]:
    return {
        "reason": "paused",
        "pause": pause.id,
        "from_ns": left_out.first_at,
        "to_ns": left_out.last_at,
        "packets": left_out.packets,
        "first_sequence": left_out.first_seq,
        "last_sequence": left_out.last_seq,
    }


def pauses_report(call: Call) -> list[dict[str, Any]]:
    """Return the pauses of a call for `show`: asked, effective, left out, and who."""
    notes = sorted(call.pauses.values(), key=lambda note: note.pause.from_mono)
    return [_pause_report(call, note) for note in notes]


def _pause_report(call: Call, note: PauseNote) -> dict[str, Any]:
    pause = note.pause
    begin = max(pause.from_at, pause.incomplete_at, call.first.first_at)
    end = min(pause.to_at or call.ended_at, call.ended_at or pause.to_at)
    names = {stream.number: stream for stream in call.streams.values()}
    return {
        "id": pause.id,
        "trigger": pause.trigger,
        "by": pause.actor,
        "reason": pause.reason,
        "external_id": pause.external_id,
        "asked_at": rfc3339(pause.asked_at),
        "effective_from": rfc3339(pause.from_at),
        "effective_to": rfc3339(end),
        "lease_until": rfc3339(pause.lease_at),
        "ended_by": pause.ended_by,
        "overdue": pause.overdue,
        "incomplete_until": rfc3339(pause.incomplete_at),
        "milliseconds": max(0, end - begin) // 1_000_000,
        "packets": sum(left_out.packets for left_out in note.streams.values()),
        "streams": [
            {
                "number": number,
                "party": names[number].party if number in names else "",
                "ssrc": f"{names[number].ssrc:08X}" if number in names else "",
                "packets": left_out.packets,
                "first_at": rfc3339(left_out.first_at),
                "first_sequence": left_out.first_seq,
                "last_at": rfc3339(left_out.last_at),
                "last_sequence": left_out.last_seq,
            }
            for number, left_out in sorted(note.streams.items())
        ],
    }


def keyed_card(call: Call, settings: PauseSettings, book: PauseBook, mono_to_at: int) -> Pause | None:
    """Return the pause that a number keyed in a call asks for; None when it is none, or the call is shut already.

    mono_to_at: what makes a monotonic time one in UTC. The same digits ask for the same pause, once.
    """
    if not settings.auto_digits or book.is_paused(call) or (settings.menu_users and _is_menu(call, settings)):
        return None
    menu_until = min((s.answered_mono for s in call.sessions if s.answered_mono), default=0) + settings.menu_ns
    ended = max((note.pause.to_mono for note in call.pauses.values() if not note.pause.is_live), default=0)
    found = burst(
        call, settings.auto_digits, settings.auto_within_ns, max(ended, menu_until if settings.menu_ns else 0)
    )
    if found is None:
        return None
    name = str(uuid.uuid5(_NAMES, f"{call.id} {found.first_mono}"))
    if name in call.pauses:
        return None
    begin = found.first_mono - settings.auto_before_ns
    asked = found.last_mono + mono_to_at
    lease = found.last_mono + settings.lease_ns
    return Pause(
        name,
        "digits",
        "digits",
        asked,
        begin + mono_to_at,
        begin,
        lease + mono_to_at,
        lease,
        settings.at_lease_end,
        reason=f"{found.count} digits were keyed",
        calls=(call.id,),
        call_ids=tuple(s.call_id for s in call.sessions if s.call_id),
    )


def _is_menu(call: Call, settings: PauseSettings) -> bool:
    return any(
        user in settings.menu_users
        for session in call.sessions
        for user in (session.callee.user, session.request_uri.partition(":")[2].partition("@")[0])
    )
