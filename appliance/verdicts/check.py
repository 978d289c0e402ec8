"""Stored calls listened to again: what is heard of each party now, and the verdict that this comes to.

The sound is the one that is exported and played. With the same references and the same version of the detector it must
come out as it did before; where it does not, that is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vittne.appliance.hearing.detector import VERSION, Detector, Match
from vittne.appliance.opened import open_recording
from vittne.appliance.playback import Playback, Voices
from vittne.appliance.policy.announcements import DISCARD, QUARANTINE, AnnouncementRules
from vittne.appliance.policy.decide import facts_of_report
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.verdicts.heard import NOTHING, PARTIES, Heard, heard_or_nothing
from vittne.appliance.verdicts.judge import NOT_LISTENED, NOT_STORED, judge
from vittne.appliance.verdicts.stored import LISTENED, same_finding
from vittne.appliance.verdicts.table import Kept
from vittne.capture.heard import NO_ANNOUNCEMENT, NOT_ALL
from vittne.codecs.base import I16
from vittne.codecs.timeline import Rendering, lay_out
from vittne.codecs.tracks import Side

if TYPE_CHECKING:
    from vittne.appliance.announcements.terms import Terms

RATE: Final = 8000
_PIECE_S: Final = 600.0  # of a long call that are searched at once
_SHARED_S: Final = 130.0  # by which pieces overlap: the longest announcement, and a little
_SAME_S: Final = 0.3  # matches of one reference as near as this are one
_NS: Final = 1_000_000_000
_SILENT: Final = 32  # peak below which a party said nothing


@dataclass(frozen=True, slots=True)
class Listener:
    """What is listened for: references in the order of the detector's list, and the detector itself.

    missing: what counts as well, and whose sound is gone.
    """

    terms: tuple[Terms, ...]
    detector: Detector
    missing: tuple[Terms, ...] = ()

    @property
    def hashes(self) -> tuple[str, ...]:
        """The references' hashes."""
        return tuple(one.reference for one in self.terms)


@dataclass(frozen=True, slots=True)
class Checked:
    """A call that was listened to again. told: the verdict now; before: the one that counted. problem: why not."""

    call: CallRow
    before: Kept | None = None
    told: Mapping[str, Any] | None = None
    references: tuple[str, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether it is to be entered: it says something else than the verdict that counts, or there was none."""
        if self.told is None or self._says_less:
            return False
        if self.before is None:
            return bool(self.told["announced"] != "not-expected")
        names = ("announced", "expected", "proven", "rule", "rules", "reason", "then", "detector")
        return any(self.told.get(name) != self.before.told.get(name) for name in names) or not self._is_same

    @property
    def is_changed(self) -> bool:
        """Whether something else is known of the call now: announced or not, or by what."""
        if self.told is None or self.before is None or self._says_less:
            return False
        names = ("announced", "expected", "proven", "reference")
        return any(self.told.get(name) != self.before.told.get(name) for name in names)

    @property
    def is_differing(self) -> bool:
        """Whether the same was listened for by the same detector, and another thing was found."""
        if self.told is None or self.before is None or self._says_less:
            return False
        if self.before.told.get("announced") not in LISTENED:
            return False
        is_same_ear = self.before.told.get("detector") == VERSION and set(self.before.references) == set(
            self.references
        )
        return is_same_ear and not self._is_same

    @property
    def _says_less(self) -> bool:
        """Whether less can be heard in what is stored than was heard when the call was: that still counts."""
        told, before = self.told or {}, self.before.told if self.before is not None else {}
        return told.get("announced") == NOT_LISTENED and before.get("announced") in LISTENED

    @property
    def _is_same(self) -> bool:
        assert self.told is not None
        return self.before is not None and same_finding(self.told, self.before.told)

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "id": self.call.id,
            "before": None if self.before is None else self.before.as_json(),
            "now": None if self.told is None else dict(self.told),
            "references": list(self.references),
            "changed": self.is_changed,
            "differing": self.is_differing,
            "problem": self.problem,
            "notes": list(self.notes),
        }


def check_call(
    data_dir: Path,
    call: CallRow,
    listener: Listener,
    rules: AnnouncementRules,
    before: Kept | None,
    window_s: float | None,
) -> Checked:
    """Listen to a call. window_s: of each party's beginning; 0 all; None: as when it was recorded."""
    known = heard_or_nothing({"heard": call.details.get("heard")}) or NOTHING
    window = known.window_s if window_s is None else window_s
    try:
        with open_recording(data_dir, call.folder, call.id) as opened:
            voices = Playback(opened).voices(call)
            rendering = lay_out(voices.tracks, voices.gaps, voices.from_ns, voices.to_ns, RATE)
            found = _heard(known, call, listener, voices, rendering, window)
            notes = [f"{note.track}: {note.reason}" for note in (*voices.notes, *rendering.notes)] + opened.problems
    except StoreError as error:
        return Checked(call, before, problem=error.what)
    report = {**call.as_json(), "heard": found.as_json()}
    told = judge(report, facts_of_report(report), rules).as_json()
    if DISCARD in told.get("then", ()):  # a program erases nothing that was kept
        told["then"] = [QUARANTINE if word == DISCARD else word for word in told["then"]]
    return Checked(call, before, told, listener.hashes, notes=tuple(notes))


def _heard(
    known: Heard, call: CallRow, listener: Listener, voices: Voices, rendering: Rendering, window_s: float
) -> Heard:
    """Return what is heard now; what was known of speech, states and consent stays."""
    begins = {party: _begin_ns(voices, party) for party in PARTIES}
    announcements, listened = [], []
    for party, begin_ns in begins.items():
        if begin_ns is None:
            continue
        first = max(0, (begin_ns - rendering.from_ns) * RATE // _NS)
        last = rendering.samples if not window_s else min(rendering.samples, first + round(window_s * RATE))
        column = PARTIES.index(party)
        matches = [] if not listener.terms else _search(listener.detector, rendering, column, first, last)
        since_us = rendering.from_ns // 1000
        is_whole = all(gap.from_ns >= rendering.from_ns + last * _NS // RATE for gap in voices.gaps)
        listened.append(
            {
                "party": party,
                "from": rfc3339(begin_ns // 1000),
                "seconds": (last - first) / RATE,
                "why": "codec" if _is_undecodable(call, party) else "" if is_whole else NOT_STORED,
            }
        )
        for match in matches:
            terms = listener.terms[match.reference]
            from_us, to_us = (since_us + round(at * 1e6) for at in (match.heard_from, match.heard_to))
            announcements.append(
                {
                    **_named(terms),
                    "party": party,
                    "begin": rfc3339(from_us),
                    "end": rfc3339(to_us),
                    "offset_s": round((from_us - begin_ns // 1000) / 1e6, 3),
                    "state": match.state,
                    "share": match.share,
                    "required_share": match.required_share,
                    "score": match.score,
                    "overlap": _overlap(known, call, party, from_us, to_us),
                }
            )
    said = {"detector": VERSION, "window_s": window_s, "listened": listened, "announcements": announcements}
    tells = any(one.purpose != "other" for one in listener.terms)
    said["lacks"] = NO_ANNOUNCEMENT if not tells else NOT_ALL if listener.missing else ""
    said["missing"] = [_named(one) for one in listener.missing]
    return Heard.model_validate({**known.as_json(), **said})


def _named(terms: Terms) -> dict[str, Any]:
    return {name: getattr(terms, name) for name in ("reference", "name", "purpose", "language")}


def _search(detector: Detector, rendering: Rendering, column: int, first: int, last: int) -> list[Match]:
    """Return the matches of one party, in time order; times are seconds of the rendering."""
    found: list[Match] = []
    for start, samples in _pieces(rendering, column, first, last):
        if int(np.abs(samples.astype(np.int32)).max(initial=0)) < _SILENT:
            continue
        for match in detector.search(samples):
            later = _shifted(match, start / RATE)
            place = next((n for n, one in enumerate(found) if _is_same(one, later)), None)
            if place is None:
                found.append(later)
            elif (later.state == "full", later.share) > (found[place].state == "full", found[place].share):
                found[place] = later
    return sorted(found, key=lambda one: one.begin)


def _pieces(rendering: Rendering, column: int, first: int, last: int) -> Iterator[tuple[int, I16]]:
    """Yield (first sample, samples) of one party; pieces overlap, so that no announcement is cut in two."""
    most, shared = round(_PIECE_S * RATE), round(_SHARED_S * RATE)
    kept, at, done = np.zeros(0, np.int16), first, 0
    for chunk in rendering.chunks():
        lower, upper = max(first - done, 0), min(last - done, len(chunk))
        done += len(chunk)
        if lower < upper:
            kept = np.concatenate([kept, chunk[lower:upper, column]])
        while len(kept) >= most + shared:
            yield at, np.ascontiguousarray(kept[: most + shared])
            kept, at = kept[most:], at + most
        if done >= last:
            break
    if len(kept):
        yield at, np.ascontiguousarray(kept)


def _shifted(match: Match, by_s: float) -> Match:
    times = (match.begin + by_s, match.end + by_s, match.heard_from + by_s, match.heard_to + by_s)
    return Match(match.reference, match.state, *times, match.share, match.required_share, match.score)


def _is_same(one: Match, other: Match) -> bool:
    return one.reference == other.reference and abs(one.begin - other.begin) <= _SAME_S


def _begin_ns(voices: Voices, party: str) -> int | None:
    """Return when a party's first packet came, UTC."""
    side = Side.LEFT if party == "caller" else Side.RIGHT
    return min((int(track.at_ns.min()) for track in voices.tracks if track.side is side and len(track)), default=None)


def _is_undecodable(call: CallRow, party: str) -> bool:
    codecs = {str(one).upper() for one in call.details.get("not_decodable", ())}
    return any(one.party == party and one.codec.upper() in codecs for one in call.streams)


def _overlap(known: Heard, call: CallRow, party: str, from_us: int, to_us: int) -> float:
    """Return the share of an announcement's time in which the other party spoke, as far as that is known."""
    other = known.speech.callee if party == "caller" else known.speech.caller
    begin, end = (from_us - call.started_us) / 1000, (to_us - call.started_us) / 1000
    spoken = sum(max(0.0, min(last, end) - max(first, begin)) for first, last in other)
    return min(1.0, spoken / (end - begin)) if end > begin else 0.0
