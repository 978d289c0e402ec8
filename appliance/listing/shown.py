"""A recording as API and console show it: each member says what it tells of, so that what is hidden is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel

from vittne.appliance.access.showing import Of
from vittne.appliance.listing.search import FoundCall
from vittne.appliance.listing.table import Note
from vittne.appliance.store.corrections import Correction
from vittne.appliance.store.holds import HoldRow
from vittne.appliance.store.listing import voices
from vittne.appliance.store.parties import names_of, number_of
from vittne.appliance.store.rows import RECORDING, CallRow, StreamRow
from vittne.appliance.store.times import from_rfc3339, rfc3339
from vittne.appliance.verdicts.heard import heard_or_nothing

Party = Annotated[str, Of("party")]


class RecordingItem(BaseModel):
    """A call in a list. mos: the worst voice; pauses: how many times storing was stopped."""

    id: str
    state: str
    started_at: str
    duration_s: float | None
    caller: Party
    callee: Party
    names: Annotated[list[str], Of("party")]
    agents: Annotated[list[str], Of("agent")]
    tags: Annotated[list[str], Of("business")]
    outcome: str
    outcome_reasons: list[str]
    codecs: list[str]
    mos: float | None
    pauses: int
    announced: str
    site: str
    retention_class: str
    size_bytes: int
    has_recording: bool
    is_held: bool
    is_restricted: bool
    is_quarantined: bool
    is_erased: bool
    is_corrected: bool


class PartyShown(BaseModel):
    """Somebody who took part. seat: 0 the caller's side, 1 the callee's, 2 and up further voices."""

    seat: int
    uri: Party
    number: Party
    name: Party
    from_at: str | None
    to_at: str | None


class StreamShownInFull(BaseModel):
    """Packets of one voice to one address. late: came too late to be played; dropped: not stored, by reason."""

    party: str
    codec: str
    payload_type: int
    clock_rate: int
    ssrc: str
    source: Annotated[str, Of("signalling")]
    destination: Annotated[str, Of("signalling")]
    packets: int
    stored: int
    lost: int
    lost_percent: float
    reordered: int
    duplicates: int
    late: int
    jitter_ms: float
    ptime_ms: float | None
    mos: float | None
    is_voice: bool
    dropped: dict[str, int]


class EventShown(BaseModel):
    """Something that happened in the call. offset_s: from its start; kind is for programs, words for people."""

    at: str
    offset_s: float
    kind: str
    words: str
    party: str
    seconds: float | None
    by: Annotated[str, Of("audit")]
    reason: Annotated[str, Of("business")]


class HoldOn(BaseModel):
    """A legal hold that lies on it, or did."""

    id: str
    label: Annotated[str, Of("business")]
    reason: Annotated[str, Of("business")]
    placed_at: str
    placed_by: Annotated[str, Of("audit")]
    released_at: str | None


class CorrectionShown(BaseModel):
    """What was entered wrongly, and how it is shown since."""

    n: int
    at: str
    field: str
    before: Party
    after: Party
    reason: Annotated[str, Of("business")]
    by: Annotated[str, Of("audit")]


class NoteShown(BaseModel):
    """What somebody wrote."""

    n: int
    at: str
    by: Annotated[str, Of("business")]
    text: Annotated[str, Of("business")]


class HeardShown(BaseModel):
    """An announcement that was heard. reference: its hash; elsewhere: it counts at other sites only; shares 0 to 1."""

    reference: str
    name: str
    language: str
    purpose: str
    elsewhere: bool
    party: str
    begin: str
    end: str
    offset_s: float
    state: str
    share: float
    required_share: float
    score: float
    overlap: float


class RecordingShown(RecordingItem):
    """All that the catalogue knows of a call. digits: how many keys were pressed; which, nobody knows."""

    answered_at: str | None
    ended_at: str | None
    end_reason: str
    call_ids: Annotated[list[str], Of("signalling")]
    parties: list[PartyShown]
    streams: list[StreamShownInFull]
    events: list[EventShown]
    digits: int
    announcement: dict[str, Any] | None
    heard: list[HeardShown]
    speech: dict[str, Any] | None
    flags: list[str]
    not_decodable: list[str]
    links: Annotated[list[dict[str, Any]], Of("signalling")]
    related: Annotated[list[str], Of("signalling")]
    rule: str
    basis: Annotated[dict[str, Any], Of("party")]
    locked_until: str | None
    expires_at: str | None
    restricted_at: str | None
    quarantined_at: str | None
    erased_at: str | None
    holds: list[HoldOn]
    corrections: list[CorrectionShown]
    notes: Annotated[list[NoteShown], Of("business")]


def item_of(found: FoundCall) -> RecordingItem:
    """Return a call for a list."""
    return RecordingItem(**_item(found))


def recording_of_call(found: FoundCall, notes: Sequence[Note], holds: Sequence[HoldRow]) -> RecordingShown:
    """Return everything about a call."""
    call = found.sealed
    details, told = call.details, call.as_json()
    rule = details.get("recording_rule")
    return RecordingShown(
        **_item(found),
        answered_at=told["answered_at"],
        ended_at=told["ended_at"],
        end_reason=call.end_reason,
        call_ids=list(call.call_ids),
        parties=list(_parties(found)),
        streams=[_stream(one) for one in call.streams],
        events=sorted(events_of(call), key=lambda one: one.at),
        digits=int(details.get("digits") or 0),
        announcement=_object(details.get("announcement")),
        heard=list(_heard(details)),
        speech=_object((_object(details.get("heard")) or {}).get("speech")),
        flags=[str(one) for one in details.get("flags", ())],
        not_decodable=[str(one) for one in details.get("not_decodable", ())],
        links=list(_objects(details.get("links"))),
        related=[str(one) for one in details.get("related", ())],
        rule=str(rule.get("rule", "")) if isinstance(rule, Mapping) else "",
        basis=dict(call.basis),
        locked_until=told["locked_until"],
        expires_at=told["expires_at"],
        restricted_at=told["restricted_at"],
        quarantined_at=told["quarantined_at"],
        erased_at=told["erased_at"],
        holds=[_hold(one) for one in holds],
        corrections=[_correction(one) for one in found.made],
        notes=[NoteShown(n=one.n, at=rfc3339(one.at_us), by=one.by, text=one.text) for one in notes],
    )


def _item(found: FoundCall) -> dict[str, Any]:
    sealed, call = found.sealed, found.shown
    voice = voices(sealed.streams)
    scores = [stream.mos for stream in voice if stream.mos is not None]
    return {
        "id": call.id,
        "state": call.state,
        "started_at": rfc3339(call.started_us),
        "duration_s": call.duration_s,
        "caller": number_of(call.caller),
        "callee": number_of(call.callee),
        "names": list(names_of(sealed)),
        "agents": list(found.facts.agents),
        "tags": list(call.tags),
        "outcome": call.outcome,
        "outcome_reasons": list(call.outcome_reasons),
        "codecs": list(dict.fromkeys(stream.codec for stream in voice)),
        "mos": min(scores, default=None),
        "pauses": len(list(_objects(sealed.details.get("pauses")))),
        "announced": call.announced,
        "site": call.site,
        "retention_class": call.retention_class,
        "size_bytes": call.size_bytes,
        "has_recording": bool(call.folder) and call.erased_us is None,
        "is_held": bool(found.holds),
        "is_restricted": call.restricted_us is not None,
        "is_quarantined": call.quarantined_us is not None,
        "is_erased": call.erased_us is not None,
        "is_corrected": bool(found.made) and call.erased_us is None,
    }


def _parties(found: FoundCall) -> Iterator[PartyShown]:
    """Yield who took part, as they are shown: what was corrected stands in the place of what was recorded."""
    replaced = {found.sealed.caller: found.shown.caller, found.sealed.callee: found.shown.callee}
    for one in _objects(found.sealed.parties):
        uri = str(one.get("uri") or "")
        uri = replaced.get(uri, uri)
        yield PartyShown(
            seat=one["seat"] if isinstance(one.get("seat"), int) else 0,
            uri=uri,
            number=number_of(uri),
            name=str(one.get("name") or ""),
            from_at=_text(one.get("from")),
            to_at=_text(one.get("to")),
        )


def _stream(one: StreamRow) -> StreamShownInFull:
    expected = one.packets + one.lost
    return StreamShownInFull(
        **{name: getattr(one, name) for name in ("party", "codec", "payload_type", "clock_rate", "source")},
        **{
            name: getattr(one, name) for name in ("destination", "packets", "stored", "lost", "reordered", "duplicates")
        },
        **{name: getattr(one, name) for name in ("late", "jitter_ms", "ptime_ms", "mos")},
        ssrc=f"{one.ssrc:08X}",
        lost_percent=round(100 * one.lost / expected, 2) if expected else 0.0,
        is_voice=bool(voices([one])),
        dropped={reason: count for reason, count in one.dropped.items() if count},
    )


def _hold(one: HoldRow) -> HoldOn:
    released = None if one.released_us is None else rfc3339(one.released_us)
    placed = rfc3339(one.placed_us)
    return HoldOn(
        id=one.id, label=one.label, reason=one.reason, placed_at=placed, placed_by=one.placed_by, released_at=released
    )


def _correction(one: Correction) -> CorrectionShown:
    return CorrectionShown(**one.as_json())


def events_of(call: CallRow) -> Iterator[EventShown]:
    """Yield what happened in a call, in no order."""

    def told(at: str | None, kind: str, words: str, **more: Any) -> Iterator[EventShown]:
        try:
            offset = (from_rfc3339(at or "") - call.started_us) / 1e6
        except ValueError:
            return
        given = {"party": "", "seconds": None, "by": "", "reason": "", **more}
        yield EventShown(at=at or "", offset_s=offset, kind=kind, words=words, **given)

    shown = call.as_json()
    yield from told(shown["started_at"], "started", "The call began")
    yield from told(shown["answered_at"], "answered", "It was answered")
    if call.state != RECORDING:
        yield from told(shown["ended_at"], "ended", "It ended", reason=call.end_reason)
    for one in _objects(call.details.get("pauses")):
        by = f"{one.get('trigger', '')} {one.get('by', '')}".strip()
        length = _seconds(one.get("milliseconds"), 1000)
        words = "Storing was paused: nothing of this time was ever written"
        more = {"by": by, "reason": str(one.get("reason", "")), "party": str(one.get("party") or "")}
        yield from told(_text(one.get("effective_from")), "paused", words, seconds=length, **more)
    for one in _objects(call.details.get("gaps")):
        begin, end = _text(one.get("from")), _text(one.get("to"))
        reason = str(one.get("reason", ""))
        yield from told(begin, "gap", "Nothing is stored of this time", seconds=_between(begin, end), reason=reason)
    for one in _objects(call.details.get("cuts")):
        begin, end = _text(one.get("from")), _text(one.get("to"))
        more = {"by": str(one.get("by", "")), "reason": str(one.get("reason", "")), "party": str(one.get("party", ""))}
        yield from told(begin, "cut", "This was cut out afterwards", seconds=_between(begin, end), **more)
    heard = _object(call.details.get("heard")) or {}
    for one in _objects(heard.get("consent")):
        yield from told(_text(one.get("at")), "consent", "The caller decided", reason=str(one.get("decision", "")))
    told_of = _object(call.details.get("announcement")) or {}
    if told_of.get("begin"):
        words, party = "The announcement was heard", str(told_of.get("party") or "")
        which = " ".join(str(told_of.get(name) or "") for name in ("name", "language")).strip()
        yield from told(_text(told_of.get("begin")), "announced", words, party=party, reason=which)
    if call.erased_us is not None:
        yield from told(shown["erased_at"], "erased", "It was erased")


def _heard(details: Mapping[str, Any]) -> Iterator[HeardShown]:
    heard = heard_or_nothing({"heard": details.get("heard")})
    names = HeardShown.model_fields
    for one in heard.announcements if heard is not None else ():
        yield HeardShown(**{name: getattr(one, name) for name in names})


def _between(begin: str | None, end: str | None) -> float | None:
    try:
        return (from_rfc3339(end or "") - from_rfc3339(begin or "")) / 1e6
    except ValueError:
        return None


def _seconds(value: object, unit: int) -> float | None:
    return value / unit if isinstance(value, int | float) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _object(value: object) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None


def _objects(some: object) -> Iterator[dict[str, Any]]:
    if isinstance(some, list | tuple):
        yield from (dict(one) for one in some if isinstance(one, Mapping))
