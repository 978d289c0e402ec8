"""The parent of the capture worker: opens the rings, keeps what must outlive a worker, registers what it made.

It alone writes catalogue, ledger and keys (DESIGN 3). When the worker dies, the rings go on collecting and
the next worker goes on where the last one had committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, fields
from typing import Final

import structlog

from vittne.appliance.announcements.active import AnnouncementWatch, active
from vittne.appliance.announcements.handle import ReferenceHandle
from vittne.appliance.announcements.openers import Undecided, undecided
from vittne.appliance.events.hub import Hub
from vittne.appliance.live.desk import LiveDesk
from vittne.appliance.live.settings import LiveListenSettings
from vittne.appliance.livesettings import LiveSettings
from vittne.appliance.log import fault
from vittne.appliance.loopdelay import LoopDelay
from vittne.appliance.pausedesk import PauseDesk
from vittne.appliance.protocol import (
    HEAD_BYTES,
    CloseCalls,
    Done,
    NoteLive,
    NotePauses,
    NoteRefused,
    OpenParts,
    Reading,
    Request,
    Start,
    Status,
    body_length,
    pack,
    parse_request,
)
from vittne.appliance.recordconfig import KeepingConfig
from vittne.appliance.registrar import Registrar
from vittne.appliance.ruleconfig import RuleConfig
from vittne.appliance.seal import events
from vittne.appliance.seal.capsule import KeyTaken
from vittne.appliance.service.service import Service
from vittne.appliance.snapshot import Snapshots, make_memory
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.capture.ringopen import RingHandle

log = structlog.get_logger()

# A packet that breaks the worker breaks the next one before its first commit as well.
_SKIP_AFTER: Final = 5  # workers that died without a commit: what is in the rings is left out
_FORGET_AFTER: Final = 8  # and when that did not help, the snapshot too
_PAUSE_S: Final = (0.0, 0.2, 1.0, 5.0)
_STOP_S: Final = 60.0
_LOOK_AGAIN_S: Final = 30.0  # at what could not be read
_SILENT_S: Final = 60.0  # a commit, every two seconds, says something


class Supervisor:
    """Runs workers on open rings until told to stop."""

    def __init__(
        self,
        registrar: Registrar,
        rings: Sequence[RingHandle],
        settings: LiveSettings,
        desk: PauseDesk,
        hub: Hub | None = None,
        service: Service | None = None,
        live: LiveDesk | None = None,
    ) -> None:
        self._hub = hub or Hub()
        self._service = service or Service()
        self._live = live or LiveDesk(LiveListenSettings(enabled=False))
        self._registrar = registrar
        self._desk = desk
        self._rings = list(rings)
        self._settings = settings
        self._references: list[ReferenceHandle] | None = None  # announcements that count now
        self._unheard: frozenset[str] = frozenset()  # of them, those that the worker does not listen for
        self._memory = self._service.memory or make_memory()
        self._before = self._service.settings  # of workers of an earlier run, if they are not ours
        self._stop = asyncio.Event()
        self._hands_over = False
        self._deaths = 0  # since the last commit
        self._reads = False  # the worker that runs came as far as its rings
        self._leave: list[str] = []  # hidden folders of calls that were forgotten with a snapshot
        self.status: Status | None = None
        self.workers = 0
        self.loop_delay = LoopDelay()
        self.ring_most_full = 0.0  # 0 to 1

    def stop(self) -> None:
        """Ask for the end: what was heard is written, every call closed."""
        self._service.stopping()
        self._stop.set()

    def hand_over(self) -> None:
        """Ask for the end of this program only: what is kept for the next one goes on. Without a keeper, stop()."""
        self._hands_over = self._service.is_kept
        self.stop()

    async def run(self, beside: Callable[[], Awaitable[None]] | None = None) -> None:
        """Record until stop() or a signal. beside: something to do meanwhile, started when a worker runs."""
        loop = asyncio.get_running_loop()
        self._hub.open()
        self._hub.loop_delay_p99_ms = lambda: self.loop_delay.quantile_ms(0.99)
        for living in self._desk.all_live():
            self._hub.note_pause(None, living)
        self._desk.changed = self._hub.note_pause
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGUSR1, self.hand_over)
        self._service.keep(self._registrar.data_dir, self._rings, self._memory, self._settings)
        async with asyncio.TaskGroup() as tasks:
            meanwhile = [tasks.create_task(self.loop_delay.run()), tasks.create_task(self._watch_references())]
            meanwhile.append(tasks.create_task(self._service.feed_watchdog()))
            if beside is not None:
                meanwhile.append(tasks.create_task(_run(beside)))
            while True:
                is_last = self._stop.is_set()  # it only finishes what a worker that died left
                try:
                    code = await self._one_worker()
                except OSError as error:  # no memory for a process just now
                    log.error("no worker could be started", reason=str(error))
                    code = -1
                if self._hands_over:
                    break
                if self._before is not None and not code:  # it closed what was begun with other settings
                    self._before = self._service.settings = None
                    self._service.keep(self._registrar.data_dir, self._rings, self._memory, self._settings)
                    if not self._stop.is_set():
                        continue
                if self._stop.is_set() and (is_last or not code):
                    if code:
                        log.error("the worker did not end well", code=code)
                    break
                await self._died(code)
                pause = _PAUSE_S[min(self._deaths, len(_PAUSE_S)) - 1] if self._deaths else _PAUSE_S[1]
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause or 0.001)
            for task in meanwhile:
                task.cancel()

    async def _counting(self) -> list[ReferenceHandle]:
        """Return the announcements that count now: the first worker is not to wait for who watches them."""
        if self._references is None:
            registrar = self._registrar
            try:
                self._references = await self._desk.books.do(active, registrar.catalogue, now_us())
            except StoreError as error:
                log.error("alarm: the announcements cannot be read", reason=str(error))  # none is listened for
        return self._references or []

    async def _watch_references(self) -> None:
        """Tell the worker of announcements that were added, taken away, or began or ceased to count."""
        watch = AnnouncementWatch(
            self._registrar,
            self._note_references,
            self._desk.books.do,
            gates=self._undecided,
            unheard=lambda: self._unheard,
        )
        while True:
            try:
                await watch.run()
            except StoreError as error:  # those known so far go on
                log.error("alarm: the announcements cannot be read", reason=str(error))
                await asyncio.sleep(_LOOK_AGAIN_S)

    def _undecided(self, usable: Sequence[ReferenceHandle]) -> list[Undecided]:
        """Return the gates that nothing decides when these announcements are left."""
        settings = self._settings
        keeping, rules = KeepingConfig.model_validate(settings.keeping), settings.rules
        return undecided(keeping, [RuleConfig.model_validate(one) for one in rules], settings.listen_ns > 0, usable)

    def _note_references(self, references: list[ReferenceHandle], is_back: bool) -> None:
        if references != self._references or is_back:
            self._references = references
            self._desk.tell_references(references)

    async def _died(self, code: int) -> None:
        # Somebody who kills a worker before it has read anything tells nothing of what is in the rings.
        self._deaths += self._reads or code != -signal.SIGKILL
        log.error("the worker died; the next one goes on", code=code, times=self._deaths)
        log.error("alarm: the capture worker died and was started anew", times=self._deaths)
        if self._deaths == _FORGET_AFTER:
            Snapshots(self._memory).clear()
            store = self._registrar.store
            self._leave = [str(folder.relative_to(store.recordings_dir)) for folder in store.unfinished()]
            log.error("the snapshot was given up; calls that were up are finished at the next start")
        run = self._registrar.run
        assert run is not None
        live = self.status.live_calls if self.status is not None else 0
        entry = {"t": events.CRASH, "run": run.id, "cut": 0, "recordings": live}
        await self._desk.books.do(self._registrar.ledger.record, entry)

    async def _one_worker(self) -> int:
        ours, theirs = socket.socketpair()
        live = self._live.pair()
        fds = [theirs.fileno(), live.fileno(), *self._memory, *(ring.fd for ring in self._rings)]
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "vittne.appliance.worker",
                str(theirs.fileno()),
                pass_fds=fds,
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # a Ctrl-C at the terminal is for us; the worker is told to finish
            )
        except OSError:
            ours.close()
            self._live.detach()
            raise
        finally:
            theirs.close()
            live_fd = live.fileno()
            live.close()
        self.workers += 1
        self._reads = False
        self._hub.workers = self.workers
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        start = Start(
            data_dir=str(self._registrar.data_dir),
            rings=[asdict(ring) for ring in self._rings],
            snapshot_fds=list(self._memory),
            leave=self._leave,
            skip=self._deaths >= _SKIP_AFTER,
            pauses=self._desk.for_start(),
            references=await self._counting(),
            live_fd=live_fd,
            **{f.name: getattr(self._before or self._settings, f.name) for f in fields(LiveSettings)},
        )
        writer.write(pack(start))
        self._desk.attach(lambda command: writer.write(pack(command)), lambda: _end(process))
        self._live.attach(lambda command: writer.write(pack(command)))
        serving = asyncio.create_task(self._serve(reader, writer))
        stopping = asyncio.create_task(self._stop.wait())
        ending = asyncio.create_task(process.wait())
        try:
            if self._before is None:
                await asyncio.wait((stopping, ending, serving), return_when=asyncio.FIRST_COMPLETED)
            if serving.done() and not ending.done():  # it hung up, or said what nobody can follow: it waits for ever
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(ending), 5)
            elif self._hands_over:  # between two commits or in one: the next worker finds every packet
                process.kill()
            elif not ending.done():
                writer.write(pack_stop())
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(ending), _STOP_S)
            if not ending.done():
                process.kill()
            code = await ending
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(serving), 5)
        finally:
            self._desk.detach()
            self._live.detach()
            for task in (serving, stopping):
                task.cancel()
            await asyncio.gather(serving, stopping, return_exceptions=True)
            writer.close()
        return code

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answering: asyncio.Task[None] | None = None
        async with asyncio.TaskGroup() as tasks:
            while (request := await _heard(reader)) is not None:
                if isinstance(request, Reading):
                    self._reads = True
                    continue
                if isinstance(request, Done):  # heard also while something is written for the worker
                    self._desk.done(request)
                    continue
                if answering is not None:
                    await answering  # it asks for one thing at a time
                answering = tasks.create_task(self._answer(request, writer))

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        answer: dict[str, object] = {"error": ""}
        try:
            if isinstance(request, NotePauses):
                await self._desk.note(request.pauses)
            elif isinstance(request, NoteRefused):
                await self._desk.note_refused(request.refused)
            else:
                if isinstance(request, Status):  # also when it cannot be entered: it may say that the disk is full
                    self._hub.note(request)
                await self._desk.books.do(self._do, request)
                if not isinstance(request, Status):
                    self._hub.note(request)
        except KeyTaken as error:
            answer = {"error": str(error), "taken": True}
        except StoreError as error:
            answer["error"] = str(error)
            log.error("the worker's request failed", reason=str(error))
        except Exception as error:  # a fault of ours: the worker waits for an answer, and must get one
            answer["error"] = f"a fault in the registrar ({type(error).__name__})"
            log.error("the worker's request failed", reason=fault(error))
        text = json.dumps(answer).encode()
        writer.write(len(text).to_bytes(4, "little") + text)

    def _do(self, request: Request) -> None:
        match request:
            case OpenParts():
                self._registrar.open_parts(request.parts)
            case NoteLive():
                self._registrar.note_live(request.reports)
            case CloseCalls():
                self._registrar.close_calls(request.calls)
            case Status():
                self._note(request)

    def _note(self, status: Status) -> None:
        self._deaths = 0
        self.status = status
        self._service.note(status.live_calls, status.frames)
        self.ring_most_full = max(self.ring_most_full, status.occupancy)
        for message in status.messages:
            log.warning(message)
        if self._unheard != (unheard := frozenset(status.unheard)):
            self._unheard = unheard
            self._registrar.announcements_changed()
        self._registrar.update_run(status.frames, status.drops, status.outcomes)
        if status.unsignalled:
            self._registrar.note_unsignalled(status.unsignalled)

    def close(self) -> None:
        """End the run in catalogue and ledger, give the rings back."""
        self._desk.books.close()
        log.info(
            "how it went",
            workers=self.workers,
            ring_most_full=round(self.ring_most_full, 3),
            loop_delay_p99_ms=self.loop_delay.quantile_ms(0.99),
            loop_delay_max_ms=self.loop_delay.quantile_ms(1.0),
            gate_most_bytes=self.status.gate_most_bytes if self.status is not None else 0,
            voices_listened=self.status.listened if self.status is not None else 0,
            not_listened=self.status.not_listened if self.status is not None else 0,
            analysis_restarts=self.status.analysis_restarts if self.status is not None else 0,
            live_dropped=self.status.live_dropped if self.status is not None else 0,
        )
        try:
            if self.status is not None:
                self._registrar.update_run(self.status.frames, self.status.drops, self.status.outcomes, now_us())
            self._registrar.end_run()
        except StoreError as error:  # a full disk: the next start finishes what could not be entered
            log.error("the run could not be ended in the books", reason=str(error))
        if not self._hands_over:
            self._service.forget(len(self._rings))
        for ring in self._rings:
            ring.close()
        for fd in self._memory:
            os.close(fd)


def pack_stop() -> bytes:
    """Return the only thing the parent says unasked."""
    text = b'{"kind":"stop"}'
    return len(text).to_bytes(4, "little") + text


async def _heard(reader: asyncio.StreamReader) -> Request | None:
    """Return what a worker says next; None when it can be followed no longer."""
    try:
        head = await asyncio.wait_for(reader.readexactly(HEAD_BYTES), _SILENT_S)
        body = await reader.readexactly(body_length(head))
    except TimeoutError:
        log.error("the worker has said nothing for long; it is ended, and the next one goes on", s=_SILENT_S)
        return None
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except ValueError as error:
        log.error("the worker is not understood any more", reason=str(error))
        return None
    try:
        return parse_request(body)
    except ValueError as error:  # an answer to it could be taken for another's
        log.error("the worker is not understood any more", reason=type(error).__name__)
        return None


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _run(beside: Callable[[], Awaitable[None]]) -> None:
    try:
        await beside()
    except Exception as error:  # whatever it is, recording goes on
        log.error("what runs beside recording failed", reason=fault(error))
