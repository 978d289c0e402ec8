"""All pauses, and which calls they are on. A call is open only when no pause on it lives.

The book may be asked from a second thread while packets are written: a pause is never changed, only
replaced, and the horizon says from when on a new one still holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Final

from vittne.capture.calls import Call
from vittne.capture.pause import BOTH, Pause

MOST_PAUSES: Final = 20_000


class PauseBook:
    """All pauses that live, and those that ended but whose packets are not all written."""

    def __init__(self) -> None:
        self.lock: AbstractContextManager[object] = nullcontext()  # a re-entrant one, where a second thread asks
        self.horizon_mono = 0  # packets up to it are written, or are being written now
        self._pauses: dict[str, Pause] = {}
        self._by_call: dict[str, tuple[str, ...]] = {}  # recording id -> pauses
        self._by_call_id: dict[str, tuple[str, ...]] = {}  # SIP Call-ID -> pauses
        self._changes: deque[tuple[Pause, bool]] = deque()

    def __len__(self) -> int:
        return len(self._pauses)

    def get(self, pause_id: str) -> Pause | None:
        """Return a pause, None when it is not known or was forgotten."""
        return self._pauses.get(pause_id)

    def live(self) -> list[Pause]:
        """Return the pauses that nobody ended."""
        return [pause for pause in list(self._pauses.values()) if pause.is_live]

    def ids_on(self, call: Call) -> tuple[str, ...]:
        """Return the ids of pauses on a call: its own, those of calls that became part of it, and of related ones."""
        by_call = self._by_call
        found = by_call.get(call.id, ())
        if call.absorbed or call.related:
            for name in (*call.absorbed, *call.related):
                found += by_call.get(name, ())
        return found

    def of(self, call: Call) -> list[Pause]:
        """Return the pauses on a call, each once."""
        pauses = (self._pauses.get(pause_id) for pause_id in dict.fromkeys(self.ids_on(call)))
        return [pause for pause in pauses if pause is not None]

    def is_paused(self, call: Call) -> bool:
        """Whether a pause on a call lives."""
        return any(pause.is_live for pause in self.of(call))

    def put(self, pause: Pause, told: bool = False) -> Pause:
        """Begin or replace a pause; what reaches into what is written already is noted as incomplete.

        told: who is to hear of it knows already. Returns the pause as it stands.
        """
        with self.lock:
            before = self._pauses.get(pause.id)
            if before is None:
                if len(self._pauses) >= MOST_PAUSES:
                    refused = replace(pause, ended_by="too many pauses")
                    if not told:
                        self._changes.append((refused, False))  # somebody has to hear of it
                    return refused
                if pause.from_mono <= self.horizon_mono:
                    late = self.horizon_mono - pause.from_mono
                    pause = replace(pause, incomplete_at=pause.incomplete_at or pause.from_at + late)
            self._set(pause, told)
            return pause

    def restore(self, pause: Pause) -> None:
        """Take a pause that another worker had, as it stands."""
        with self.lock:
            self._set(pause, told=True)

    def attach(self, pause: Pause, calls: Iterable[Call], call_ids: Iterable[str] = ()) -> Pause:
        """Have a pause hold for further calls, and for those of further SIP Call-IDs when they appear."""
        with self.lock:
            pause = self._pauses.get(pause.id, pause)
            more = [call for call in calls if call.id not in pause.calls]
            own = [s.call_id for call in more for s in call.sessions if s.call_id]
            own = [name for name in dict.fromkeys([*own, *call_ids]) if name not in pause.call_ids]
            if not more and not own:
                return pause
            if pause.seat != BOTH:
                unknown = [call for call in more if not any(call.knows(name) for name in pause.parties)]
                parties = [one for call in unknown for one in call.parties(pause.seat)]
                pause = replace(pause, parties=(*pause.parties, *parties))
            pause = replace(pause, calls=(*pause.calls, *(c.id for c in more)), call_ids=(*pause.call_ids, *own))
            self._set(pause, told=False)
            return pause

    def end(self, pause: Pause, at_ns: int, mono_ns: int, by: str, told: bool = False) -> Pause:
        """End a pause at a time, guard included; one that ended already stays as it was."""
        with self.lock:
            pause = self._pauses.get(pause.id, pause)
            if not pause.is_live:
                return pause
            pause = replace(pause, to_at=max(at_ns, pause.from_at), to_mono=max(mono_ns, pause.from_mono), ended_by=by)
            self._set(pause, told)
            return pause

    def extend(self, pause: Pause, lease_at: int, lease_mono: int) -> Pause:
        """Give a pause that lives a later end of its lease."""
        with self.lock:
            pause = self._pauses.get(pause.id, pause)
            if pause.is_live:
                pause = replace(pause, lease_at=lease_at, lease_mono=lease_mono, overdue=False)
                self._set(pause, told=True)
            return pause

    def adopt(self, kept: str, absorbed: str) -> None:
        """Have the pauses of a call that became part of another one hold for that."""
        with self.lock:
            for pause_id in self._by_call.get(absorbed, ()):
                pause = self._pauses.get(pause_id)
                if pause is not None and kept not in pause.calls:
                    self._set(replace(pause, calls=(*pause.calls, kept)), told=False)

    def expire(self, now_mono: int, calls: dict[str, Call]) -> None:
        """End what waited in vain, and what its lease says; note what stays shut beyond its lease.

        calls: that are up, by recording id. One whose calls are not seen again after a restart ends with its lease.
        """
        for one in self.live():
            if one.lease_mono >= now_mono and not (one.is_armed and one.armed_until_mono < now_mono):
                continue
            with self.lock:  # it may have been extended, or have got a call, since
                pause = self._pauses.get(one.id, one)
                if not pause.is_live:
                    continue
                if pause.is_armed and pause.armed_until_mono < now_mono:
                    self.end(pause, pause.from_at, pause.from_mono, "no call appeared")
                elif pause.lease_mono < now_mono and not pause.overdue:
                    self._lease_out(pause, calls)

    def _lease_out(self, pause: Pause, calls: dict[str, Call]) -> None:
        """A lease ran out: no further calls, and those that it is on are opened or stay shut."""
        if pause.at_lease_end == "resume":
            self.end(pause, pause.lease_at, pause.lease_mono, "lease ran out")
        elif not self._is_on_any(pause, calls):
            self.end(pause, pause.lease_at, pause.lease_mono, "lease ran out, no call left")
        else:
            self._set(replace(pause, overdue=True, armed_until_mono=0), told=False)

    def _is_on_any(self, pause: Pause, calls: dict[str, Call]) -> bool:
        return any(not call.closed and pause.id in self.ids_on(call) for call in list(calls.values()))

    def naming(self, call_id: str) -> list[Pause]:
        """Return the pauses that live and name a SIP Call-ID."""
        pauses = (self._pauses.get(pause_id) for pause_id in self._by_call_id.get(call_id, ()))
        return [pause for pause in pauses if pause is not None and pause.is_live]

    def waiting(self, now_mono: int) -> list[Pause]:
        """Return the pauses that take calls which appear now."""
        return [pause for pause in self.live() if pause.armed_until_mono >= now_mono]

    def call_closed(self, call: Call, calls: dict[str, Call], at_ns: int, mono_ns: int) -> None:
        """End the pauses whose last call this was, and that wait for no other."""
        for pause in self.of(call):
            if pause.is_live and pause.armed_until_mono < mono_ns and not self._is_on_any(pause, calls):
                self.end(pause, max(at_ns, pause.from_at), max(mono_ns, pause.from_mono), "call ended")

    def take_changes(self) -> list[tuple[Pause, bool]]:
        """Return what changed since the last time, oldest first, each pause as it was then, and whether it was told."""
        changes = []
        while self._changes:
            changes.append(self._changes.popleft())
        return changes

    def forget(self, before_mono: int) -> None:
        """Drop pauses that ended before a time: every packet they could touch is written."""
        with self.lock:
            gone = {i for i, pause in self._pauses.items() if not pause.is_live and pause.to_mono < before_mono}
            if not gone:
                return
            self._pauses = {i: pause for i, pause in self._pauses.items() if i not in gone}
            self._by_call, self._by_call_id = (_without(index, gone) for index in (self._by_call, self._by_call_id))

    def _set(self, pause: Pause, told: bool) -> None:
        if self._pauses.get(pause.id) == pause:
            return
        self._pauses[pause.id] = pause
        for index, names in ((self._by_call, pause.calls), (self._by_call_id, pause.call_ids)):
            for name in names:
                known = index.get(name, ())
                if pause.id not in known:
                    index[name] = (*known, pause.id)
        self._changes.append((pause, told))


def _without(index: dict[str, tuple[str, ...]], gone: set[str]) -> dict[str, tuple[str, ...]]:
    left = {name: tuple(i for i in ids if i not in gone) for name, ids in index.items()}
    return {name: ids for name, ids in left.items() if ids}
