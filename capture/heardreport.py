"""What was heard in a call as its report tells it: the member `heard`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from vittne.capture.calls import Call, Stream
from vittne.capture.columns import SECOND
from vittne.capture.heard import MOST_SPEECH, NOT_ALL, Played, Prompt, VoiceHeard
from vittne.capture.pausebook import PauseBook
from vittne.capture.sip.session import SIDE_NAMES
from vittne.capture.times import rfc3339

# What a call says goes into one record of its recording, which has room for a megabyte with all else that is told.
_MOST_PLAYED: Final = 256  # what decides first
_MOST_STATES: Final = 512
_MOST_MISSING: Final = 256  # beyond them none is named: then every one may have been missing


@dataclass(frozen=True, slots=True)
class Told:
    """A voice, the seat of whom it is, and the number of its stream; 0 while nothing of it is written."""

    voice: VoiceHeard
    seat: int
    stream: int

    @property
    def party(self) -> str:
        return SIDE_NAMES[self.seat & 1]

    def at(self, mono: int) -> str | None:
        """Return a monotonic time as text in UTC."""
        return rfc3339(mono + self.voice.offset_ns)


def without_pauses(call: Call, pauses: PauseBook) -> None:
    """Forget what was heard while a call, or a party of it, was paused."""
    for note in call.pauses.values():
        pause = pauses.get(note.pause.id) or note.pause
        for voice in call.heard.voices.values():
            party = voice.call_id, voice.sender
            if call.is_paused_by(pause, party, _seat(call, voice)):
                voice.cut(pause.from_mono, pause.to_mono)


def heard_report(
    call: Call, streams: dict[int, Stream], detector: str, window_s: float, site: str = ""
) -> dict[str, Any]:
    """Return what was heard. streams: by their flows' keys. detector: version of who listens. site: of the call."""
    told = [_told(call, voice, streams.get(key)) for key, voice in call.heard.voices.items()]
    told.sort(key=lambda one: (one.stream or 1 << 16, one.voice.first_mono))
    played = [(one, found) for one in told for found in one.voice.played]
    played.sort(key=lambda pair: not pair[1].decides)
    played = sorted(played[:_MOST_PLAYED], key=lambda pair: pair[1].begin_mono)
    return {
        "detector": detector,
        "window_s": window_s,
        **_lacking([one.voice for one in told], site),
        "listened": [_listened(one) for one in told],
        "announcements": [_announcement(one, found, told, site) for one, found in played],
        "consent": [
            {"decision": one.decision, "at": rfc3339(one.at_ns), "reference": one.reference}
            for one in call.heard.consent
        ],
        "speech": {name: _speech(call, [one for one in told if one.party == name]) for name in SIDE_NAMES},
        "states": _states(told),
    }


def _seat(call: Call, voice: VoiceHeard) -> int:
    return call.seats.get(voice.call_id, (0, 1))[voice.sender]


def _told(call: Call, voice: VoiceHeard, stream: Stream | None) -> Told:
    if stream is not None:
        return Told(voice, stream.seat, stream.number)
    return Told(voice, _seat(call, voice), 0)


def _listened(one: Told) -> dict[str, Any]:
    voice = one.voice
    return {
        "stream": one.stream,
        "party": one.party,
        "from": one.at(voice.from_mono) if voice.from_mono else None,
        "to": one.at(voice.to_mono) if voice.from_mono else None,
        "seconds": round(voice.heard_ns / SECOND, 2),
        "why": ", ".join(voice.why),
    }


def _lacking(voices: Sequence[VoiceHeard], site: str) -> dict[str, Any]:
    """Return why announcements that count were not listened for, and which, where that is known of all."""
    lacks = sorted({voice.lacks for voice in voices if voice.lacks})
    missing = dict.fromkeys(prompt for voice in voices for prompt in voice.missing)
    is_known = all(voice.missing for voice in voices if voice.lacks == NOT_ALL) and len(missing) <= _MOST_MISSING
    named = [{**_named(one), "elsewhere": not one.counts_at(site)} for one in missing] if is_known else []
    return {"lacks": next((one for one in lacks if one != NOT_ALL), lacks[0] if lacks else ""), "missing": named}


def _named(prompt: Prompt) -> dict[str, Any]:
    names = {"name": prompt.name, "language": prompt.language, "purpose": prompt.purpose}
    return {"reference": prompt.hash, **names}


def _announcement(one: Told, found: Played, told: Sequence[Told], site: str) -> dict[str, Any]:
    first = min(other.voice.first_mono for other in told if other.seat & 1 == one.seat & 1)
    return {
        **_named(found.prompt),
        "elsewhere": not found.prompt.counts_at(site),
        "stream": one.stream,
        "party": one.party,
        "begin": one.at(found.begin_mono),
        "end": one.at(found.end_mono),
        "offset_s": round((found.begin_mono - first) / SECOND, 3),
        "state": "full" if found.is_full else "partial",
        "share": round(found.share, 4),
        "required_share": round(found.required_share, 4),
        "score": round(found.score, 4),
        "overlap": round(_overlap(one, found, told), 3),
    }


def _overlap(one: Told, found: Played, told: Sequence[Told]) -> float:
    """Return the share of an announcement's time in which the other party spoke."""
    length = found.end_mono - found.begin_mono
    others = [stretch for other in told if other.seat & 1 != one.seat & 1 for stretch in other.voice.stretches()]
    spoken, until = 0, found.begin_mono
    for begin, end in sorted(others):
        since, last = max(begin, until), min(end, found.end_mono)
        if last > since:
            spoken, until = spoken + last - since, last
    return spoken / length if length > 0 else 0.0


def _speech(call: Call, told: Sequence[Told]) -> list[list[int]]:
    """Return when somebody of a side spoke, ms since the call's begin; stretches that overlap are one."""
    begin_at = call.first.first_at
    found: list[list[int]] = []
    spans = sorted(
        (
            (begin + one.voice.offset_ns, end + one.voice.offset_ns)
            for one in told
            for begin, end in one.voice.stretches()
        )
    )
    for begin, end in spans:
        from_ms, to_ms = max(0, (begin - begin_at) // 1_000_000), max(0, (end - begin_at) // 1_000_000)
        if found and from_ms <= found[-1][1]:
            found[-1][1] = max(found[-1][1], to_ms)
        else:
            found.append([from_ms, to_ms])
    if len(found) > MOST_SPEECH:
        gaps = sorted(range(1, len(found)), key=lambda at: found[at][0] - found[at - 1][1])
        for at in sorted(gaps[: len(found) - MOST_SPEECH], reverse=True):
            found[at - 1][1] = found.pop(at)[1]
    return found


def _states(told: Sequence[Told]) -> list[dict[str, Any]]:
    every = sorted(((state.begin_mono, state, one) for one in told for state in one.voice.states), key=lambda s: s[0])
    return [
        {
            "party": one.party,
            "state": state.name,
            "begin": one.at(state.begin_mono),
            "end": one.at(state.end_mono),
            "interval_s": round(state.interval_s, 3),
            "regularity": round(state.regularity, 3),
            "count": state.count,
            "frequency_hz": round(state.frequency_hz, 1),
        }
        for _, state, one in every[:_MOST_STATES]
    ]
