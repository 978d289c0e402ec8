"""The page All recorders: what is recorded anywhere, found in one place."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from pydantic import ValidationError

from vittne.appliance.access.scopes import FLEET
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.fleet import FleetQuery, RecorderShown, everywhere, recorders_shown, searched
from vittne.appliance.api.problems import Problem
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.recordings import OUTCOMES, whole
from vittne.appliance.console.render import render
from vittne.appliance.listing.query import searchable
from vittne.appliance.listing.shown import RecordingItem

_PAGE: Final = 50


async def fleet(request: web.Request) -> web.StreamResponse:
    """Find calls of all recorders, and say when each of those was heard of."""
    given = {name: value for name, value in request.query.items() if value != ""}
    problem: Problem | None = None
    asked, page = FleetQuery(), None
    boxes: list[RecorderShown] = []
    try:
        asked = FleetQuery.model_validate_strings({**given, "limit": str(_PAGE)})
        boxes = await recorders_shown(request)
        page = await searched(request, asked)
        found = [{**one, "recording": whole(one["recording"], RecordingItem)} for one in page["found"]]
        page = {**page, "found": found}
    except ValidationError as error:
        wrong = ", ".join(str(one["loc"][0]) for one in error.errors() if one["loc"])
        problem = Problem(422, "/problems/invalid-request", "This cannot be searched for", wrong)
    except Problem as error:
        problem = error
    kept = {name: value for name, value in given.items() if name in FleetQuery.model_fields and name != "cursor"}
    where = searchable(everywhere(principal_of(request)))

    def address(**more: Any) -> str:
        return f"/fleet?{urlencode({**kept, **more})}"

    return render(
        request,
        "fleet.html",
        asked=asked,
        page=page,
        problem=problem,
        recorders=boxes,
        outcomes=OUTCOMES,
        may_search={field: field in where for field in ("party", "agent", "signalling", "business")},
        is_narrow=bool(kept),
        address=address,
    )


PAGES: Final = (Page("/fleet", fleet, FLEET, Item("All recorders", "globe", "")),)
