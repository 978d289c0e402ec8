"""Everything that is known of now, in one place: the bus, live calls, alarms, how capturing goes.

The supervisor and the pause desk tell it; API, console, metrics and webhooks ask it. Used from the recorder's loop;
only alarms come from other threads.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from vittne.appliance.events.alarmlist import OVERDUE
from vittne.appliance.events.alarms import Alarm, Alarms
from vittne.appliance.events.bus import Bus
from vittne.appliance.events.capture import CaptureWatch
from vittne.appliance.events.livecalls import LiveCall, LiveCalls
from vittne.appliance.log import fault
from vittne.appliance.protocol import CloseCalls, NoteLive, Request, Status
from vittne.appliance.store.times import now_us
from vittne.capture.levels import Level
from vittne.capture.pause import Pause

log = structlog.get_logger()


class Hub:
    """What happens now."""

    def __init__(self, interfaces: Sequence[str] = (), alarms: Alarms | None = None) -> None:
        self.bus = Bus()
        self.alarms = alarms or Alarms()
        self.calls = LiveCalls(self._call)
        self.capture = CaptureWatch(self.alarms, tuple(interfaces))
        self.pauses: dict[str, Pause] = {}  # that live
        self.pauses_begun: Counter[str] = Counter()  # by trigger, since the start
        self.started_us = now_us()
        self.workers = 0
        self.loop_delay_p99_ms: Callable[[], float] = lambda: 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._forgot_s = 0.0

    def open(self) -> None:
        """Begin to tell of alarms: they come from any thread, and are told in the loop that calls this."""
        self._loop = asyncio.get_running_loop()
        self.alarms.tell = self._alarm_anywhere

    def note(self, request: Request) -> None:
        """Take what the worker said, once it is written. Raises nothing: recording must not hear of it."""
        try:
            self._note(request)
        except Exception as error:  # a fault of ours
            log.error("what the worker said could not be told on", reason=fault(error))

    def _note(self, request: Request) -> None:
        match request:
            case NoteLive():
                self.calls.note(request.reports, now_us())
            case CloseCalls():
                self.calls.end([call.report for call in request.calls], now_us())
            case Status():
                self._status(request)

    def _status(self, status: Status) -> None:
        now_s = time.monotonic()
        self.capture.note(status, now_s)
        if now_s - self._forgot_s > 10:
            self._forgot_s = now_s
            self.calls.forget_stale(now_us())
        self.bus.tell("status", "status", now_us(), status)

    def note_pause(self, before: Pause | None, pause: Pause) -> None:
        """Take a pause that is new or changed."""
        if before == pause:
            return
        if pause.is_live:
            self.pauses[pause.id] = pause
        else:
            self.pauses.pop(pause.id, None)
            self.alarms.clear(OVERDUE.name, pause.id)
        what = "ended" if not pause.is_live else "begun" if before is None else "changed"
        self.pauses_begun[pause.trigger] += what == "begun"
        self.bus.tell("pause", what, now_us(), pause)

    def note_levels(self, levels: Sequence[Level]) -> None:
        """Take how loud parties of calls are."""
        self.bus.tell("level", "level", now_us(), tuple(levels))

    def pauses_of(self, recording: str) -> list[Pause]:
        """Return the pauses that live and are on a call."""
        return [pause for pause in self.pauses.values() if recording in pause.calls]

    def _call(self, what: str, call: LiveCall) -> None:
        self.bus.tell("call", what, now_us(), call)

    def _alarm_anywhere(self, what: str, alarm: Alarm) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._alarm, what, alarm)

    def _alarm(self, what: str, alarm: Alarm) -> None:
        self.bus.tell("alarm", what, alarm.last_us if what == "raised" else alarm.cleared_us or now_us(), alarm)
