"""A call's time line for eyes: what is missing and why, what was announced, who spoke when.

Times are milliseconds from the beginning of its sound. Before a recording is opened that beginning is known by the
catalogue only, to a packet; once it is open, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from vittne.appliance.audio.sounds import About
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import from_rfc3339

MOST: Final = 1000  # marks, and stretches of speech of a party
PARTIES: Final = ("caller", "callee")
_NEAR_MS: Final = 40  # two marks of one thing, from catalogue and recording


Kind = Literal[
    "pause",
    "gap",
    "cut",
    "hold",
    "digits",
    "answer",
    "announcement",
    "prompt",
    "missing",
    "consent",
    "state",
]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something on the time line.

    party: whose; "" both. name: a reason, or what a prompt is called. to_ms: as from_ms for a moment.
    """

    kind: Kind
    from_ms: int
    to_ms: int
    party: str = ""
    name: str = ""
    permille: int | None = None  # of an announcement that was heard
    language: str = ""  # likewise


@dataclass(frozen=True, slots=True)
class Line:
    """The time line. is_exact: the recording was open."""

    begins_ns: int
    length_ms: int
    is_exact: bool
    marks: tuple[Mark, ...]
    speech: Mapping[str, tuple[tuple[int, int], ...]]
    digits: int


def line_of(call: CallRow, about: About | None) -> Line:
    """Return a call's time line. about: what its open recording says."""
    begins_ns, ends_ns = _span(call, about)
    length_ms = max(ends_ns - begins_ns, 0) // 1_000_000 if about is None else about.length_ms
    found = [mark for mark in _marks(call, about, begins_ns, length_ms) if mark is not None]
    unique = sorted(set(_once(found)), key=lambda one: (one.from_ms, one.to_ms, one.kind, one.party))
    heard = _mapping(call.details.get("heard"))
    shift = call.started_us // 1000 - begins_ns // 1_000_000
    speech = {party: tuple(_stretches(_mapping(heard.get("speech")).get(party), shift, length_ms)) for party in PARTIES}
    digits = call.details.get("digits")
    return Line(
        begins_ns,
        length_ms,
        about is not None,
        tuple(unique[:MOST]),
        speech,
        digits if isinstance(digits, int) else 0,
    )


def _span(call: CallRow, about: About | None) -> tuple[int, int]:
    """Return when the sound begins and ends, ns UTC."""
    if about is not None:
        return about.from_ns, about.to_ns
    begins = [stream.first_at_us for stream in call.streams if stream.stored]
    begins += [call.answered_us] if call.answered_us is not None else []
    first = min(begins, default=call.started_us)
    last = call.ended_us or max((stream.last_at_us for stream in call.streams if stream.stored), default=first)
    return first * 1000, last * 1000


def _marks(call: CallRow, about: About | None, begins_ns: int, length_ms: int) -> Iterator[Mark | None]:
    place = _Place(begins_ns, length_ms)
    if call.answered_us is not None and call.answered_us * 1000 > begins_ns + 50_000_000:
        yield place.mark("answer", call.answered_us * 1000)
    for gap in _dicts(call.details.get("gaps")):
        yield place.told(_kind_of(str(gap.get("reason", ""))), gap, str(gap.get("reason", "")))
    for cut in _dicts(call.details.get("cuts")):
        yield place.told("cut", cut)
    yield from _announcements(call, place)
    if about is not None:
        for from_ns, to_ns, reason in about.gaps:
            yield place.mark(_kind_of(reason), from_ns, to_ns, name=reason)
        yield from _events(about.events, place, about.to_ns)


def _announcements(call: CallRow, place: _Place) -> Iterator[Mark | None]:
    heard = _mapping(call.details.get("heard"))
    for one in _dicts(heard.get("announcements")):
        share = one.get("share")
        permille = round(share * 1000) if isinstance(share, (int, float)) else None
        tells = one.get("purpose") in (None, "", "notice") and not one.get("elsewhere")
        kind: Kind = "announcement" if tells else "prompt"
        mark = place.told(kind, one, str(one.get("name", "")), ("begin", "end"), permille)
        yield mark if mark is None else replace(mark, language=str(one.get("language") or "")[:35])
    for one in _dicts(heard.get("consent")):
        yield place.told("consent", one, str(one.get("decision", "")), ("at", "at"))
    for one in _dicts(heard.get("states")):
        yield place.told("state", one, str(one.get("state", "")), ("begin", "end"))
    verdict = _mapping(call.details.get("announcement"))
    if verdict.get("expected") and not verdict.get("proven") and verdict.get("due"):
        yield place.told("missing", verdict, str(verdict.get("reason", "")), ("due", "due"))


def _events(events: Sequence[tuple[int, dict[str, Any]]], place: _Place, to_ns: int) -> Iterator[Mark | None]:
    held: dict[str, int] = {}
    for at_ns, said in events:
        by = str(said.get("by", ""))
        match said.get("event"):
            case "held":
                held.setdefault(by, at_ns)
            case "retrieved" if by in held:
                yield place.mark("hold", held.pop(by), at_ns, by)
            case "digits" if isinstance(said.get("from_ns"), int) and isinstance(said.get("to_ns"), int):
                yield place.mark("digits", said["from_ns"], said["to_ns"])
            case _:
                continue
    for by, at_ns in held.items():
        yield place.mark("hold", at_ns, to_ns, by)


@dataclass(frozen=True, slots=True)
class _Place:
    """Puts moments on the time line."""

    begins_ns: int
    length_ms: int

    def mark(
        self,
        kind: Kind,
        from_ns: int,
        to_ns: int | None = None,
        party: str = "",
        name: str = "",
        share: int | None = None,
    ) -> Mark | None:
        """Return a mark within the call; None for one that lies outside."""
        from_ms = (from_ns - self.begins_ns) // 1_000_000
        to_ms = from_ms if to_ns is None else (to_ns - self.begins_ns) // 1_000_000
        if to_ms < 0 or from_ms > self.length_ms:
            return None
        side = party if party in PARTIES else ""
        return Mark(kind, max(from_ms, 0), min(max(to_ms, from_ms), self.length_ms), side, name[:200], share)

    def told(
        self,
        kind: Kind,
        said: Mapping[str, Any],
        name: str = "",
        names: tuple[str, str] = ("from", "to"),
        share: int | None = None,
    ) -> Mark | None:
        """Return a mark of something that tells its times as text; None when it does not."""
        try:
            from_ns, to_ns = (from_rfc3339(said[one]) * 1000 for one in names)
        except (KeyError, ValueError, TypeError, AttributeError):
            return None
        return self.mark(kind, from_ns, to_ns, str(said.get("party", "")), name, share)


def _kind_of(reason: str) -> Kind:
    return "pause" if reason == "paused" else "cut" if reason == "cut" else "gap"


def _once(marks: Iterable[Mark]) -> Iterator[Mark]:
    """Leave out what catalogue and recording both tell: of each kind one mark at a place, the catalogue's."""
    seen: list[Mark] = []
    for mark in marks:
        same = (
            one.kind == mark.kind
            and (one.party == mark.party or not one.party)
            and one.from_ms - _NEAR_MS <= mark.from_ms
            and mark.to_ms <= one.to_ms + _NEAR_MS
            for one in seen[-200:]
        )
        if mark.kind in ("pause", "cut", "gap") and any(same):
            continue
        seen.append(mark)
        yield mark


def _stretches(said: object, shift_ms: int, length_ms: int) -> Iterator[tuple[int, int]]:
    if not isinstance(said, (list, tuple)):
        return
    for one in said[:MOST]:
        if isinstance(one, (list, tuple)) and len(one) == 2 and all(isinstance(at, int) for at in one):
            begin, end = max(one[0] + shift_ms, 0), min(one[1] + shift_ms, length_ms)
            if end > begin:
                yield begin, end


def _mapping(said: object) -> Mapping[str, Any]:
    return said if isinstance(said, Mapping) else {}


def _dicts(said: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(said, (list, tuple)):
        yield from (one for one in said[:MOST] if isinstance(one, Mapping))
