"""What was heard in a call: announcements, consent, who spoke when, tones; kept with the call, so it outlives a worker.

Everything lies on the voice that it was heard in, by its flow's key, at monotonic times of arrival; streams, seats and
UTC are put to it when somebody asks (heardreport.py). Bounded, whatever a listener says.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

MOST_VOICES: Final = 32  # of a call that are listened to
MOST_PLAYED: Final = 64  # announcements of one voice
MOST_STATES: Final = 64
MOST_SPEECH: Final = 2000  # stretches of one voice; beyond them the nearest two are one
MOST_CONSENT: Final = 32
TOO_MANY: Final = "too many voices"  # why one was not listened to whole
NO_ANNOUNCEMENT: Final = "no announcement"  # none is known that tells a party something
NOT_ALL: Final = "announcement missing"  # one that counts cannot be listened for
_SAME_NS: Final = 300_000_000  # an announcement that begins as near to one heard before is the same, better known now
_NEAREST_NS: Final = 200_000_000  # of speech


@dataclass(frozen=True, slots=True)
class Prompt:
    """A reference announcement, and what hearing it means.

    purpose: "notice", "consent" or "other". agree, refuse: digits of a consent prompt, any one of which says so, until
    within_ns after it. sites: where it counts; empty: everywhere. language: BCP 47, "" unknown.
    """

    hash: str
    name: str
    purpose: str = "notice"
    agree: str = ""
    refuse: str = ""
    within_ns: int = 0
    sites: tuple[str, ...] = ()
    language: str = ""

    def counts_at(self, site: str) -> bool:
        """Whether it is played at a site."""
        return not self.sites or site in self.sites


@dataclass(slots=True)
class Played:
    """An announcement that was heard. share, required_share, score: 0 to 1."""

    prompt: Prompt
    begin_mono: int
    end_mono: int
    is_full: bool
    share: float
    required_share: float
    score: float

    @property
    def decides(self) -> bool:
        """Whether it may open a gate, or prove that somebody was told."""
        return self.is_full and self.prompt.purpose != "other"


@dataclass(slots=True)
class LineState:
    """A tone, music or silence that was heard. What is not known of it is 0."""

    name: str
    begin_mono: int
    end_mono: int
    interval_s: float = 0.0
    regularity: float = 0.0
    count: int = 0
    frequency_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class Consent:
    """A party answered a consent prompt with a key. Which key is never kept."""

    decision: str
    at_ns: int
    reference: str  # hash


@dataclass(frozen=True, slots=True)
class Objection:
    """A key that would refuse: to which consent prompts, by hash, and whose; which key it was is not kept."""

    at_mono: int
    side: str
    prompts: tuple[str, ...]


@dataclass(slots=True)
class VoiceHeard:
    """One voice: of whom it is, what of it was listened to, and what was heard. offset_ns: UTC less monotonic time."""

    key: int
    call_id: str
    sender: int
    ssrc: int
    first_mono: int  # of its first packet
    offset_ns: int
    from_mono: int = 0  # what was listened to lies from here
    to_mono: int = 0  # to here
    heard_ns: int = 0
    lacks: str = ""  # why announcements that count were not listened for
    missing: tuple[Prompt, ...] = ()  # those of them that are known; with lacks and none: nobody knows which
    why: list[str] = field(default_factory=list)  # what kept it from being listened to whole
    played: list[Played] = field(default_factory=list)
    states: list[LineState] = field(default_factory=list)
    speech: array[int] = field(default_factory=lambda: array("q"))  # begin, end, begin, end ... in order

    def lack(self, why: str, missing: tuple[Prompt, ...]) -> None:
        """Note why announcements are not listened for in it, and which."""
        self.lacks = self.lacks or why
        if missing is not self.missing:
            self.missing = tuple(dict.fromkeys((*self.missing, *missing)))

    def miss(self, why: str) -> None:
        """Note why some of it was not listened to."""
        if why not in self.why:
            self.why.append(why)

    def add_played(self, found: Played) -> None:
        """Take in an announcement; it takes the place of the same one known less well."""
        for place, one in enumerate(self.played):
            if one.prompt.hash == found.prompt.hash and abs(one.begin_mono - found.begin_mono) <= _SAME_NS:
                if (found.is_full, found.share) >= (one.is_full, one.share):
                    self.played[place] = found
                return
        if len(self.played) >= MOST_PLAYED:  # in a queue one is told again and again; what decides outlives the rest
            self.played.remove(min(self.played, key=lambda one: (one.decides, one.begin_mono)))
        self.played.append(found)

    def add_state(self, found: LineState) -> None:
        """Take in a tone; one that is longer by now takes the place of itself."""
        for place, one in enumerate(self.states):
            if one.name == found.name and one.begin_mono <= found.end_mono and found.begin_mono <= one.end_mono:
                found.begin_mono = min(found.begin_mono, one.begin_mono)
                found.end_mono = max(found.end_mono, one.end_mono)
                self.states[place] = found
                return
        if len(self.states) < MOST_STATES:
            self.states.append(found)

    def add_speech(self, begin: int, end: int) -> None:
        """Take in a stretch of speech; those that touch become one."""
        line, later = self.speech, []
        while len(line) and line[-2] > end + _NEAREST_NS:  # it came late, by a new listener
            later += [line.pop(), line.pop()]
        while len(line) and line[-1] >= begin - _NEAREST_NS:
            end, begin = max(end, line.pop()), min(begin, line.pop())
        line.extend((begin, end))
        while later:
            line.extend((later.pop(), later.pop()))
        if len(line) > 2 * MOST_SPEECH:
            self._join_nearest()

    def _join_nearest(self) -> None:
        line = self.speech
        place = min(range(1, len(line) - 1, 2), key=lambda at: line[at + 1] - line[at])
        del line[place : place + 2]

    def stretches(self) -> Iterator[tuple[int, int]]:
        """Yield the speech, begin and end."""
        return zip(self.speech[::2], self.speech[1::2], strict=True)

    def cut(self, begin: int, end: int) -> None:
        """Forget what was heard from one time to another: it was paused, and nothing of that is kept."""
        self.played = [one for one in self.played if one.end_mono < begin or one.begin_mono >= end]
        self.states = [one for one in self.states if one.end_mono < begin or one.begin_mono >= end]
        if any(first < end and last >= begin for first, last in self.stretches()):
            left = array("q")
            for first, last in self.stretches():
                if first < begin:
                    left.extend((first, min(last, begin)))
                if last > end:
                    left.extend((max(first, end), last))
            self.speech = left


@dataclass(slots=True)
class Heard:
    """All that was heard in a call."""

    voices: dict[int, VoiceHeard] = field(default_factory=dict)  # by the flow's key; below 0: of one that has another
    consent: list[Consent] = field(default_factory=list)
    objections: list[Objection] = field(default_factory=list)  # whose prompt is not heard yet; for a minute

    @property
    def count(self) -> int:
        """How many announcements and answers were heard: what somebody waits for while the call lasts."""
        return len(self.consent) + sum(len(voice.played) for voice in self.voices.values())

    def take(self, other: Heard) -> None:
        """Become what was heard in two calls that are one now."""
        for key, voice in other.voices.items():
            # A flow that was the other's for a while: both heard some of it.
            free = key if key not in self.voices else min(0, *self.voices) - 1
            if len(self.voices) < MOST_VOICES:
                self.voices[free] = voice
            else:
                self.miss_one()
        self.objections = sorted([*self.objections, *other.objections], key=lambda one: one.at_mono)[-MOST_CONSENT:]
        self.consent = sorted([*self.consent, *other.consent], key=lambda one: one.at_ns)[-MOST_CONSENT:]

    def miss_one(self) -> None:
        """Note that a voice is left out: what was played may have been in it."""
        for voice in self.voices.values():
            voice.miss(TOO_MANY)

    def add_objection(self, found: Objection) -> None:
        """Remember a key that would refuse."""
        self.objections = [*self.objections[1 - MOST_CONSENT :], found]

    def add_consent(self, found: Consent) -> None:
        """Take in an answer; the last word counts, so the first one goes where there are too many."""
        self.consent = [*self.consent[1 - MOST_CONSENT :], found]
