"""How a recorder tells of itself for a support bundle. It may wait: nothing of this is done in the loop."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from vittne.appliance.api.metrics import Moment, written
from vittne.appliance.events.figures import archive_figures
from vittne.appliance.events.state import StateReader
from vittne.appliance.log import TAIL
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.times import now_us


def tell_support(state: StateReader, catalogue: Catalogue) -> dict[str, Any]:
    """Return state, metrics, alarms and the log's newest lines, as they are: nothing is taken out here."""
    sources = state.sources
    now = state.now(catalogue)
    figures = archive_figures(catalogue, sources.data_dir, sources.targets, now_us())
    metrics, _ = written(Moment(now, sources.hub, figures, state.standings))
    return {
        "state": now.model_dump(mode="json"),
        "metrics": metrics.decode(),
        "alarms": [asdict(alarm) for alarm in sources.hub.alarms.all()],
        "log": TAIL.lines(),
    }
