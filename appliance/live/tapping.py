"""The worker's end of live listening: turns of the tap and of the levels, sent to the parent or dropped.

Recording never waits for it: the socket takes what it has room for, the rest is dropped and counted, and a fault of
ours in here ends listening and nothing else.
"""

from __future__ import annotations

import socket
from typing import Final

from vittne.appliance.live.messages import pack, pack_levels
from vittne.appliance.log import fault
from vittne.appliance.protocol import Command
from vittne.capture.columns import SECOND
from vittne.capture.levels import Levels
from vittne.capture.pipeline import Pipeline
from vittne.capture.tap import Tap, Tapped

_TURN_NS: Final = SECOND // 25
_LEVELS_NS: Final = SECOND
_FRESH_NS: Final = SECOND  # older packets may be back with the kernel: a hold-back is twice as long at least
_RING_NS: Final = SECOND // 5  # how long the kernel keeps a block that is not full, and some more
_ROOM_BYTES: Final = 1 << 20


class Tapping:
    """Who listens is told by order(), from the second thread; turn() does the rest in the first. fd: -1 for none."""

    def __init__(self, pipeline: Pipeline, fd: int) -> None:
        self._pipeline = pipeline
        self._socket = socket.socket(fileno=fd) if fd >= 0 else None
        if self._socket is not None:
            self._socket.setblocking(False)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM_BYTES)
        self.dropped = 0  # messages that found no room
        self._tap = Tap(pipeline)
        self._levels = Levels(pipeline)
        self._ordered: Command | None = None
        self._wants_levels = False
        self._next_ns = 0
        self._next_levels_ns = 0

    def close(self) -> None:
        """Send nothing more."""
        self._end()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def order(self, command: Command) -> None:
        """Take in who listens from now on. Called from the second thread."""
        self._ordered = command

    def turn(self, now_ns: int, has_read: bool) -> None:
        """Send what came. now_ns: before the rings were read; has_read: whether there was anything in them."""
        if self._ordered is not None:
            command, self._ordered = self._ordered, None
            self._begin(command)
        if self._pipeline.tapped is None or now_ns < self._next_ns:
            return
        self._next_ns = now_ns + _TURN_NS
        try:
            self._turn(now_ns, has_read)
        except Exception as error:  # a fault of ours may cost this, and never a recording
            self._pipeline.faults.append(fault(error))
            self._end()

    def _begin(self, command: Command) -> None:
        if self._socket is None:
            return
        self._tap.listen({one.number: one.recording for one in command.listening})
        self._wants_levels = command.levels
        if not command.levels:
            self._levels.clear()
        if not self._tap.is_on and not command.levels:
            self._pipeline.tapped = None
        elif self._pipeline.tapped is None:
            self._pipeline.tapped = []

    def _end(self) -> None:
        self._tap.listen({})
        self._levels.clear()
        self._wants_levels, self._pipeline.tapped = False, None

    def _turn(self, now_ns: int, has_read: bool) -> None:
        pipeline = self._pipeline
        batches, pipeline.tapped = pipeline.tapped or [], []
        batches = [(rows, whose) for rows, whose in batches if int(rows.mono_ns[0]) > now_ns - _FRESH_NS]
        upto = pipeline.now_mono if has_read else max(pipeline.now_mono, now_ns - _RING_NS)
        if self._tap.is_on:
            for tapped in self._tap.turn(batches, upto):
                self._send(tapped)
        if self._wants_levels:
            self._levels.feed(batches)
            if now_ns >= self._next_levels_ns:
                self._next_levels_ns = now_ns + _LEVELS_NS
                for message in pack_levels(self._levels.take(now_ns - 3 * _FRESH_NS // 2)):
                    self._put(message)

    def _send(self, tapped: Tapped) -> None:
        message = pack(tapped, self._pipeline.buffers)
        if message is None or not self._put(message):
            self._tap.untold(tapped)

    def _put(self, message: bytes) -> bool:
        if self._socket is None:
            return False
        try:
            self._socket.send(message)
        except OSError:  # no room, or nobody is there: the next turn is newer
            self.dropped += 1
            return False
        return True
