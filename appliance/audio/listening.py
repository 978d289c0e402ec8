"""Who is hearing what just now, and what the trail says of it.

Somebody who opens a player is entered as having seen it (`view`), as hearing it before the first sound is handed out
(`play`, with all that was asked for), and afterwards with the seconds that were really fetched (`play.heard`). So
every second heard is told by few rows, and what a crash takes away is told by `play`: too much, never too little.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import structlog

from vittne.appliance.audio.spans import Spans
from vittne.appliance.control.caller import Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.log import fault
from vittne.appliance.looks import HEARD, LOOK, Heard, Look, Purpose
from vittne.appliance.store.errors import StoreError

IDLE_S: Final = 180.0  # so long after the last question a player counts as closed
MOST: Final = 2000
_SWEEP_S: Final = 15.0

log = structlog.get_logger()

PartyName = Literal["both", "caller", "callee"]


@dataclass(frozen=True, slots=True)
class Why:
    """On what ground somebody hears: as their role, a restriction or a quarantine asks."""

    reason: str = ""
    purpose: Purpose = ""
    review: str = ""


@dataclass(slots=True)
class _Entered:
    """A look that is in the trail: what it covers, and what was fetched under it."""

    audit: str
    party: PartyName
    from_ms: int
    to_ms: int | None
    spans: Spans = field(default_factory=Spans)

    def covers(self, party: PartyName, from_ms: int, to_ms: int | None) -> bool:
        """Whether a stretch was entered already."""
        until = self.to_ms is None or (to_ms is not None and to_ms <= self.to_ms)
        return self.party in ("both", party) and self.from_ms <= from_ms and until


@dataclass(slots=True)
class Listening:
    """A player that is open. who: kind and id of the principal; is_seen: the picture was entered."""

    id: str
    who: tuple[str, str]
    caller: Caller
    recording: str
    why: Why
    used_s: float
    is_seen: bool = False
    entered: list[_Entered] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Listenings:
    """All players that are open. run() must go on while it is used."""

    def __init__(self, operator: Operator, now_s: Callable[[], float]) -> None:
        self._operator = operator
        self._now_s = now_s
        self._open: dict[str, Listening] = {}

    def begin(self, who: tuple[str, str], caller: Caller, recording: str, why: Why) -> Listening:
        """Open a player. Nothing is entered yet."""
        one = Listening(secrets.token_urlsafe(16), who, caller, recording, why, self._now_s())
        self._open[one.id] = one
        return one

    def find(self, listening: str, who: tuple[str, str], recording: str) -> Listening | None:
        """Return an open player of somebody; None when there is none, or it is somebody else's."""
        one = self._open.get(listening)
        if one is None or one.who != who or one.recording != recording:
            return None
        one.used_s = self._now_s()
        return one

    def plain(self, who: tuple[str, str], caller: Caller, recording: str) -> Listening:
        """Return somebody's player of a recording that needs no ground, opened now if there is none."""
        for one in self._open.values():
            if (one.who, one.recording, one.why) == (who, recording, Why()):
                one.used_s = self._now_s()
                return one
        return self.begin(who, caller, recording, Why())

    def of(self, who: tuple[str, str]) -> int:
        """Return how many players somebody has open."""
        return sum(one.who == who for one in self._open.values())

    @property
    def is_full(self) -> bool:
        """Whether no more fit."""
        return len(self._open) >= MOST

    async def see(self, one: Listening) -> None:
        """Enter that somebody sees who spoke when, once a player. Raises StoreError."""
        async with one.turn:
            if not one.is_seen:
                why = one.why
                order = Look(
                    kind="view", recording=one.recording, reason=why.reason, purpose=why.purpose, review=why.review
                )
                await self._operator.perform(LOOK, order, one.caller)
                one.is_seen = True

    async def hear(
        self, one: Listening, party: PartyName, from_ms: int, to_ms: int | None, format_: str, export: bool = False
    ) -> Spans:
        """Enter what is about to be handed out; return where to note what was. Raises StoreError."""
        async with one.turn:
            for entered in () if export else one.entered:
                if entered.covers(party, from_ms, to_ms):
                    return entered.spans
            why = one.why
            order = Look(
                kind="export" if export else "play",
                recording=one.recording,
                format=format_,
                party=party,
                from_ms=from_ms,
                to_ms=to_ms,
                reason=why.reason,
                purpose=why.purpose,
                review=why.review,
            )
            answer = await self._operator.perform(LOOK, order, one.caller)
            entered = _Entered(answer["audit"], party, from_ms, to_ms)
            if not export:  # who takes a copy has taken all that was entered
                one.entered.append(entered)
            return entered.spans

    async def end(self, one: Listening) -> None:
        """Close a player: enter what was fetched."""
        self._open.pop(one.id, None)
        async with one.turn:
            entered, one.entered = one.entered, []
        for look in entered:
            spans = tuple((begin, end) for begin, end in look.spans.as_json())
            order = Heard(
                recording=one.recording, look=look.audit, party=look.party, seconds=look.spans.seconds(), spans=spans
            )
            try:
                await self._operator.perform(HEARD, order, one.caller)
            except StoreError as error:  # that it may all have been heard is in the trail already
                log.error("what was heard could not be entered", recording=one.recording, reason=str(error))

    async def run(self) -> None:
        """Close players that nobody uses, until cancelled; then all."""
        try:
            while True:
                await asyncio.sleep(_SWEEP_S)
                await self.end_idle()
        finally:
            for one in list(self._open.values()):
                try:
                    await self.end(one)
                except Exception as error:  # the outermost loop, and the others have to be entered as well
                    log.error("what was heard could not be entered", reason=fault(error))

    async def end_idle(self) -> None:
        """Close players that nobody has used for a while."""
        for one in [one for one in self._open.values() if self._now_s() - one.used_s > IDLE_S]:
            await self.end(one)
