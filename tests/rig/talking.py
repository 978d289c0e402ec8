"""A worker in this process whose calls go on talking: what it hears live goes to a desk, as a real one's does."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from builders import Scenario
from building.playing import blocks_of
from rig.desk import registrar_of, worker_of
from rig.now import status

from vittne.appliance.api.live import add_now
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.pauses import DESK
from vittne.appliance.api.reader import READER
from vittne.appliance.control.server import Operator
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.state import Sources, StateReader
from vittne.appliance.live.desk import LiveDesk
from vittne.appliance.live.settings import LiveListenSettings
from vittne.appliance.live.tapping import Tapping
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausedesk import PauseDesk
from vittne.appliance.protocol import NoteLive
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us
from vittne.capture.columns import SECOND, Block
from vittne.capture.pipeline import Pipeline, Settings

BEGUN_S = 2.0  # so much of the calls is over when a test begins


@dataclass
class Talking:
    """A worker, and everything that stands between it and who listens."""

    data: Path
    scenario: Scenario
    registrar: Registrar
    pipeline: Pipeline
    hub: Hub
    desk: PauseDesk
    live: LiveDesk
    tapping: Tapping
    blocks: list[Block] = field(default_factory=list)

    def fill(self, app: web.Application) -> None:
        """Put it into an application."""
        app[DESK] = self.desk
        app[OPERATOR] = Operator(self.registrar, OPERATIONS)
        add_now(app, self.hub, StateReader(Sources(self.hub, self.data, "test", 5.0), app[READER]), self.live)

    def fill_console(self, app: web.Application) -> None:
        """Likewise, where the test has an operator."""
        operator = app[OPERATOR]
        self.fill(app)
        app[OPERATOR] = operator

    @property
    def recordings(self) -> list[str]:
        return list(self.pipeline.book.calls)

    def tell(self, **more: object) -> None:
        """Have the worker tell of its calls."""
        at = now_us() // 1_000_000
        reports = [{**self.pipeline.report_of(call), "outcome": ""} for call in self.pipeline.book.calls.values()]
        reports = [{**one, "folder": f"recordings/2026/01/01/.{one['id']}-{at}", **more} for one in reports]
        self.registrar.note_live(reports)
        self.hub.note(NoteLive(reports))

    def hear(self) -> None:
        """Hear what has come by now."""
        asked, has_read = time.monotonic_ns(), False
        while self.blocks and int(self.blocks[0].mono_ns[-1]) <= asked:
            self.pipeline.feed(self.blocks.pop(0))
            has_read = True
        self.tapping.turn(asked, has_read)

    async def _talk(self) -> None:
        committed = 0
        while True:
            self.hear()
            if time.monotonic_ns() - committed > SECOND:
                committed = time.monotonic_ns()
                self.pipeline.commit(committed - 2 * SECOND)
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Have the calls go on for a while."""
        self.hub.open()
        self.live.attach(self.tapping.order)
        task = asyncio.create_task(self._talk())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self.live.close()
            self.live.detach()


@contextmanager
def talking_of(
    data: Path, scenario: Scenario, live: LiveListenSettings | None = None, settings: Settings | None = None
) -> Iterator[Talking]:
    """A worker that has heard the first seconds of a scenario, the last of them just now."""
    blocks = blocks_of(scenario.frames(), SECOND // 10)
    begun = int(BEGUN_S * SECOND)
    shift_at = time.time_ns() - begun - int(blocks[0].at_ns[0])
    shift_mono = time.monotonic_ns() - begun - int(blocks[0].mono_ns[0])
    for block in blocks:
        block.at_ns, block.mono_ns = block.at_ns + shift_at, block.mono_ns + shift_mono
    pipeline, hub = Pipeline(settings), Hub(["lo"])
    with registrar_of(data) as registrar:
        desk = PauseDesk(registrar, PauseConfig())
        desk.attach(worker_of(desk, pipeline))
        desk.changed = hub.note_pause
        listening = LiveDesk(live or LiveListenSettings(), hub.note_levels)
        theirs = listening.pair()
        tapping = Tapping(pipeline, theirs.detach())
        one = Talking(data, scenario, registrar, pipeline, hub, desk, listening, tapping, blocks)
        one.hear()
        one.tell()
        hub.note(status())
        try:
            yield one
        finally:
            desk.books.close()
            tapping.close()
