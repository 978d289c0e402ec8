"""Where pauses are asked for, whoever asks: API, PBX links, command line. One way to the worker for all.

A pause is answered when the worker has shut the gate and the pause is kept on disk, in this order; so a
crash of either side leaves it shut. What the worker does not confirm in time is no success. The desk knows
every pause that lives, and tells each new worker before it looks at a packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.protocol import Command, Done, What
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.capture import gating, pausing
from vittne.capture.columns import SECOND
from vittne.capture.gates import Decision
from vittne.capture.media import FOREVER
from vittne.capture.pause import Pause
from vittne.capture.pausing import Answer, PauseOrder

log = structlog.get_logger()

_CONFIRM_S: Final = 5.0  # a worker that died has a successor by then
_TOLD_AGAIN_NS: Final = 600 * SECOND  # pauses that ended, and gates decided, so lately are told to a new worker
_DECISIONS_KEPT: Final = 10_000

Sender = Callable[[Command], None]


class Unconfirmed(Exception):
    """The worker did not say in time that it did what was asked: treat it as not done."""


class PauseDesk:
    """Pauses as the parent knows them. Used from one asyncio loop."""

    def __init__(self, registrar: Registrar, config: PauseConfig) -> None:
        self.config = config
        self._registrar = registrar
        self._known: dict[str, Pause] = {p.id: p for p in map(_as_of_now, registrar.catalogue.live_pauses())}
        self.channels: Callable[[str], tuple[str, ...]] = lambda _: ()  # a PBX's channel -> SIP Call-IDs
        self._unkept: dict[str, Pause] = {}  # that could not be written yet
        self._send: Sender | None = None
        self._up = asyncio.Event()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Done]] = {}
        self._decided: deque[Command] = deque(maxlen=_DECISIONS_KEPT)

    # The worker's side

    def attach(self, send: Sender) -> None:
        """A worker listens: send gives it a command."""
        self._send = send
        since = time.monotonic_ns() - _TOLD_AGAIN_NS
        for command in self._decided:  # the last snapshot may not know them
            if command.asked_mono > since:
                send(replace(command, number=next(self._numbers)))
        self._up.set()

    def detach(self) -> None:
        """The worker is gone; what waits for it is asked of the next one."""
        self._send = None
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

    def for_start(self) -> list[Pause]:
        """Return what a new worker has to know before it looks at a packet."""
        since = time.monotonic_ns() - _TOLD_AGAIN_NS
        self._known = {i: p for i, p in self._known.items() if p.is_live or p.to_mono > since}
        return list(self._known.values())

    def note(self, pauses: Sequence[Pause]) -> None:
        """Keep pauses that changed, say of what needs somebody's eye. Raises StoreError."""
        for pause in pauses:  # known first: the next worker is told of it even if it cannot be written
            before = self._known.get(pause.id)
            self._known[pause.id] = pause
            self._unkept[pause.id] = pause
            _alarm(before, pause)
        self._registrar.note_pauses(list(self._unkept.values()))
        self._unkept.clear()

    # Those who ask

    async def pause(self, order: PauseOrder) -> Answer:
        """Do an order. Raises Unconfirmed, StoreError: then nothing may be taken for paused."""
        if not order.several and self.config.pauses_all:
            order = replace(order, several=True)
        select, also = self._by_call_id(order.select)
        order = replace(order, select=select, also=(*order.also, *also), several=order.several or bool(also))
        (answer,) = await self._ask("pause", order=order, at=(order.asked_at, order.asked_mono))
        if answer.pause is not None and answer.state in (pausing.PAUSED, pausing.ARMED, pausing.ALREADY):
            self.note([answer.pause])
        else:
            self._registrar.ledger.record({"t": events.PAUSE_REFUSED, "by": order.actor, "reason": answer.state})
            self._registrar.ledger.flush()
            log.warning("a pause was asked for and nothing was paused", by=order.actor, why=answer.state)
        return answer

    async def resume(self, by: str, pause_id: str = "", select: dict[str, str] | None = None) -> list[Answer]:
        """End a pause, or every one on the calls that are selected. Raises Unconfirmed, StoreError."""
        chosen, _ = self._by_call_id(select or {})
        return self._kept(await self._ask("resume", pause_id=pause_id, select=chosen, by=by))

    async def extend(self, pause_id: str, lease_ns: int) -> list[Answer]:
        """Give a pause a lease that ends so much from now. Raises Unconfirmed, StoreError."""
        return self._kept(await self._ask("extend", pause_id=pause_id, lease_ns=lease_ns))

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
        (answer,) = await self._ask("find", select=self._by_call_id(select)[0])
        return answer.calls

    async def gate(self, recording: str, decision: Decision, by: str, at: tuple[int, int]) -> Answer:
        """Decide a call's gate. at: when it was decided, UTC and monotonic ns. Raises Unconfirmed, StoreError."""
        (answer,) = await self._ask("gate", at=at, select={"recording": recording}, decision=decision, by=by)
        if answer.state == gating.DECIDED:
            (call,) = answer.calls
            for call_id in call["sip_call_ids"][:1]:  # a worker that begins anew gives the call another id
                self._decided.append(Command(0, "gate", *at, select={"sip_call_id": call_id}, decision=decision, by=by))
            self._registrar.note_gate(recording, decision, by, at[0], erased=call["erased"])
        return answer

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

    def listed(self, live: bool, limit: int) -> list[Pause]:
        """Return pauses from the books, the newest so many, oldest first."""
        return [Pause.from_json(body) for body in self._registrar.catalogue.list_pauses(live, limit)]

    def _kept(self, answers: list[Answer]) -> list[Answer]:
        self.note([answer.pause for answer in answers if answer.pause is not None])
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


def _alarm(before: Pause | None, pause: Pause) -> None:
    """Say of what somebody should look at."""
    about = {"pause": pause.id, "by": pause.actor, "calls": len(pause.calls)}
    if before is None and pause.trigger == "digits":
        log.error("alarm: a number is being keyed in a call that nobody paused; it is paused now", **about)
    if pause.incomplete_at and not (before is not None and before.incomplete_at):
        log.error("alarm: a pause came too late; what was written before it is still there", **about)
    if pause.ended_by == "too many pauses":
        log.error("alarm: too many pauses live; one was refused, and its call is not paused", **about)
    if pause.ended_by == "no call appeared" and not (before is not None and before.ended_by):
        log.error("alarm: a pause waited for a call that did not appear; nothing was paused", **about)
    if pause.overdue and not (before is not None and before.overdue):
        log.error("alarm: a pause outlived its lease; the call stays paused", **about)
    if pause.ended_by.startswith("lease ran out") and not (before is not None and before.ended_by):
        log.error("alarm: a pause ended with its lease; nobody resumed the call", **about)
