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
from vittne.capture.gates import AGREED, REFUSED, Decided, Decision, gate_of
from vittne.capture.heard import Consent, LineState, Objection, Played, Prompt, VoiceHeard
from vittne.capture.keeping import RecordKeeper
from vittne.capture.listening import RESTARTED, Listening
from vittne.capture.sip.session import SIDE_NAMES

NOTICE: Final = "notice"
CONSENT: Final = "consent"
BY_ANNOUNCEMENT: Final = "announcement"  # triggers of decisions
BY_CONSENT: Final = "consent"
_REMEMBERED_NS: Final = 60 * SECOND
_UNHEARD_NS: Final = 30 * SECOND  # of a prompt whose beginning went with who listened
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
                    self._decide_consent(call, voice, found)

    def press(self, codes: Iterable[FeatureCode]) -> None:
        """See whether keys answer consent prompts; those that may be heard of later are remembered for a while."""
        for code in codes:
            if code.digits not in self.codes or code.seat < 0:
                continue
            self._keys.append(code)
            call = _now(code.call)
            self._remember_objection(call, code)
            asked = [(v, p) for v in call.heard.voices.values() for p in v.played if _asks(v, p, call, code)]
            if asked:
                voice, found = max(asked, key=lambda pair: pair[1].begin_mono)  # the last one that was asked
                self._answer(call, voice, found, code)

    def forget_keys(self, now_mono: int) -> None:
        """Forget keys that no prompt will be heard before any more."""
        while self._keys and self._keys[0].at_mono < now_mono - _REMEMBERED_NS:
            self._keys.popleft()
        for call in self._book.calls.values():
            if call.heard.objections:
                kept = [one for one in call.heard.objections if one.at_mono >= now_mono - _REMEMBERED_NS]
                call.heard.objections = kept

    def settle(self) -> None:
        """See whether keys before refused what was heard; also by a worker that died since."""
        for call in [one for one in self._book.calls.values() if one.heard.objections]:
            for voice in list(call.heard.voices.values()):
                for found in list(voice.played):
                    self._object(call, voice, found)

    def _remember_objection(self, call: Call, code: FeatureCode) -> None:
        """Keep with a gated call that a key would refuse, so that the next worker knows it when its prompt is heard."""
        last = call.keeping.last
        if last is None or gate_of(last) == "from-start":
            return
        refused = tuple(one.hash for one in self.prompts if one.purpose == CONSENT and code.digits in one.refuse)
        if refused:
            call.heard.add_objection(Objection(code.at_mono, SIDE_NAMES[code.seat & 1], refused))

    def _object(self, call: Call, voice: VoiceHeard, found: Played) -> None:
        """See whether a key before refused what a prompt asks.

        Of a prompt that was being played when a worker or an analysis process died a part is enough: who objected must
        not be recorded for that.
        """
        is_cut = not found.is_full and RESTARTED in voice.why
        if found.prompt.purpose != CONSENT or not (found.is_full or is_cut):
            return
        begin = found.begin_mono - (_UNHEARD_NS if is_cut else 0)
        for one in call.heard.objections:
            is_asked = found.prompt.hash in one.prompts and one.side != _side(call, voice)
            if is_asked and begin <= one.at_mono <= found.end_mono + found.prompt.within_ns:
                self._enter(call, voice, found, REFUSED, one.at_mono)

    def _decide_notice(self, call: Call, voice: VoiceHeard, found: Played) -> None:
        if found.prompt.purpose == NOTICE and self._counts(call, voice, found, "after-announcement"):
            at_ns, side = found.end_mono + voice.offset_ns, _side(call, voice)
            decided = Decided("announced", BY_ANNOUNCEMENT, found.prompt.name, at_ns, found.end_mono, side)
            self._gates.decide(call, decided)

    def _answer(self, call: Call, voice: VoiceHeard, found: Played, code: FeatureCode) -> None:
        if not _asks(voice, found, call, code):
            return
        self._enter(call, voice, found, AGREED if code.digits in found.prompt.agree else REFUSED, code.at_mono)

    def _enter(self, call: Call, voice: VoiceHeard, found: Played, decision: Decision, at_mono: int) -> None:
        at_ns = at_mono + voice.offset_ns
        consent = Consent(decision, at_ns, found.prompt.hash)
        if any(
            (one.decision, one.reference) == (decision, consent.reference) and abs(one.at_ns - at_ns) < _ONE_KEY_NS
            for one in call.heard.consent
        ):
            return
        call.heard.add_consent(consent)
        self._decide_consent(call, voice, found)

    def _decide_consent(self, call: Call, voice: VoiceHeard, found: Played) -> None:
        """Decide a call's gate by what was answered to a prompt; also when its gate came after the answer."""
        answers = [one for one in call.heard.consent if one.reference == found.prompt.hash]
        if answers and self._counts(call, voice, found):
            name, side = found.prompt.name, _side(call, voice)
            for one in answers:
                at_mono = one.at_ns - voice.offset_ns
                self._gates.decide(call, Decided(one.decision, BY_CONSENT, name, one.at_ns, at_mono, side))

    def _counts(self, call: Call, voice: VoiceHeard, found: Played, gate: str = "") -> bool:
        """Whether a call's gate hangs on an announcement in that voice. gate: of which kind; "": of any."""
        last, prompt = call.keeping.last, found.prompt
        if last is None or last.excluded or gate_of(last) == "from-start" or (gate and gate_of(last) != gate):
            return False
        site = last.rule.site or self._gates.rules.site
        if not last.rule.is_opened_by(prompt.name) or not prompt.counts_at(site):
            return False
        if not last.counts_of(_side(call, voice)):
            self._gates.note_wrong_side(call)
            return False
        return True


def _asks(voice: VoiceHeard, found: Played, call: Call, code: FeatureCode) -> bool:
    """Whether a key, by who keyed it and when, answers an announcement."""
    prompt = found.prompt
    if prompt.purpose != CONSENT or not found.is_full or code.digits not in prompt.agree + prompt.refuse:
        return False
    is_other = SIDE_NAMES[code.seat & 1] != _side(call, voice)
    return is_other and found.begin_mono <= code.at_mono <= found.end_mono + prompt.within_ns


def _side(call: Call, voice: VoiceHeard) -> str:
    """Return in whose voice it is: "caller" or "callee"."""
    return SIDE_NAMES[call.seats.get(voice.call_id, (0, 1))[voice.sender] & 1]


def _now(call: Call) -> Call:
    while call.merged_into is not None:
        call = call.merged_into
    return call
