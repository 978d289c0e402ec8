"""Where pauses are asked for, whoever asks: API, PBX links, command line. One way to the worker for all.

A pause is answered when the worker has shut the gate and the pause is kept on disk, in this order; so a
crash of either side leaves it shut. What the worker does not confirm in time is no success. The desk knows
every pause that lives, and tells each new worker before it looks at a packet. Where the profile says so, what was
not confirmed is shut by force: the worker is ended, and its successor has the pause in its first words.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

import structlog

from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.pausebooks import PauseBooks
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausenews import tell
from vittne.appliance.protocol import Command, Done, What
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.decisions import KEPT_US, DecisionTable
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.capture import forcing, gating, pausing
from vittne.capture.columns import SECOND
from vittne.capture.gates import REFUSED, Decision, Refusal
from vittne.capture.media import FOREVER
from vittne.capture.pause import Pause
from vittne.capture.pausing import Answer, PauseOrder

log = structlog.get_logger()

_CONFIRM_S: Final = 5.0  # a worker that died has a successor by then
_TOLD_AGAIN_NS: Final = 600 * SECOND  # pauses that ended, and gates decided, so lately are told to a new worker
_DECISIONS_KEPT: Final = 10_000
_CALL_IDS_KEPT: Final = 8  # of one call
_MOST_KNOWN: Final = 1000  # pauses, before those that are over are forgotten; more where more live

Sender = Callable[[Command], None]


class Unconfirmed(Exception):
    """The worker did not say in time that it did what was asked: treat it as not done.

    pause_id: of the pause that is forced on the next worker, "" when none is.
    """

    def __init__(self, pause_id: str = "") -> None:
        super().__init__(pause_id)
        self.pause_id = pause_id


class NotYours(Exception):
    """Somebody may end only the pauses that they asked for themselves, and this is another's."""


class HoldsTooMany(Exception):
    """Who asks has so many pauses live already that there would be none left for others."""


class PauseDesk:
    """Pauses as the parent knows them. Used from one asyncio loop."""

    def __init__(self, registrar: Registrar, config: PauseConfig) -> None:
        self.config = config
        self.books = PauseBooks(registrar)
        self.channels: Callable[[str], tuple[str, ...]] = lambda _: ()  # a PBX's channel -> SIP Call-IDs
        self.changed: Callable[[Pause | None, Pause], None] = lambda before, pause: None  # who wants to know
        self._registrar = registrar
        self._known: dict[str, Pause] = {}
        self._held: defaultdict[str, set[str]] = defaultdict(set)  # by who asked, the pauses that live
        self._crowded = _MOST_KNOWN
        self._learn(map(_as_of_now, registrar.catalogue.live_pauses()), is_news=False)
        self._send: Sender | None = None
        self._end: Callable[[], None] = lambda: None
        self._attached_s = 0.0
        self._up = asyncio.Event()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Done]] = {}
        self._decided: deque[Command] = deque(maxlen=_DECISIONS_KEPT)
        self._inherited = _decided_before(registrar)

    # The worker's side

    def attach(self, send: Sender, end: Callable[[], None] = lambda: None) -> None:
        """A worker listens: send gives it a command, end makes it write nothing any more."""
        self._send, self._end = send, end
        self._attached_s = time.monotonic()
        since = time.monotonic_ns() - _TOLD_AGAIN_NS
        lately = (command for command in self._decided if command.asked_mono > since)
        for command in (*self._inherited, *lately):  # the last snapshot may not know them
            send(replace(command, number=next(self._numbers)))
        self._up.set()

    def detach(self) -> None:
        """The worker is gone; what waits for it is asked of the next one."""
        self._send, self._end = None, lambda: None
        self._up.clear()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError())
        self._waiting.clear()

    def done(self, done: Done) -> None:
        """Take a worker's answer."""
        waiting = self._waiting.pop(done.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(done)
            return
        for pause in (answer.pause for answer in done.answers):
            if pause is not None and (known := self._known.get(pause.id)) and known.unconfirmed:
                self._learn([pause])  # too late for who asked, and good to know
                self.books.add([pause])

    def for_start(self) -> list[Pause]:
        """Return what a new worker has to know before it looks at a packet."""
        self._forget_ended()
        return list(self._known.values())

    def _forget_ended(self) -> None:
        """Forget pauses that ended so long ago that no packet of theirs waits; the books have them."""
        since = time.monotonic_ns() - _TOLD_AGAIN_NS
        self._known = {i: p for i, p in self._known.items() if p.is_live or p.to_mono > since}
        for holder in [name for name, held in self._held.items() if not held]:
            del self._held[holder]
        self._crowded = max(_MOST_KNOWN, 2 * len(self._known))

    async def note(self, pauses: Sequence[Pause]) -> None:
        """Keep pauses that changed, say of what needs somebody's eye. Raises StoreError."""
        self._learn(pauses)  # first: the next worker is told of them even if they cannot be written
        await self.books.keep(pauses)

    def _learn(self, pauses: Iterable[Pause], is_news: bool = True) -> None:
        for pause in pauses:
            before = self._known.get(pause.id)
            self._known[pause.id] = pause
            held = self._held[pause.actor]
            held.add(pause.id) if pause.is_live else held.discard(pause.id)
            if is_news:
                tell(before, pause)
                self.changed(before, pause)
        if len(self._known) > self._crowded:
            self._forget_ended()

    # Those who ask

    async def pause(self, order: PauseOrder) -> Answer:
        """Do an order. Raises Unconfirmed, StoreError: then nothing may be taken for paused."""
        if not order.several and self.config.pauses_all:
            order = replace(order, several=True)
        select, also = self._by_call_id(order.select)
        order = replace(order, select=select, also=(*order.also, *also), several=order.several or bool(also))
        if order.trigger == pausing.API and len(self._held[order.actor]) >= self.config.most_live_per_actor:
            await self._refused(order, "too many of one actor")
            raise HoldsTooMany
        try:
            (answer,) = await self._ask("pause", order=order, at=(order.asked_at, order.asked_mono))
        except Unconfirmed:
            if not self.config.shuts_unconfirmed:
                raise
            await self._force(order)
            raise Unconfirmed(order.id) from None
        if answer.pause is not None and answer.state in (pausing.PAUSED, pausing.ARMED, pausing.ALREADY):
            await self.note([answer.pause])
        else:
            await self._refused(order, answer.state)
        return answer

    async def _refused(self, order: PauseOrder, why: str) -> None:
        log.warning("a pause was asked for and nothing was paused", by=order.actor, why=why)
        await self.books.keep([], [{"t": events.PAUSE_REFUSED, "by": order.actor, "reason": why}])

    async def _force(self, order: PauseOrder) -> None:
        """End the worker, which may be writing what must not be written; the next one begins with the pause."""
        pause = forcing.unconfirmed(order, self.config.guard_ns)
        self._learn([pause])
        log.error("alarm: a pause was not confirmed; what it is about is not recorded", pause=pause.id, by=order.actor)
        if time.monotonic() - self._attached_s >= _CONFIRM_S:  # one that came since has the order before it
            self._end()
        try:
            await self.books.keep([pause])
        except StoreError as error:
            log.error("alarm: a pause that was not confirmed could not be written down", reason=str(error))

    async def resume(
        self, by: str, pause_id: str = "", select: dict[str, str] | None = None, may_any: bool = False
    ) -> list[Answer]:
        """End a pause, or every one on the calls that are selected.

        may_any: also those that others asked for, whatever is configured. Raises NotYours, Unconfirmed, StoreError.
        """
        only = "" if may_any or not self.config.resumes_own else by
        known = self._known.get(pause_id)
        if known is None and pause_id and (body := self._registrar.catalogue.get_pause(pause_id)) is not None:
            known = Pause.from_json(body)
        if known is not None and known.actor != by and (only or known.trigger == pausing.CHANNEL_DOWN):
            raise NotYours
        chosen, _ = self._by_call_id(select or {})
        return await self._kept(await self._ask("resume", pause_id=pause_id, select=chosen, by=by, only=only))

    async def extend(self, pause_id: str, lease_ns: int) -> list[Answer]:
        """Give a pause a lease that ends so much from now. Raises Unconfirmed, StoreError."""
        return await self._kept(await self._ask("extend", pause_id=pause_id, lease_ns=lease_ns))

    async def status(self, pause_id: str) -> Answer:
        """Return how a pause stands now, from the books when the worker forgot it. Raises Unconfirmed."""
        (answer,) = await self._ask("status", pause_id=pause_id)
        if answer.state == pausing.UNKNOWN:
            body = self._registrar.catalogue.get_pause(pause_id)
            if body is not None:
                known = Pause.from_json(body)
                return Answer(pausing.PAUSED if known.is_live else pausing.ENDED, known)
        return answer

    async def find(self, select: dict[str, str]) -> list[dict[str, Any]]:
        """Return the calls that a selection means now. Raises Unconfirmed."""
        return (await self.matching(select)).calls

    async def matching(self, select: dict[str, str]) -> Answer:
        """Return the same, with how many more there are. Raises Unconfirmed."""
        (answer,) = await self._ask("find", select=self._by_call_id(select)[0])
        return answer

    async def gate(self, recording: str, decision: Decision, by: str, at: tuple[int, int]) -> Answer:
        """Decide a call's gate. at: when it was decided, UTC and monotonic ns. Raises Unconfirmed, StoreError."""
        (answer,) = await self._ask("gate", at=at, select={"recording": recording}, decision=decision, by=by)
        if answer.state == gating.DECIDED:
            (call,) = answer.calls
            for call_id in call["sip_call_ids"][:1]:  # a worker that begins anew gives the call another id
                self._decided.append(Command(0, "gate", *at, select={"sip_call_id": call_id}, decision=decision, by=by))
            told = {"erased": call["erased"], "call_ids": call["sip_call_ids"][:_CALL_IDS_KEPT]}
            await self.books.do(self._registrar.note_gate, recording, decision, by, at[0], **told)
        return answer

    async def note_refused(self, refused: Sequence[Refusal]) -> None:
        """Keep that calls were refused by a key or a rule; the next worker is told of it. Raises StoreError."""
        for one in refused:
            for call_id in one.call_ids[:1]:
                told = Command(0, "gate", one.at_ns, one.mono_ns, select={"sip_call_id": call_id})
                told = replace(told, decision=REFUSED, by=one.by, trigger=one.trigger)
                if told not in self._decided:
                    self._decided.append(told)
        await self.books.do(self._registrar.note_refused, refused)

    def tell_references(self, references: list[ReferenceHandle]) -> None:
        """Have the worker listen for these announcements from now on; the next one is told when it starts."""
        if self._send is not None:
            number = next(self._numbers)
            self._send(Command(number, "references", time.time_ns(), time.monotonic_ns(), references=references))

    def _by_call_id(self, select: dict[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return a selection with a PBX's channel as its SIP Call-ID, and the call's further ones."""
        channel = select.get("channel")
        if channel is None:
            return select, ()
        first, *rest = self.channels(channel) or [""]
        if not first:
            return select, ()  # no call has such a selector: nothing matches
        return {**{n: v for n, v in select.items() if n != "channel"}, "sip_call_id": first}, tuple(rest)

    def live(self, trigger: str, actor: str, external_id: str) -> list[Pause]:
        """Return the pauses that somebody asked for under a name of their own, and that live."""
        wanted = trigger, actor, external_id
        return [p for p in self._known.values() if p.is_live and (p.trigger, p.actor, p.external_id) == wanted]

    def live_by(self, trigger: str) -> list[Pause]:
        """Return the pauses that live and came of one kind of trigger."""
        return [pause for pause in self._known.values() if pause.is_live and pause.trigger == trigger]

    def all_live(self) -> list[Pause]:
        """Return the pauses that live."""
        return [pause for pause in self._known.values() if pause.is_live]

    def listed(self, live: bool, limit: int) -> list[Pause]:
        """Return pauses from the books, the newest so many, oldest first."""
        return [Pause.from_json(body) for body in self._registrar.catalogue.list_pauses(live, limit)]

    async def _kept(self, answers: list[Answer]) -> list[Answer]:
        await self.note([answer.pause for answer in answers if answer.pause is not None])
        return answers

    async def _ask(
        self,
        what: What,
        at: tuple[int, int] | None = None,
        **more: Any,
    ) -> list[Answer]:
        asked_at, asked_mono = at or (time.time_ns(), time.monotonic_ns())
        command = Command(0, what, asked_at, asked_mono, **more)
        try:
            async with asyncio.timeout(_CONFIRM_S):
                while True:
                    with contextlib.suppress(ConnectionError):
                        done = await self._asked(command)
                        break
        except TimeoutError:
            log.error("alarm: the worker did not confirm what was asked", what=what)
            raise Unconfirmed from None
        if done.fault:
            log.error("alarm: the worker could not do what was asked", what=what, fault=done.fault)
            raise Unconfirmed
        return done.answers

    async def _asked(self, command: Command) -> Done:
        await self._up.wait()
        assert self._send is not None
        number = next(self._numbers)
        waiting: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            self._send(replace(command, number=number))
            return await waiting
        finally:
            self._waiting.pop(number, None)


def _as_of_now(body: dict[str, Any]) -> Pause:
    """Return a pause of an earlier run: the monotonic clock may have begun anew since."""
    pause = Pause.from_json(body)
    offset = time.time_ns() - time.monotonic_ns()
    return replace(
        pause,
        from_mono=pause.from_at - offset,
        lease_mono=pause.lease_at - offset,
        to_mono=pause.to_at - offset if pause.ended_by else FOREVER,
        armed_until_mono=pause.armed_until_at - offset if pause.armed_until_at else pause.armed_until_mono,
    )


def _decided_before(registrar: Registrar) -> tuple[Command, ...]:
    """Return what was decided on gates before this run: the worker's snapshots went with the run before."""
    offset = time.time_ns() - time.monotonic_ns()
    rows = DecisionTable(registrar.catalogue).since(now_us() - KEPT_US)
    return tuple(
        Command(
            0,
            "gate",
            row.at_us * 1000,
            row.at_us * 1000 - offset,
            select={"sip_call_id": row.call_id},
            decision=cast("Decision", row.decision),
            by=row.by,
            trigger=row.trigger,
        )
        for row in rows
    )
