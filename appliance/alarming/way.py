"""One channel: what waits for it, in which bounds it is told, and what came of it. It never stands in anybody's way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from vittne.appliance.alarming.notice import Notice
from vittne.appliance.alarming.settings import ToldSettings
from vittne.appliance.log import fault
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

log = structlog.get_logger()

_MOST: Final = 500  # that wait
_SECOND_US: Final = 1_000_000
_OLDEST_US: Final = 24 * 3600 * _SECOND_US
_ALARM_AFTER: Final = 2  # failures


class Carrier(Protocol):
    """What carries notices to somebody."""

    async def send(self, notices: Sequence[Notice], left_out: int) -> None:
        """Hand them over, all or none. Raises OSError, StoreError, TimeoutError; then it is tried again."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """gather_s: how long to wait for more; per_hour: so often at most; send_s: for one try; back_off_s: between two."""

    gather_s: float = 0.0
    per_hour: int = 1000
    send_s: float = 90.0
    back_off_s: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0, 1800.0)


class Way:
    """What waits is kept in memory: whom a restart takes it from is told what stands then."""

    def __init__(
        self, kind: str, settings: ToldSettings, carrier: Carrier, pace: Pace, about: Mapping[str, str] | None = None
    ) -> None:
        """about: what else there is to know of it."""
        self.name, self.kind = settings.name, kind
        self.sent = 0
        self.tried_us: int | None = None
        self.done_us: int | None = None
        self.error = ""
        self.is_sending = False
        self._settings = settings
        self._about = dict(about or {})
        self._carrier = carrier
        self._pace = pace
        self._waiting: deque[Notice] = deque()
        self._left_out = 0
        self._sending: list[Notice] = []  # of the try that is made now
        self._failures = 0
        self._sent_s: deque[float] = deque(maxlen=pace.per_hour)
        self._new = asyncio.Event()
        self._at_once = asyncio.Event()

    def takes(self, notice: Notice) -> bool:
        """Say whether this channel is told of it."""
        if notice.what == "test":
            return True
        if notice.channel == self.name and notice.name == "alarms-untold":
            return False
        grave = self._settings.weight == "warn" or notice.weight == "bad"
        return grave and (not self._settings.only or notice.name in self._settings.only)

    def offer(self, notice: Notice) -> None:
        """Have it told. Too many, and the oldest is left out, and counted."""
        if not self.takes(notice):
            return
        if len(self._waiting) >= _MOST:
            self._waiting.popleft()
            self._left_out += 1
        self._waiting.append(notice)
        self._new.set()
        if notice.what == "test":
            self._at_once.set()

    def take_over(self, other: Way) -> None:
        """Have told here what waits there, and is over there."""
        self._waiting.extend(other._sending)
        self._waiting.extend(other._waiting)
        other._waiting.clear()
        self._left_out, self._failures, self._sent_s = other._left_out, other._failures, other._sent_s
        self.sent, self.tried_us, self.done_us, self.error = other.sent, other.tried_us, other.done_us, other.error
        if self._waiting:  # what it could not be told with may be mended
            self._new.set()
            self._at_once.set()

    def as_json(self) -> dict[str, Any]:
        """Return how it stands."""
        times = {"tried_at": self.tried_us, "delivered_at": self.done_us}
        return {
            "name": self.name,
            "kind": self.kind,
            "weight": self._settings.weight,
            "only": list(self._settings.only),
            "waiting": len(self._waiting),
            "sending": self.is_sending,
            "sent": self.sent,
            "error": self.error,
            **{name: None if at is None else rfc3339(at) for name, at in times.items()},
            **self._about,
        }

    async def run(self) -> None:
        """Tell until cancelled."""
        while True:
            self._new.clear()
            if not self._waiting:
                await self._new.wait()
            await self._gather()
            await self.turn()

    async def _gather(self) -> None:
        """Wait for more that belongs into the same mail, and until one may be sent; a test waits for neither."""
        now_s = asyncio.get_running_loop().time()
        wait_s = self._pace.gather_s
        if len(self._sent_s) == self._pace.per_hour:
            wait_s = max(wait_s, self._sent_s[0] + 3600 - now_s)
        if self._failures:
            wait_s = max(wait_s, self._pace.back_off_s[min(self._failures, len(self._pace.back_off_s)) - 1])
        try:
            async with asyncio.timeout(wait_s):
                await self._at_once.wait()
        except TimeoutError:
            pass
        self._at_once.clear()

    async def turn(self) -> None:
        """Tell all that waits, once."""
        old = now_us() - _OLDEST_US
        notices = [one for one in self._waiting if one.at_us > old]
        left_out = self._left_out
        self._waiting.clear()
        self._left_out = 0
        if not notices:
            return
        self.tried_us, self.is_sending, self._sending = now_us(), True, notices
        try:
            async with asyncio.timeout(self._pace.send_s):
                await self._carrier.send(notices, left_out)
        except (OSError, StoreError, TimeoutError) as error:
            self._failed(notices, left_out, _words(error))
        except Exception as error:  # a fault of ours, or of a library
            log.error("an alarm could not be told", channel=self.name, reason=fault(error))
            self._failed(notices, left_out, type(error).__name__)
        else:
            self._sent_s.append(asyncio.get_running_loop().time())
            self.sent += len(notices)
            self.done_us, self.error = now_us(), ""
            if self._failures >= _ALARM_AFTER:
                log.info("alarms can be told again", channel=self.name)
            self._failures = 0
        finally:
            self.is_sending, self._sending = False, []

    def _failed(self, notices: list[Notice], left_out: int, words: str) -> None:
        self.error = words[:300]
        self._failures += 1
        if self._failures == _ALARM_AFTER:
            log.error("alarm: a channel for alarms does not work", channel=self.name, reason=self.error)
        again = [one for one in notices if one.what != "test"]
        self._left_out += left_out
        self._waiting.extendleft(reversed(again))
        while len(self._waiting) > _MOST:
            self._waiting.popleft()
            self._left_out += 1


def _words(error: BaseException) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
