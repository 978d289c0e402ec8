"""What a report on pauses asks of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Row, select

from vittne.appliance.pausereport import Talk
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import calls
from vittne.capture.pause import Pause

_CHUNK: Final = 500  # ids in one statement
_COLUMNS: Final = (calls.c.id, calls.c.answered_us, calls.c.ended_us, calls.c.details)


def pauses_between(catalogue: Catalogue, since_us: int | None, until_us: int | None) -> list[Pause]:
    """Return the pauses that were asked for in a time (until_us not included), oldest first."""
    return [Pause.from_json(body) for body in catalogue.list_pauses(since_us=since_us, until_us=until_us)]


def talks_of(
    catalogue: Catalogue, since_us: int | None, until_us: int | None, pauses: Sequence[Pause], now_at: int
) -> dict[str, Talk]:
    """Return the calls that were answered in a time, and those of some pauses, by id."""
    query = select(*_COLUMNS).where(calls.c.answered_us.is_not(None))
    if since_us is not None:
        query = query.where(calls.c.answered_us >= since_us)
    if until_us is not None:
        query = query.where(calls.c.answered_us < until_us)
    with catalogue.reading() as connection:
        found = _talks(connection.execute(query), now_at)
        more = sorted({call for pause in pauses for call in pause.calls} - found.keys())
        for first in range(0, len(more), _CHUNK):
            some = calls.c.id.in_(more[first : first + _CHUNK])
            wanted = select(*_COLUMNS).where(some, calls.c.answered_us.is_not(None))
            found |= _talks(connection.execute(wanted), now_at)
    return found


def _talks(rows: Iterable[Row[tuple[str, int, int, dict[str, object]]]], now_at: int) -> dict[str, Talk]:
    return {
        row.id: Talk(
            row.id,
            str(row.details.get("agent") or ""),
            row.answered_us * 1000,
            now_at if row.ended_us is None else row.ended_us * 1000,
        )
        for row in rows
    }
