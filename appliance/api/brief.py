"""A recording in a line, for lists that are about something else: holds, cases, what is due."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from aiohttp import web
from pydantic import BaseModel

from vittne.appliance.access.showing import Of, shown
from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import JSON, ApiModel
from vittne.appliance.api.reader import READER
from vittne.appliance.api.visible import Levels, Seen, seen_of, seen_one
from vittne.appliance.store.parties import agents_of, number_of
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us, rfc3339


class Brief(ApiModel):
    """A recording. caller, callee: as a telephone shows them."""

    id: str
    started_at: str
    duration_s: float | None
    outcome: str
    site: str
    retention_class: str
    caller: Annotated[str, Of("party")]
    callee: Annotated[str, Of("party")]
    agent: Annotated[str, Of("agent")]


class BriefsShown(ApiModel):
    """Recordings, and the cursor of the next page; null behind the last."""

    recordings: list[Brief]
    next: str | None = None


def brief(call: CallRow) -> Brief:
    """Return a call in a line."""
    return Brief(
        id=call.id,
        started_at=rfc3339(call.started_us),
        duration_s=call.duration_s,
        outcome=call.outcome or "goes-on",
        site=call.site,
        retention_class=call.retention_class,
        caller=number_of(call.caller),
        callee=number_of(call.callee),
        agent=", ".join(agents_of(call)),
    )


def briefs(found: Iterable[Seen]) -> list[dict[str, Any]]:
    """Return recordings as somebody may see them."""
    return [shown(brief(one.call), one.levels) for one in found]


async def seen(request: web.Request, recording: str, scope: str = "") -> Seen:
    """Return a recording (by its whole id) for the one who asks. Raises Problem."""
    return await request.app[READER](seen_one, principal_of(request), recording, now_us(), scope)


async def seen_all(request: web.Request, ids: Sequence[str]) -> dict[str, Seen]:
    """Return those of some recordings that exist for the one who asks."""
    return await request.app[READER](seen_of, principal_of(request), ids, now_us())


def answer_shown(model: BaseModel, levels: Levels, status: int = 200) -> web.Response:
    """Return a model as the answer, with what somebody does not see taken out."""
    return as_json(shown(model, levels), status)


def as_json(said: Any, status: int = 200) -> web.Response:
    """Return what was made from a model as the answer."""
    return web.Response(body=json.dumps(said).encode(), status=status, content_type=JSON)
