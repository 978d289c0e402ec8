"""What worker and parent say to each other: one JSON object a message, its length in front.

The worker reads packets from anybody, so the parent believes nothing it says before it was checked
against the types below; no pickles come this way.
"""

from __future__ import annotations

import json
import socket
import struct
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import Field, TypeAdapter

from vittne.appliance.registrar import CallClosed, PartOpened
from vittne.appliance.seal.capsule import KeyTaken
from vittne.appliance.store.errors import StoreError

LONGEST: Final = 64 << 20
_LENGTH: Final = struct.Struct("<I")


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
    kind: Literal["status"] = "status"


Request = Annotated[OpenParts | NoteLive | CloseCalls | Status, Field(discriminator="kind")]
_REQUEST: Final[TypeAdapter[Any]] = TypeAdapter(Request)


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
    kind: Literal["start"] = "start"


_START: Final = TypeAdapter(Start)


def pack(message: Any) -> bytes:
    """Return a message as it goes over the socket."""
    body = json.dumps(asdict(message), separators=(",", ":")).encode()
    return _LENGTH.pack(len(body)) + body


def parse_request(body: bytes) -> OpenParts | NoteLive | CloseCalls | Status:
    """Return what the worker asks; pydantic's ValidationError (a ValueError) when it is nothing we know."""
    request: OpenParts | NoteLive | CloseCalls | Status = _REQUEST.validate_json(body)
    return request


def parse_start(body: bytes) -> Start:
    return _START.validate_json(body)


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
    """The worker's end. ask() waits for the answer."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.stopping = False  # the parent said stop, perhaps while an answer was awaited

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> bytes:
        return self._exactly(body_length(self._exactly(HEAD_BYTES)))

    def ask(self, message: Any) -> None:
        """Send a request and wait until it is done. Raises RequestFailed (KeyTaken) with the parent's words."""
        self.socket.sendall(pack(message))
        answer = json.loads(self.receive())
        if answer.get("kind") == "stop":
            self.stopping = True
            answer = json.loads(self.receive())
        if answer.get("taken"):
            raise KeyTaken(str(answer["error"]), "the registrar", "use a new part")
        if answer.get("error"):
            raise RequestFailed(str(answer["error"]))

    def open_parts(self, parts: Any) -> None:
        self.ask(OpenParts(list(parts)))

    def note_live(self, reports: Any) -> None:
        self.ask(NoteLive(list(reports)))

    def close_calls(self, calls: Any) -> None:
        self.ask(CloseCalls(list(calls)))

    def _exactly(self, size: int) -> bytes:
        pieces = []
        while size:
            piece = self.socket.recv(min(size, 1 << 20))
            if not piece:
                raise ParentGone
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


class RequestFailed(StoreError):
    """The parent could not do what was asked; the text says why."""

    def __init__(self, text: str) -> None:
        super().__init__(text, "the registrar", "its own log says more")
