"""The worker's side of analysis: starts the processes, hands voices over, takes answers in, never waits for them.

A process that dies is started again, and what is in hand is given to it anew, but for the voice that it was decoding
when it died. One that is slow has a queue with a bound, in memory that both share; what finds no room in it is not
analysed, and neither is what it comes to too late: the commit is told and does what the profile says.

What is only listened to (announcements, speech) has a queue of its own in the same process, where it gives way to
tones; nobody waits for it, and what finds no room there is counted and missing from what was heard, nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.ear import AREA_BYTES, Asked, Ear
from vittne.appliance.analysis.findings import NOT_LISTENED, PACKET_NS, Findings
from vittne.appliance.analysis.messages import LISTEN, MUST, TONES, Finding, Reply
from vittne.appliance.analysis.references import Loaded, pack_references
from vittne.capture.columns import SECOND
from vittne.capture.handed import Piece, Tone
from vittne.capture.handover import NO_CODEC, NO_KEY
from vittne.capture.heard import NO_ANNOUNCEMENT, NOT_ALL, Prompt
from vittne.capture.listening import TOO_LATE
from vittne.capture.pipeline import Pipeline
from vittne.capture.unheard import KEPT, LEFT_OUT

PATIENCE_NS: Final = 5 * SECOND // 2  # how long a worker waits that begins; of the rings' reserve, DESIGN 11.2
_TURNS: Final = 10  # hand-overs in one hold-back
_LONGEST_TURN_NS: Final = SECOND // 2
_LONGEST_LISTEN_TURN_NS: Final = SECOND  # of what is only listened to
_PAUSE_NS: Final = (0, SECOND // 5, SECOND, 5 * SECOND, 30 * SECOND)  # before each start, by deaths without an answer
_GIVEN_UP: Final = 5  # such deaths after which a file is read without
_WAITED_S: Final = 60.0  # for an answer, when reading a file
_LAST_WAIT_S: Final = 5.0  # live, when recording ends
_LAST_LISTEN_S: Final = 3.0  # likewise, for all that is still listened to
_DESPAIRED: Final = 3  # deaths in a row from which on it is not waited for
_MOST_LEARNING_DEATHS: Final = 2  # with announcements that were not learned yet
_CALM_NS: Final = 60 * SECOND
_OF_TONES: Final = (messages.DIGIT, messages.NOT_DECODED, messages.NOT_OPENED)
RESTARTED: Final = "analysis process restarted"


class Ears:
    """All analysis processes of one worker.

    hold_back_ns: how long an answer is good for. waits: a file has time, so answers are waited for and nothing is
    given up; live, nothing ever waits. Voices are shared out by their number.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        processes: int,
        hold_back_ns: int,
        waits: bool = False,
        area_bytes: int = AREA_BYTES,
    ) -> None:
        self.messages: list[str] = []  # for the log
        self._pipeline = pipeline
        self._references: list[Loaded] = []
        self._findings = Findings(pipeline, waits)
        self._ears = [Ear(area_bytes) for _ in range(processes if pipeline.handover.is_wanted else 0)]
        self._hold_back_ns = hold_back_ns
        self._turn_ns = min(_LONGEST_TURN_NS, hold_back_ns // _TURNS)
        self._listen_turn_ns = min(_LONGEST_LISTEN_TURN_NS, hold_back_ns // 4)
        self._waits = waits
        self._next_ns = 0
        self._next_listen_ns = 0
        self._restarts = 0
        self._learning_deaths = 0
        self._missed = 0
        self._missed_ns: int | None = None

    @property
    def pids(self) -> list[int]:
        """The processes that are up."""
        return [ear.pid for ear in self._ears if ear.pid is not None]

    def turn(self, now_ns: int) -> None:
        """Take answers in, and hand over what came, if it is time. now_ns: monotonic."""
        for ear in self._ears:
            self._hear(ear, now_ns)
        if now_ns < self._next_ns or not self._ears:
            return
        down = [ear for ear in self._ears if ear.deaths and not ear.is_up]
        for ear in down:
            self._tend(ear, now_ns)
        if any(not ear.is_up and ear.deaths < _DESPAIRED for ear in down):
            return  # it will be up before what waits is too old
        self._next_ns = now_ns + self._turn_ns
        restarts = self._restarts
        for piece in self._pipeline.handover.take(self._pipeline.now_mono):
            self._share_out(piece, TONES, now_ns)
            if self._restarts != restarts:
                return  # all of it is given again
        if now_ns >= self._next_listen_ns or self._pipeline.handover.listening.is_awaited:
            self._next_listen_ns = now_ns + self._listen_turn_ns
            self._listen(now_ns)

    def _listen(self, now_ns: int) -> None:
        """Hand over what is only listened to, and say who is listened to no more."""
        restarts = self._restarts
        for ear in self._ears:
            if ear.is_up:
                self._teach(ear, now_ns)
        self._tell_ended(now_ns)  # their numbers may mean others by now
        for piece in self._pipeline.handover.take_aside(self._pipeline.now_mono):
            self._share_out(piece, LISTEN, now_ns)
            if self._restarts != restarts:
                return
        self._tell_ended(now_ns)

    def _tell_ended(self, now_ns: int) -> None:
        listening = self._pipeline.handover.listening
        ended, listening.ended = listening.ended, []
        for place, ear in enumerate(self._ears):
            mine = [number for number in ended if number % len(self._ears) == place]
            if mine and ear.is_up and not self._tell(ear, messages.ENDED, np.array(mine, np.int32).tobytes(), now_ns):
                listening.ended += mine  # there was no room

    def note_references(self, references: list[Loaded], missing: Sequence[Prompt] = ()) -> None:
        """Listen for these announcements from now on. missing: count as well, and cannot be listened for.

        May be called from a second thread.
        """
        self._pipeline.note_prompts([one.prompt for one in references])
        tells = any(one.prompt.purpose != "other" for one in references)
        listening = self._pipeline.handover.listening
        listening.missing = tuple(missing)
        listening.lacks = NO_ANNOUNCEMENT if not tells else NOT_ALL if missing else ""
        self._references = references
        self._learning_deaths = 0

    @property
    def is_level(self) -> bool:
        """Whether all that somebody waits for is answered."""
        return not any(ear.asked for ear in self._ears)

    def finish(self, now_ns: int) -> None:
        """Hand over everything that came, and wait until all is answered. now_ns: monotonic."""
        while True:
            restarts = self._restarts
            self._next_ns = self._next_listen_ns = 0
            self.turn(now_ns)
            while any(ear.is_up and ear.asked for ear in self._ears):
                for ear in self._ears:
                    if ear.asked:
                        self._wait(ear, now_ns)
            self._finish_listening(now_ns)
            if self._restarts == restarts:
                break
        self._findings.settle()

    def _finish_listening(self, now_ns: int) -> None:
        """Wait until all that was listened to is told; live, for a while."""
        for ear in self._ears:
            if ear.is_up and self._pipeline.handover.listening.is_wanted:
                self._tell(ear, messages.FLUSH, b"", now_ns)
        if self._waits:
            for ear in self._ears:
                while ear.is_up and not ear.is_level:
                    self._wait(ear, now_ns)
            return
        until = time.monotonic() + _LAST_LISTEN_S
        for ear in self._ears:
            while ear.is_up and not ear.is_level and time.monotonic() < until:
                self._hear(ear, now_ns, 0.1, is_patient=True)

    def close(self) -> None:
        """End the processes."""
        for ear in self._ears:
            if ear.is_up:
                ear.end()

    # Asking

    def _share_out(self, piece: Piece, kind: int, now_ns: int) -> None:
        handover = self._pipeline.handover
        for place, ear in enumerate(self._ears):
            mine = piece
            if len(self._ears) > 1:
                voices = [voice for voice in piece.voices if voice.number % len(self._ears) == place]
                mine = piece.part(piece.number % len(self._ears) == place, voices)
            if not len(mine):
                continue
            listen = mine.listen
            assert listen is not None
            if self._ask(ear, mine, kind, now_ns):
                if listen.any():
                    handover.listening.listened(mine.number[listen], mine.rows.mono_ns[listen])
                continue
            if kind == TONES:
                handover.lost(mine.number, mine.rows.mono_ns)
            handover.tell_again(mine.voices)
            self._pipeline.counters[NOT_LISTENED] += int(np.count_nonzero(listen))
            handover.listening.missed(np.unique(mine.number[listen]).tolist(), TOO_LATE)

    def _ask(self, ear: Ear, piece: Piece, kind: int, now_ns: int) -> bool:
        self._tend(ear, now_ns)  # the first of all starts it: who has nothing to hear needs none
        restarts = self._restarts
        until, flags = 0, MUST if self._waits else 0
        if kind == TONES and not self._waits:  # what is given again after a crash is old, and waited for
            until = max(int(piece.rows.mono_ns[0]) + self._hold_back_ns, now_ns + PATIENCE_NS)
        while ear.is_up:
            if ear.ask(piece, self._pipeline, until, kind, flags):
                return True
            if not self._waits or ear.is_level:
                return False
            self._wait(ear, now_ns)
            if self._restarts != restarts:
                return True  # it is given again with all that is in hand
        return False

    def _tell(self, ear: Ear, kind: int, data: bytes, now_ns: int) -> bool:
        restarts = self._restarts
        while ear.is_up and self._restarts == restarts:
            if ear.tell(kind, data):
                return True
            if not self._waits or ear.is_level:
                return False
            self._wait(ear, now_ns)
        return False

    def _teach(self, ear: Ear, now_ns: int) -> None:
        """Have a process know the announcements that count now."""
        references, before = self._references, ear.told
        if before is not references and self._tell(ear, messages.REFERENCES, pack_references(references), now_ns):
            ear.learns(references)
            if before is not None:
                self._pipeline.handover.listening.changed()

    # Answers

    def _wait(self, ear: Ear, now_ns: int) -> None:
        if ear.is_up and not ear.is_level:
            self._hear(ear, now_ns, _WAITED_S if self._waits else _LAST_WAIT_S)

    def _hear(self, ear: Ear, now_ns: int, timeout_s: float = 0.0, *, is_patient: bool = False) -> None:
        if not ear.is_up:
            return
        try:
            while (heard := ear.hear_next(timeout_s)) is not None:
                self._take_in(ear, *heard)
                timeout_s = 0.0
            if timeout_s and not is_patient:
                raise EOFError(f" (no answer in {timeout_s:g} s)")
        except EOFError as error:
            self._died(ear, now_ns, str(error))

    def _take_in(self, ear: Ear, reply: Reply, asked: Asked | None) -> None:
        handover = self._pipeline.handover
        is_late = asked is not None and any(found.kind == messages.LATE for found in reply.findings)
        for found in reply.findings:
            if found.kind in _OF_TONES and asked is not None and asked.kind == TONES:
                self._note(found, asked)
            if not is_late and (asked is None or asked.kind != messages.REFERENCES):
                self._findings.note(found, ear.prompts)
        if asked is None or not reply.is_last:
            return
        ear.settled(asked)
        if asked.kind == messages.REFERENCES:
            self._name_unusable(ear, reply)
        if is_late:
            handover.lost(asked.voices, asked.mono)
            for number in np.unique(asked.voices).tolist():
                mono = asked.mono[asked.voices == number]
                handover.listening.missed([number], TOO_LATE, int(mono[-1] - mono[0]) + PACKET_NS)
        elif asked.kind == TONES:
            handover.done(asked.voices, asked.mono)

    def _name_unusable(self, ear: Ear, reply: Reply) -> None:
        for found in reply.findings:
            if found.number < len(ear.prompts):
                prompt = ear.prompts[found.number]
                if any(one.prompt == prompt for one in self._references):  # it counts still
                    self._pipeline.handover.listening.lack([prompt])
                what = f"the announcement {prompt.name} ({prompt.hash[:12]}) is not listened for"
                self.messages.append(f"{what}: too little sound to recognise")

    def _note(self, found: Finding, asked: Asked) -> None:
        """Enter a finding, as far as it can be: of a voice, and within the times, that were asked about."""
        handover = self._pipeline.handover
        mine = asked.mono[asked.voices == found.number]
        if not len(mine):
            return
        begin, end = max(found.begin_mono, int(mine.min())), min(found.end_mono, int(mine.max()))
        if begin > end:
            return
        if found.kind == messages.DIGIT:
            handover.note_tone(Tone(found.number, begin, end))
        else:
            why = NO_KEY if found.kind == messages.NOT_OPENED else NO_CODEC
            handover.note_hole(found.number, begin, end, why)

    # Life and death

    def _tend(self, ear: Ear, now_ns: int) -> None:
        """Start it if it should run and does not."""
        if ear.is_up or (now_ns < ear.retry_ns and not self._waits) or (self._waits and ear.deaths >= _GIVEN_UP):
            return
        try:
            ear.start()
        except OSError as error:
            self._put_off(ear, now_ns)
            self.messages.append(f"no analysis process could be started: {error}")
            return
        if self._pipeline.handover.listening.is_wanted:
            self._teach(ear, now_ns)  # first of all

    def _put_off(self, ear: Ear, now_ns: int) -> None:
        ear.retry_ns = now_ns + _PAUSE_NS[min(ear.deaths, len(_PAUSE_NS) - 1)]
        ear.deaths += 1

    def _died(self, ear: Ear, now_ns: int, why: str) -> None:
        handover = self._pipeline.handover
        busy, asked = ear.end()
        self._put_off(ear, now_ns)
        self._pipeline.counters[RESTARTED] += 1
        self.messages.append(f"an analysis process died{why}; the next one begins with what is in hand")
        if busy is None and any(one.kind == messages.REFERENCES for one in asked):
            self._learning_deaths += 1
            if self._learning_deaths >= _MOST_LEARNING_DEATHS:
                handover.listening.lacks = NO_ANNOUNCEMENT
                handover.listening.lack(one.prompt for one in self._references)
                self._references = []
                self.messages.append("announcements end the analysis process: none is listened for until they change")
        if busy is not None and busy == ear.suspect:
            handover.refuse(busy)
            self.messages.append("the voice that it was decoding, twice, is handed over no more")
        ear.suspect = busy
        if ear.deaths > _GIVEN_UP:  # whatever it is in them, it goes on without these
            for one in asked:
                if one.kind == TONES:
                    handover.lost(one.voices, one.mono)
        self._tend(ear, now_ns)
        handover.begin_again(self._pipeline.in_hand())
        self._restarts += 1
        self._next_ns = 0

    # Alarm

    def alarm(self, now_ns: int) -> None:
        """Say once that voices are not searched in time, and once that they are again."""
        counters = self._pipeline.counters
        missed = sum(n for name, n in counters.items() if name.startswith((KEPT, LEFT_OUT)))
        if missed > self._missed:
            if self._missed_ns is None:
                drops = self._pipeline.settings.pause.unheard == "drop"
                what = "left out" if drops else "stored all the same"
                self.messages.append(f"tones were not looked for in {missed - self._missed} packets: {what}")
            self._missed, self._missed_ns = missed, now_ns
        elif self._missed_ns is not None and now_ns - self._missed_ns > _CALM_NS:
            self._missed_ns = None
