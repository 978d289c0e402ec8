"""A call's row in `listing`: written with the call in one transaction, holding nothing that the call does not.

Lists are texts in which SEP stands before and behind each entry. All texts but outcome and state are casefolded: they
are for searching, what is shown comes from the call. -1 stands where there is no duration, or no score.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from vittne.appliance.store.parties import agents_of, names_of, numbers_of
from vittne.appliance.store.rows import CallRow, StreamRow
from vittne.appliance.store.tables import calls, corrections, dialogs, listing, streams

SEP: Final = "\x1f"
NONE: Final = -1
_NOT_VOICE: Final = frozenset({"TELEPHONE-EVENT", "CN", "UNKNOWN"})
_CHUNK: Final = 400


def listed(sealed: CallRow, changed: Mapping[str, str] = {}) -> dict[str, Any]:
    """Return a call's row. changed: what was corrected, by field."""
    values = {"caller": sealed.caller, "callee": sealed.callee, "site": sealed.site, **changed}
    shown = replace(sealed, caller=values["caller"], callee=values["callee"], site=values["site"])
    numbers = numbers_of(sealed, shown)
    voice = voices(sealed.streams)
    scores = [stream.mos for stream in voice if stream.mos is not None]
    duration = sealed.duration_s
    return {
        "started_us": sealed.started_us,
        "recording": sealed.id,
        "state": sealed.state,
        "answered": sealed.answered_us is not None,
        "numbers": joined(numbers),
        "names": joined(names_of(sealed)),
        "agents": joined(agents_of(sealed)),
        "call_ids": joined(sealed.call_ids),
        "tags": joined(sealed.tags),
        "codecs": joined({stream.codec for stream in voice}),
        "outcome": sealed.outcome,
        "duration_ms": NONE if duration is None else round(duration * 1000),
        "mos": NONE if not scores else round(min(scores) * 100),
        "pauses": _count(sealed.details.get("pauses")),
        "announced": sealed.announced,
        "site": shown.site,
        "is_quarantined": sealed.quarantined_us is not None,
        "is_restricted": sealed.restricted_us is not None,
        "is_erased": sealed.erased_us is not None,
    }


def voices(some: Iterable[StreamRow]) -> list[StreamRow]:
    """Return the streams that carry somebody's voice."""
    return [stream for stream in some if stream.codec.upper() not in _NOT_VOICE]


def joined(some: Iterable[str]) -> str:
    """Return a list as one text.

    >>> joined(["Anna", "Bo"]).split(SEP)
    ['', 'anna', 'bo', '']
    """
    entries = [one.replace(SEP, " ").replace("\x00", " ").casefold() for one in sorted(set(some))]
    return "".join((SEP, SEP.join(entries), SEP)) if entries else ""


def _count(found: object) -> int:
    return len(found) if isinstance(found, list | tuple) else 0


def list_rows(connection: Connection, rows: Sequence[CallRow]) -> None:
    """Write the rows of calls, in the caller's transaction."""
    for some in _chunks(rows):
        ids = [row.id for row in some]
        changed = _corrected(connection, ids)
        connection.execute(delete(listing).where(listing.c.recording.in_(ids)))
        connection.execute(insert(listing), [listed(row, changed.get(row.id, {})) for row in some])


def relist(connection: Connection, ids: Sequence[str]) -> None:
    """Write the rows of calls as the catalogue has them now, in the caller's transaction."""
    for some in _chunks(list(ids)):
        list_rows(connection, list(_read(connection, some)))


def _read(connection: Connection, ids: Sequence[str]) -> Iterator[CallRow]:
    """Yield calls as far as a row is made from them."""
    said: dict[str, list[str]] = {}
    for row in connection.execute(select(dialogs.c.call, dialogs.c.call_id).where(dialogs.c.call.in_(ids))):
        said.setdefault(row.call, []).append(row.call_id)
    heard: dict[str, list[StreamRow]] = {}
    for row in connection.execute(select(streams).where(streams.c.call.in_(ids))):
        values = {name: row._mapping[name] for name in StreamRow.__slots__}
        heard.setdefault(row.call, []).append(StreamRow(**values))
    for row in connection.execute(select(calls).where(calls.c.id.in_(ids))):
        values = dict(row._mapping)
        values["tags"] = tuple(values["tags"])
        values["call_ids"] = tuple(said.get(row.id, ()))
        values["streams"] = tuple(heard.get(row.id, ()))
        yield CallRow(**values)


def _corrected(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    query = select(corrections).where(corrections.c.recording.in_(ids)).order_by(corrections.c.n)
    for row in connection.execute(query):
        found.setdefault(row.recording, {})[row.field] = row.after
    return found


def _chunks(some: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for first in range(0, len(some), _CHUNK):
        yield some[first : first + _CHUNK]
