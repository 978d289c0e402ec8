"""What happens now, with calls of a pipeline in this process: a hub, a pause desk, and users who look."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from rig.desk import desk_of

from vittne.appliance.api.live import add_now
from vittne.appliance.api.pauses import DESK
from vittne.appliance.api.reader import READER
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.state import Sources, StateReader
from vittne.appliance.pausedesk import PauseDesk
from vittne.appliance.protocol import NoteLive, Status
from vittne.capture.pipeline import Pipeline


def status(**more: object) -> Status:
    """What a worker says that lost nothing."""
    told: dict[str, object] = {"frames": 1000, "packets": 900, "drops": {}, "outcomes": {}, "live_calls": 2}
    return Status(**{**told, "occupancy": 0.1, "position": [[0, 0]], **more})  # type: ignore[arg-type]


@dataclass
class Now:
    """A hub that a worker has told of its calls."""

    hub: Hub
    desk: PauseDesk
    data: Path

    def fill(self, app: web.Application) -> None:
        """Put it into an application."""
        app[DESK] = self.desk
        add_now(app, self.hub, StateReader(Sources(self.hub, self.data, "test", 5.0), app[READER]))

    def tell(self, pipeline: Pipeline) -> None:
        """Have the worker tell of its calls."""
        reports = [{**pipeline.report_of(call), "outcome": ""} for call in pipeline.book.calls.values()]
        self.hub.note(NoteLive(reports))


@contextmanager
def now_of(data: Path, pipeline: Pipeline) -> Iterator[Now]:
    """A hub and a desk; the calls of the pipeline are up."""
    hub = Hub(["lo"])
    with desk_of(data, pipeline) as desk:
        desk.changed = hub.note_pause
        now = Now(hub, desk, data)
        now.tell(pipeline)
        hub.note(status())
        yield now
