"""One analysis process: how it is started, what it has been asked, what it says. Nothing here waits but hear_next().

It has two pieces of memory: one for voices in which tones are searched, whose answers are waited for, and one for what
is only listened to. Each is a queue with a bound.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from vittne.appliance.analysis import messages
from vittne.appliance.analysis.area import Area, Room
from vittne.appliance.analysis.messages import HEARD, READY, REQUEST, Reply, Written, parse_reply
from vittne.appliance.analysis.references import Loaded
from vittne.capture.columns import I64, U8
from vittne.capture.flows import Flow
from vittne.capture.handed import Piece
from vittne.capture.heard import Prompt
from vittne.capture.pipeline import Pipeline

AREA_BYTES: Final = 32 << 20
_REPLY_BYTES: Final = 64 << 10


@dataclass(slots=True)
class Asked:
    """A request that is not answered. voices, mono: of its rows."""

    number: int
    kind: int
    voices: Flow
    mono: I64
    has_room: bool = True


class _Lane:
    """Memory for requests that are answered in their order."""

    def __init__(self, size: int) -> None:
        self.area = Area.make(size)
        self.asked: deque[Asked] = deque()
        self._room = Room(size)

    def place(self, size: int) -> tuple[int, U8] | None:
        """Return where a request lies, and its bytes; None when there is no room."""
        offset = self._room.take(size)
        return None if offset is None else (offset, self.area.data[offset : offset + size])

    def give_back(self) -> None:
        """Free what was placed last: it could not be sent."""
        self._room.give_back_newest()

    def settled(self) -> Asked:
        """Take the oldest request off: it is answered."""
        asked = self.asked.popleft()
        if asked.has_room:
            self._room.give_back()
        return asked


_NOBODY: Final = np.zeros(0, np.int32)
_NEVER: Final = np.zeros(0, np.int64)


class Ear:
    """One analysis process, and what it has been asked. area_bytes: of each of its two queues."""

    def __init__(self, area_bytes: int = AREA_BYTES) -> None:
        self._area_bytes = area_bytes
        self.deaths = 0  # since it last answered
        self.retry_ns = 0
        self.suspect: int | None = None  # the voice that the one before was decoding when it died
        self.is_up = False
        self.is_ready = False  # it said so: everything is loaded
        self.told: list[Loaded] | None = None  # the announcements that it was told of last
        self.prompts: list[Prompt] = []  # those that its findings name now, by their places
        self._learning: deque[list[Prompt]] = deque()
        self._number = 0
        self._lanes: tuple[_Lane, ...] = ()

    @property
    def asked(self) -> deque[Asked]:
        """What tones are searched in and is not answered."""
        return self._lanes[0].asked if self._lanes else deque()

    @property
    def is_level(self) -> bool:
        """Whether everything is answered."""
        return not any(lane.asked for lane in self._lanes)

    @property
    def pid(self) -> int | None:
        """The process's number while it is up."""
        return self._process.pid if self.is_up else None

    def start(self) -> None:
        """Start it. Raises OSError."""
        self._lanes = _Lane(self._area_bytes), _Lane(self._area_bytes)
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = theirs.fileno(), *(lane.area.fd for lane in self._lanes)
        numbers = fds[0], self._area_bytes, *fds[1:]
        command = [sys.executable, "-m", "vittne.appliance.analysis.child", *map(str, numbers)]
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
            self._close_lanes()
            raise
        finally:
            theirs.close()
        self.is_up, self.is_ready, self.told, self.prompts = True, False, None, []
        self._learning.clear()

    def _close_lanes(self) -> None:
        for lane in self._lanes:
            lane.area.close()
        self._lanes = ()

    def ask(self, piece: Piece, pipeline: Pipeline, until_ns: int, kind: int = messages.TONES, flags: int = 0) -> bool:
        """Hand a piece over; whether there was room."""
        written = Written(piece)
        lane = self._lanes[kind != messages.TONES]
        placed = lane.place(written.size)
        if placed is None:
            return False
        written.write(placed[1], pipeline.buffers)
        asked = Asked(self._number, kind, piece.number, piece.rows.mono_ns)
        return self._send(lane, asked, REQUEST.pack(self._number, placed[0], written.size, until_ns, kind, flags))

    def tell(self, kind: int, data: bytes) -> bool:
        """Hand over what is no piece; whether there was room. b"": nothing, but an answer is wanted."""
        lane = self._lanes[1]
        offset = 0
        if data:
            placed = lane.place(len(data))
            if placed is None:
                return False
            offset = placed[0]
            placed[1][:] = np.frombuffer(data, np.uint8)
        asked = Asked(self._number, kind, _NOBODY, _NEVER, bool(data))
        return self._send(lane, asked, REQUEST.pack(self._number, offset, len(data), 0, kind, 0))

    def _send(self, lane: _Lane, asked: Asked, request: bytes) -> bool:
        try:
            self._socket.send(request, socket.MSG_DONTWAIT)
        except BlockingIOError:  # many small ones: a bound as well
            if asked.has_room:
                lane.give_back()
            return False
        except OSError:  # it died; that shows when answers are read
            pass
        lane.asked.append(asked)
        self._number += 1
        return True

    def hear_next(self, timeout_s: float = 0.0) -> tuple[Reply, Asked | None] | None:
        """Return the next answer and what was asked, if it is to anything; None when there is none.

        Raises EOFError when it died or says what it may not. What was asked is settled().
        """
        try:
            self._socket.settimeout(timeout_s)
            message = self._socket.recv(_REPLY_BYTES)
            if not message:
                raise EOFError("")
            reply = parse_reply(message)
            if reply.number == READY and not self.is_ready:
                self.is_ready = True
                return self.hear_next(timeout_s)
            asked = None
            if reply.number != HEARD:
                heads = [lane.asked[0] for lane in self._lanes if lane.asked]
                asked = next((one for one in heads if one.number == reply.number), None)
                if asked is None:
                    raise ValueError("an answer to what was not asked")
        except (BlockingIOError, TimeoutError):
            return None
        except (OSError, ValueError) as error:
            raise EOFError(f" ({error})") from error
        self.deaths = 0
        return reply, asked

    def learns(self, references: list[Loaded]) -> None:
        """It was told of announcements; its findings are about those of before until it says that it knows them."""
        self.told = references
        self._learning.append([one.prompt for one in references])

    def settled(self, asked: Asked) -> None:
        """A request is answered."""
        self._lanes[asked.kind != messages.TONES].settled()
        if asked.kind == messages.REFERENCES:
            self.prompts = self._learning.popleft()

    def end(self) -> tuple[int | None, list[Asked]]:
        """End it; return the voice that it was decoding, None when it was none, and what it had not answered."""
        busy = self._lanes[0].area.busy_with
        asked = [one for lane in self._lanes for one in lane.asked]
        self.is_up = False
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._close_lanes()
        return busy, asked
