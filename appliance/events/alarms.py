"""Alarms: which stand, since when, how often, and when they were over. Every line of the log that is one comes here.

A line that begins so raises the alarm that alarmlist.py has under its words; a line that ends one clears it. What only
happens (nobody can say when it is over) stands for a while and then counts as over. Lines come from any thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vittne.appliance.events.alarmlist import ALARMS, CLEARED_BY, UNLISTED, AlarmKind
from vittne.appliance.store.times import now_us

ALARM: Final = "alarm: "
_MOST: Final = 500  # alarms that are known, standing or over
_TEXT: Final = 300
_ABOUT: Final = 8
# What a line of the log says beside its words, as far as it names nobody.
_SHOWN: Final = frozenset(
    {
        *("pause", "recording", "recordings", "calls", "channel", "pbx", "authority", "reason", "what", "why", "name"),
        *("rule", "announced", "percent", "over", "pauses", "longest_s", "action", "interface", "packets", "days"),
        *("source", "synchronised", "offset_us", "max_error_us", "max_error_ms", "reference", "free_gib", "times"),
        *("within_days", "minutes", "since", "bytes"),
    }
)


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. about: what its line said beside its words; agent: whom it is about, if somebody. Times in us UTC."""

    kind: AlarmKind
    key: str  # of those with the same words, which: a channel's or an authority's name
    words: str
    about: Mapping[str, str] = field(default_factory=dict)
    agent: str = ""
    first_us: int = 0
    last_us: int = 0
    times: int = 1
    cleared_us: int | None = None

    @property
    def id(self) -> str:
        """What names it."""
        return f"{self.kind.name}:{self.key}" if self.key else self.kind.name

    def stands(self, at_us: int) -> bool:
        """Say whether it is to be looked at."""
        if self.cleared_us is not None:
            return False
        return not self.kind.for_us or at_us - self.last_us < self.kind.for_us


class Alarms:
    """All alarms since the start. tell: called with ("raised" or "cleared", alarm), in whatever thread it was."""

    def __init__(self, tell: Callable[[str, Alarm], None] = lambda what, alarm: None) -> None:
        self.tell = tell
        self._lock = threading.Lock()
        self._known: dict[str, Alarm] = {}

    def see(self, _logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take notice of a line of the log, which goes on as it is (a processor of structlog)."""
        event = line.get("event")
        if isinstance(event, str):
            if event.startswith(ALARM):
                self.raise_(event.removeprefix(ALARM), line)
            elif event in CLEARED_BY:
                kind = CLEARED_BY[event]
                self.clear(kind.name, str(line.get(kind.by, "")) if kind.by else "")
        return line

    def raise_(self, words: str, line: Mapping[str, Any], at_us: int | None = None) -> None:
        """Raise an alarm, or note that it came again."""
        at = now_us() if at_us is None else at_us
        kind = ALARMS.get(words, UNLISTED)
        key = str(line.get(kind.by, ""))[:_TEXT] if kind.by else words if kind is UNLISTED else ""
        said = {n: str(v)[:_TEXT] for n, v in line.items() if n in _SHOWN and v not in ("", None)}
        agent = str(line.get("agent", ""))[:_TEXT]
        fresh = Alarm(kind, key, words, dict(list(said.items())[:_ABOUT]), agent, at, at)
        with self._lock:
            before = self._known.get(fresh.id)
            if before is not None and before.stands(at):
                fresh = replace(fresh, first_us=before.first_us, times=before.times + 1)
            self._known.pop(fresh.id, None)  # the newest stands last
            self._known[fresh.id] = fresh
            while len(self._known) > _MOST:
                self._known.pop(next(iter(self._known)))
        self.tell("raised", fresh)

    def clear(self, name: str, key: str = "", at_us: int | None = None) -> None:
        """Note that an alarm is over; nothing when it does not stand."""
        at = now_us() if at_us is None else at_us
        with self._lock:
            found = self._known.get(f"{name}:{key}" if key else name)
            if found is None or not found.stands(at):
                return
            found = self._known[found.id] = replace(found, cleared_us=at)
        self.tell("cleared", found)

    def all(self) -> list[Alarm]:
        """Return what is known, the newest first."""
        with self._lock:
            return list(reversed(self._known.values()))

    def standing(self, at_us: int) -> list[Alarm]:
        """Return what is to be looked at, the newest first."""
        return [alarm for alarm in self.all() if alarm.stands(at_us)]
