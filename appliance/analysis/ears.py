"""The worker's side of analysis: starts the processes, hands voices over, takes answers in, never waits for them.

A process that dies is started again, and what is in hand is given to it anew, but for the voice that it was decoding
when it died. One that is slow has a queue with a bound, in memory that both share; what finds no room in it is not
analysed, and neither is what it comes to too late: the commit is told and does what the profile says.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import Final

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.area import Area, Room
from vittne.appliance.analysis.messages import READY, REQUEST, Finding, Reply, Written, parse_reply
from vittne.capture.columns import I64, SECOND
from vittne.capture.flows import Flow
from vittne.capture.handed import Piece, Tone
from vittne.capture.handover import NO_CODEC, NO_KEY
from vittne.capture.pipeline import Pipeline
from vittne.capture.unheard import KEPT, LEFT_OUT

AREA_BYTES: Final = 32 << 20
PATIENCE_NS: Final = 5 * SECOND // 2  # how long a worker waits that begins; of the rings' reserve, DESIGN 11.2
_TURNS: Final = 10  # hand-overs in one hold-back
_LONGEST_TURN_NS: Final = SECOND // 2
_PAUSE_NS: Final = (0, SECOND // 5, SECOND, 5 * SECOND, 30 * SECOND)  # before each start, by deaths without an answer
_GIVEN_UP: Final = 5  # such deaths after which a file is read without
_REPLY_BYTES: Final = 64 << 10
_WAITED_S: Final = 60.0  # for an answer, when reading a file
_LAST_WAIT_S: Final = 5.0  # live, when recording ends
_DESPAIRED: Final = 3  # deaths in a row from which on it is not waited for
_CALM_NS: Final = 60 * SECOND
RESTARTED: Final = "analysis process restarted"


@dataclass(slots=True)
class _Asked:
    """A request that is not answered."""

    number: int
    voices: Flow
    mono: I64


class Ear:
    """One analysis process, and what it has been asked. Nothing here waits but hear_next()."""

    def __init__(self) -> None:
        self.asked: deque[_Asked] = deque()
        self.deaths = 0  # since it last answered
        self.retry_ns = 0
        self.suspect: int | None = None  # the voice that the one before was decoding when it died
        self.is_up = False
        self.is_ready = False  # it said so: everything is loaded
        self._number = 0

    def start(self) -> None:
        """Start it. Raises OSError."""
        self._area = Area.make(AREA_BYTES)
        self._room = Room(AREA_BYTES)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = theirs.fileno(), self._area.fd
        command = [sys.executable, "-m", "vittne.appliance.analysis.child", *map(str, fds), str(AREA_BYTES)]
        try:
            self._process = subprocess.Popen(
                command,
                pass_fds=fds,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,
            )
        except OSError:
            self._socket.close()
            self._area.close()
            raise
        finally:
            theirs.close()
        self.is_up, self.is_ready = True, False

    def ask(self, piece: Piece, pipeline: Pipeline, until_ns: int) -> bool:
        """Hand a piece over; whether there was room."""
        written = Written(piece)
        offset = self._room.take(written.size)
        if offset is None:
            return False
        written.write(self._area.data[offset : offset + written.size], pipeline.buffers)
        try:
            self._socket.send(REQUEST.pack(self._number, offset, written.size, until_ns), socket.MSG_DONTWAIT)
        except BlockingIOError:  # many small ones: a bound as well
            self._room.give_back_newest()
            return False
        except OSError:  # it died; that shows when answers are read
            pass
        self.asked.append(_Asked(self._number, piece.number, piece.rows.mono_ns))
        self._number += 1
        return True

    def hear_next(self, timeout_s: float = 0.0) -> Reply | None:
        """Return the next answer, None when there is none. Raises EOFError when it died or says what it may not."""
        try:
            self._socket.settimeout(timeout_s)
            message = self._socket.recv(_REPLY_BYTES)
            if not message:
                raise EOFError("")
            reply = parse_reply(message)
            if reply.number == READY and not self.is_ready:
                self.is_ready = True
                return self.hear_next(timeout_s)
            if not self.asked or reply.number != self.asked[0].number:
                raise ValueError("an answer to what was not asked")
        except (BlockingIOError, TimeoutError):
            return None
        except (OSError, ValueError) as error:
            raise EOFError(f" ({error})") from error
        self.deaths = 0
        return reply

    def settled(self) -> _Asked:
        """Take the oldest request off: it is answered."""
        self._room.give_back()
        return self.asked.popleft()

    def end(self) -> int | None:
        """End it; return the voice that it was decoding, None when it was none."""
        busy = self._area.busy_with
        self.is_up = False
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._area.close()
        return busy


class Ears:
    """All analysis processes of one worker.

    hold_back_ns: how long an answer is good for. waits: a file has time, so answers are waited for and nothing is
    given up; live, nothing ever waits. Voices are shared out by their number.
    """

    def __init__(self, pipeline: Pipeline, processes: int, hold_back_ns: int, waits: bool = False) -> None:
        pause = pipeline.settings.pause
        self.messages: list[str] = []  # for the log
        self._pipeline = pipeline
        self._ears = [Ear() for _ in range(processes if pause.digit_policy != "keep" and pause.listen else 0)]
        self._hold_back_ns = hold_back_ns
        self._turn_ns = min(_LONGEST_TURN_NS, hold_back_ns // _TURNS)
        self._waits = waits
        self._next_ns = 0
        self._restarts = 0
        self._missed = 0
        self._missed_ns: int | None = None

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
            self._share_out(piece, now_ns)
            if self._restarts != restarts:
                break  # all of it is given again

    @property
    def is_level(self) -> bool:
        """Whether all that was handed over is answered."""
        return not any(ear.asked for ear in self._ears)

    def finish(self, now_ns: int) -> None:
        """Hand over everything that came, and wait until all is answered. now_ns: monotonic."""
        while True:
            self._next_ns = 0
            self.turn(now_ns)
            if not any(ear.asked for ear in self._ears):
                return
            for ear in self._ears:
                self._wait(ear, now_ns)

    def close(self) -> None:
        """End the processes."""
        for ear in self._ears:
            if ear.is_up:
                ear.end()

    # Asking

    def _share_out(self, piece: Piece, now_ns: int) -> None:
        for place, ear in enumerate(self._ears):
            mine = piece
            if len(self._ears) > 1:
                voices = [voice for voice in piece.voices if voice.number % len(self._ears) == place]
                mine = piece.part(piece.number % len(self._ears) == place, voices)
            if len(mine) and not self._ask(ear, mine, now_ns):
                self._pipeline.handover.lost(mine.number, mine.rows.mono_ns)
                self._pipeline.handover.tell_again(mine.voices)

    def _ask(self, ear: Ear, piece: Piece, now_ns: int) -> bool:
        self._tend(ear, now_ns)  # the first of all starts it: who has nothing but G.711 needs none
        restarts = self._restarts
        # What is given again after a crash is old, and waited for.
        until = 0 if self._waits else max(int(piece.rows.mono_ns[0]) + self._hold_back_ns, now_ns + PATIENCE_NS)
        while ear.is_up:
            if ear.ask(piece, self._pipeline, until):
                return True
            if not self._waits or not ear.asked:
                return False
            self._wait(ear, now_ns)
            if self._restarts != restarts:
                return True  # it is given again with all that is in hand
        return False

    # Answers

    def _wait(self, ear: Ear, now_ns: int) -> None:
        if ear.is_up and ear.asked:
            self._hear(ear, now_ns, _WAITED_S if self._waits else _LAST_WAIT_S)

    def _hear(self, ear: Ear, now_ns: int, timeout_s: float = 0.0) -> None:
        if not ear.is_up:
            return
        try:
            while (reply := ear.hear_next(timeout_s)) is not None:
                self._take_in(ear, reply)
                timeout_s = 0.0
            if timeout_s:
                raise EOFError(f" (no answer in {timeout_s:g} s)")
        except EOFError as error:
            self._died(ear, now_ns, str(error))

    def _take_in(self, ear: Ear, reply: Reply) -> None:
        handover = self._pipeline.handover
        asked = ear.asked[0]
        is_late = any(found.kind == messages.LATE for found in reply.findings)
        for found in reply.findings:
            self._note(found, asked)
        if reply.is_last:
            ear.settled()
            if is_late:
                handover.lost(asked.voices, asked.mono)
            else:
                handover.done(asked.voices, asked.mono)

    def _note(self, found: Finding, asked: _Asked) -> None:
        """Enter a finding, as far as it can be: of a voice, and within the times, that were asked about."""
        handover = self._pipeline.handover
        mine = asked.mono[asked.voices == found.number]
        if found.kind == messages.LATE or not len(mine):
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

    def _put_off(self, ear: Ear, now_ns: int) -> None:
        ear.retry_ns = now_ns + _PAUSE_NS[min(ear.deaths, len(_PAUSE_NS) - 1)]
        ear.deaths += 1

    def _died(self, ear: Ear, now_ns: int, why: str) -> None:
        handover = self._pipeline.handover
        busy = ear.end()
        self._put_off(ear, now_ns)
        self._pipeline.counters[RESTARTED] += 1
        self.messages.append(f"an analysis process died{why}; the next one begins with what is in hand")
        asked, ear.asked = ear.asked, deque()
        if busy is not None and busy == ear.suspect:
            handover.refuse(busy)
            self.messages.append("the voice that it was decoding, twice, is handed over no more")
        ear.suspect = busy
        if ear.deaths > _GIVEN_UP:  # whatever it is in them, it goes on without these
            for one in asked:
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
