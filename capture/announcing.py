"""What is heard means something: a notice opens gates, a key after a consent prompt decides them.

Keys are compared in memory, a minute at most, and forgotten; only "agreed" or "refused" is kept of one. The digit
itself is masked as every other (digits.py). May be asked again: what was decided is not decided twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from vittne.capture.callbook import CallBook
from vittne.capture.calls import Call
from vittne.capture.columns import SECOND
from vittne.capture.digits import FeatureCode
from vittne.capture.gates import AGREED, REFUSED, Decided, gate_of
from vittne.capture.heard import Consent, LineState, Played, Prompt, VoiceHeard
from vittne.capture.keeping import RecordKeeper
from vittne.capture.listening import Listening

NOTICE: Final = "notice"
CONSENT: Final = "consent"
BY_ANNOUNCEMENT: Final = "announcement"  # triggers of decisions
BY_CONSENT: Final = "consent"
_REMEMBERED_NS: Final = 60 * SECOND
_MOST_KEYS: Final = 1000
_ONE_KEY_NS: Final = SECOND // 2  # the same key again so soon is the same one, seen on another leg or after a crash


class Announcing:
    """Takes in what was heard. prompts: the references that count now."""

    def __init__(self, book: CallBook, gates: RecordKeeper, listening: Listening) -> None:
        self.prompts: tuple[Prompt, ...] = ()
        self._book = book
        self._gates = gates
        self._listening = listening
        self._keys: deque[FeatureCode] = deque(maxlen=_MOST_KEYS)

    @property
    def codes(self) -> set[str]:
        """Return the keys that answer consent prompts."""
        return {key for one in self.prompts if one.purpose == CONSENT for key in one.agree + one.refuse}

    # What was heard

    def played(self, number: int, found: Played) -> None:
        """An announcement was heard in a voice."""
        whose = self._listening.voice_of(number, found.begin_mono, found.end_mono)
        if whose is None:
            return
        call, voice = whose
        voice.add_played(found)
        self._listening.without_paused(call, voice)
        if not found.is_full or not any(one is found for one in voice.played):
            return
        self._decide_notice(call, voice, found)
        if found.prompt.purpose == CONSENT:
            self._listening.extend(call, found.end_mono + found.prompt.within_ns)
            for code in list(self._keys):
                if _now(code.call) is call:
                    self._answer(call, voice, found, code)

    def spoke(self, number: int, begin_mono: int, end_mono: int) -> None:
        """Somebody spoke."""
        whose = self._listening.voice_of(number, begin_mono, end_mono)
        if whose is not None:
            whose[1].add_speech(begin_mono, end_mono)
            self._listening.without_paused(*whose)

    def sounded(self, number: int, state: LineState) -> None:
        """A tone, music or silence was heard."""
        whose = self._listening.voice_of(number, state.begin_mono, state.end_mono)
        if whose is not None:
            whose[1].add_state(state)
            self._listening.without_paused(*whose)

    # What it means

    def follow(self, call: Call) -> None:
        """See whether what was heard before decides a gate that a call has only now."""
        for voice in list(call.heard.voices.values()):
            for found in list(voice.played):
                if found.is_full:
                    self._decide_notice(call, voice, found)

    def press(self, codes: Iterable[FeatureCode]) -> None:
        """See whether keys answer consent prompts; those that may be heard of later are remembered for a while."""
        for code in codes:
            if code.digits not in self.codes or code.seat < 0:
                continue
            self._keys.append(code)
            call = _now(code.call)
            asked = [(v, p) for v in call.heard.voices.values() for p in v.played if _asks(v, p, call, code)]
            if asked:
                voice, found = max(asked, key=lambda pair: pair[1].begin_mono)  # the last one that was asked
                self._answer(call, voice, found, code)

    def forget_keys(self, now_mono: int) -> None:
        """Forget keys that no prompt will be heard before any more."""
        while self._keys and self._keys[0].at_mono < now_mono - _REMEMBERED_NS:
            self._keys.popleft()

    def _decide_notice(self, call: Call, voice: VoiceHeard, found: Played) -> None:
        if found.prompt.purpose == NOTICE and self._counts(call, found.prompt, "after-announcement"):
            at_ns = found.end_mono + voice.offset_ns
            self._gates.decide(call, Decided("announced", BY_ANNOUNCEMENT, found.prompt.name, at_ns, found.end_mono))

    def _answer(self, call: Call, voice: VoiceHeard, found: Played, code: FeatureCode) -> None:
        if not _asks(voice, found, call, code):
            return
        decision = AGREED if code.digits in found.prompt.agree else REFUSED
        at_ns = code.at_mono + voice.offset_ns
        consent = Consent(decision, at_ns, found.prompt.hash)
        if any(
            (one.decision, one.reference) == (decision, consent.reference) and abs(one.at_ns - at_ns) < _ONE_KEY_NS
            for one in call.heard.consent
        ):
            return
        call.heard.add_consent(consent)
        if self._counts(call, found.prompt):
            self._gates.decide(call, Decided(decision, BY_CONSENT, found.prompt.name, at_ns, code.at_mono))

    def _counts(self, call: Call, prompt: Prompt, gate: str = "") -> bool:
        """Whether a call's gate hangs on an announcement. gate: of which kind; "": of any."""
        last = call.keeping.last
        if last is None or last.excluded or gate_of(last) == "from-start" or (gate and gate_of(last) != gate):
            return False
        site = last.rule.site or self._gates.rules.site
        return last.rule.is_opened_by(prompt.name) and (not prompt.sites or site in prompt.sites)


def _asks(voice: VoiceHeard, found: Played, call: Call, code: FeatureCode) -> bool:
    """Whether a key, by who keyed it and when, answers an announcement."""
    prompt = found.prompt
    if prompt.purpose != CONSENT or not found.is_full or code.digits not in prompt.agree + prompt.refuse:
        return False
    seat = call.seats.get(voice.call_id, (0, 1))[voice.sender]
    is_other = code.seat & 1 != seat & 1
    return is_other and found.begin_mono <= code.at_mono <= found.end_mono + prompt.within_ns


def _now(call: Call) -> Call:
    while call.merged_into is not None:
        call = call.merged_into
    return call
