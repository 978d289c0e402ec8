"""What worker and parent say to each other: one JSON object a message, its length in front.

The worker reads packets from anybody, so the parent believes nothing it says before it was checked
against the types below; no pickles come this way.
"""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter

from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.recordconfig import KeepingConfig
from vittne.appliance.registrar import CallClosed, PartOpened
from vittne.appliance.ruleconfig import RuleConfig
from vittne.appliance.seal.capsule import KeyTaken
from vittne.appliance.store.errors import StoreError
from vittne.appliance.workerfigures import WorkerFigures
from vittne.capture.gates import Decision, Refusal
from vittne.capture.pause import Pause, PauseSettings
from vittne.capture.pausing import Answer, PauseOrder

LONGEST: Final = 64 << 20
_LENGTH: Final = struct.Struct("<I")
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class OpenParts:
    parts: list[PartOpened]
    kind: Literal["open-parts"] = "open-parts"


@dataclass(frozen=True, slots=True)
class NoteLive:
    reports: list[dict[str, Any]]
    kind: Literal["note-live"] = "note-live"


@dataclass(frozen=True, slots=True)
class CloseCalls:
    calls: list[CallClosed]
    kind: Literal["close-calls"] = "close-calls"


@dataclass(frozen=True, slots=True)
class Status:
    """How the worker is doing: sums since the run began."""

    frames: int
    packets: int
    drops: dict[str, dict[str, int]]
    outcomes: dict[str, int]
    live_calls: int
    occupancy: float  # of the fullest ring, 0 to 1
    position: list[list[int]]  # ring by ring, what is committed: block, packet
    messages: list[str] = field(default_factory=list)  # for the log
    unsignalled: list[dict[str, Any]] = field(default_factory=list)
    gate_calls: int = 0  # whose audio waits in locked memory now
    gate_bytes: int = 0  # that it takes now
    gate_most_bytes: int = 0  # that it took at most since the worker began
    listening: int = 0  # voices that are listened to now
    listened: int = 0  # that were, since the run began
    not_listened: int = 0  # packets that found nobody in time who listened
    analysis_restarts: int = 0  # processes that died
    unheard: list[str] = field(default_factory=list)  # hashes of announcements that count and are not listened for
    live_dropped: int = 0  # messages to those who listen live that found no room
    seen: dict[str, dict[str, int]] = field(default_factory=dict)  # as drops, of what was read, or passed over by name
    figures: WorkerFigures = field(default_factory=WorkerFigures)
    kind: Literal["status"] = "status"


@dataclass(frozen=True, slots=True)
class NotePauses:
    """Pauses that changed without having been asked over the command: rules, digits, leases, calls that ended."""

    pauses: list[Pause]
    kind: Literal["note-pauses"] = "note-pauses"


@dataclass(frozen=True, slots=True)
class NoteRefused:
    """Calls whose gate was refused by a key or a rule on the signalling."""

    refused: list[Refusal]
    kind: Literal["note-refused"] = "note-refused"


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to. Nothing is answered to it."""

    number: int
    answers: list[Answer]
    fault: str = ""
    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True)
class Reading:
    """A worker reads its rings from now on: what kills it later may lie in them. Nothing is answered to it."""

    kind: Literal["reading"] = "reading"


Request = OpenParts | NoteLive | CloseCalls | Status | NotePauses | NoteRefused | Done | Reading
_REQUEST: Final[TypeAdapter[Any]] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Start:
    """The parent's first words: what to work on."""

    data_dir: str
    hold_back_ns: int
    commit_ns: int
    media_silence_ns: int
    record_unsignalled: bool
    part_ns: int
    rings: list[dict[str, Any]]  # fields of RingHandle, descriptors as inherited
    snapshot_fds: list[int]
    leave: list[str] = field(default_factory=list)  # hidden folders below recordings/ that the next start finishes
    skip: bool = False  # leave out what is in the rings: it has ended several workers
    pauses: list[Pause] = field(default_factory=list)  # that live, or ended so lately that packets of theirs may wait
    pause: PauseSettings = field(default_factory=PauseSettings)
    analysis: int = 1  # processes
    agent_headers: tuple[str, ...] = ()
    rules: list[RuleConfig] = field(default_factory=list)
    keeping: KeepingConfig = field(default_factory=KeepingConfig)
    sampling_key: str = ""  # hex
    listen_ns: int = 0  # of each voice, see listening.py
    detector: str = ""  # version of who listens for announcements
    references: list[ReferenceHandle] = field(default_factory=list)  # announcements that count now
    live_fd: int = -1  # where what is heard live goes, see live/tapping.py
    kind: Literal["start"] = "start"


_START: Final = TypeAdapter(Start)
What = Literal["pause", "resume", "extend", "status", "find", "gate", "references", "live"]


@dataclass(frozen=True, slots=True)
class Listener:
    """One who hears a call while it lasts. number: never used again."""

    number: int
    recording: str


@dataclass(frozen=True, slots=True)
class Command:
    """What the parent wants done at once. *_at ns UTC, *_mono ns monotonic, of the moment it was asked."""

    number: int
    what: What
    asked_at: int
    asked_mono: int
    order: PauseOrder | None = None
    pause_id: str = ""
    select: dict[str, str] = field(default_factory=dict)
    lease_ns: int = 0
    by: str = ""
    decision: Decision | None = None
    trigger: str = "api"  # of the decision
    only: str = ""  # resume no pause but those that this one asked for
    references: list[ReferenceHandle] = field(default_factory=list)  # that count from now on
    listening: list[Listener] = field(default_factory=list)  # all who listen live from now on
    levels: bool = False  # of all calls are wanted from now on
    kind: Literal["command"] = "command"


_COMMAND: Final = TypeAdapter(Command)


def pack(message: Any) -> bytes:
    """Return a message as it goes over the socket."""
    body = json.dumps(asdict(message), separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


def parse_request(body: bytes) -> Request:
    """Return what the worker asks; pydantic's ValidationError (a ValueError) when it is nothing we know."""
    request: Request = _REQUEST.validate_json(body)
    return request


def body_length(head: bytes) -> int:
    """Return the length of the message after these four bytes; ValueError when it is too long."""
    (length,) = _LENGTH.unpack(head)
    if length > LONGEST:
        raise ValueError(f"a message of {length} bytes")
    return int(length)


HEAD_BYTES: Final = _LENGTH.size


class ParentGone(Exception):
    """The other end of the socket is closed."""


class Channel:
    """The worker's end. A thread reads it, so that a command is done while packets are written.

    ask() waits for the answer. fileno() becomes readable when the parent said stop or is gone.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.stopping = False  # the parent said stop, perhaps while an answer was awaited
        self.is_gone = False  # nothing can be heard any more
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._sending = threading.Lock()
        self._came = bytearray()

    def fileno(self) -> int:
        return self._woken

    def receive_start(self) -> Start:
        """Return the parent's first words."""
        return _START.validate_json(self._receive())

    def listen(self, do: Callable[[Command], list[Answer]]) -> None:
        """Have a thread read from now on. do: is called in it, for each command."""
        threading.Thread(target=self._listen, args=(do,), name="commands", daemon=True).start()

    def _listen(self, do: Callable[[Command], list[Answer]]) -> None:
        try:
            while True:
                body = self._receive()
                kind = json.loads(body).get("kind")
                if kind == "stop":
                    self.stopping = True
                    os.eventfd_write(self._woken, 1)
                elif kind == "command":
                    self._send(_done(_COMMAND.validate_json(body), do))
                else:
                    self._answers.put(body)
        except (ParentGone, OSError):
            pass
        finally:  # whatever ended it: a worker that hears nothing makes room for one that does
            self.is_gone = True
            self._answers.put(None)
            os.eventfd_write(self._woken, 1)

    def ask(self, message: Any) -> None:
        """Send a request and wait until it is done. Raises RequestFailed (KeyTaken) with the parent's words."""
        self._send(message)
        body = self._answers.get()
        if body is None:
            raise ParentGone
        answer = json.loads(body)
        if answer.get("taken"):
            raise KeyTaken(str(answer["error"]), "the registrar", "use a new part")
        if answer.get("error"):
            raise RequestFailed(str(answer["error"]))

    def _send(self, message: Any) -> None:
        with self._sending:
            self.socket.sendall(pack(message))

    def say_reading(self) -> None:
        """Tell the parent that everything before the first packet went well."""
        self._send(Reading())

    def open_parts(self, parts: Any) -> None:
        self.ask(OpenParts(list(parts)))

    def note_live(self, reports: Any) -> None:
        self.ask(NoteLive(list(reports)))

    def note_pauses(self, pauses: Any) -> None:
        self.ask(NotePauses(list(pauses)))

    def note_refused(self, refused: Any) -> None:
        self.ask(NoteRefused(list(refused)))

    def close_calls(self, calls: Any) -> None:
        self.ask(CloseCalls(list(calls)))

    def _receive(self) -> bytes:
        return self._exactly(body_length(self._exactly(HEAD_BYTES)))

    def _exactly(self, size: int) -> bytes:
        while len(self._came) < size:  # as much at once as there is: each time costs a turn of the other thread
            piece = self.socket.recv(1 << 20)
            if not piece:
                raise ParentGone
            self._came += piece
        taken = bytes(self._came[:size])
        del self._came[:size]
        return taken


def _done(command: Command, do: Callable[[Command], list[Answer]]) -> Done:
    """Do a command. What it reads may change under it: then it is done once more, and comes to the same."""
    for _ in range(_TRIES):
        try:
            return Done(command.number, do(command))
        except RuntimeError:
            continue
        except Exception as error:  # a fault of ours: who asked must not believe that it is done
            return Done(command.number, [], type(error).__name__)
    return Done(command.number, [], "the calls changed too fast")


class RequestFailed(StoreError):
    """The parent could not do what was asked; the text says why."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "the registrar", "its own log says more")
