"""GET /api/v1/canary: what came of the newest canary calls."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import Field

from vittne.appliance.api.bodies import ApiModel, answer, query_of
from vittne.appliance.api.reader import READER
from vittne.appliance.api.routes import PREFIX, About, Answer, Route, needs
from vittne.appliance.canary.shown import CanaryShown, canary_shown
from vittne.appliance.canary.table import CanaryTable
from vittne.appliance.store.catalogue import Catalogue


class CanaryQuery(ApiModel):
    """How many at most."""

    limit: int = Field(default=20, ge=1, le=500)


class CanariesShown(ApiModel):
    """Canary calls, the newest first."""

    canaries: list[CanaryShown]


async def canaries(request: web.Request) -> web.Response:
    """List canary calls."""
    return answer(await request.app[READER](_newest, query_of(request, CanaryQuery).limit))


def _newest(catalogue: Catalogue, limit: int) -> CanariesShown:
    return CanariesShown(canaries=[canary_shown(run) for run in CanaryTable(catalogue).newest(limit)])


ROUTES: Final = (
    Route(
        "GET",
        f"{PREFIX}/canary",
        canaries,
        needs("read"),
        About(
            "Canary calls, and what came of them",
            "Recorder",
            {200: Answer("They", CanariesShown)},
            query=CanaryQuery,
            problems=(503,),
            words="Calls that the recorder places to itself, to see that calls are recorded.",
        ),
    ),
)
