"""Reading a shared catalogue: which recorders are in it, and a search over all of them at once.

Each recorder is searched by itself, with what its own console searches with, and the pages are merged by time. One that
cannot be searched (another version, no right) is named with the reason, and keeps nobody from the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from vittne.appliance.access.principal import Principal
from vittne.appliance.fleet.server import PREFIX
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import FoundCall, find
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import DatabaseServer, connect, said, viewing
from vittne.appliance.store.tables import shipping

_AT_ONCE: Final = 8  # connections
_READABLE: Final = text(
    "SELECT n.nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'shipping'"
    " WHERE starts_with(n.nspname, :prefix) AND has_schema_privilege(n.oid, 'USAGE')"
    " AND has_table_privilege(c.oid, 'SELECT') ORDER BY n.nspname"
)


@dataclass(frozen=True, slots=True)
class BoxSeen:
    """A recorder as it says it is. shipped_us: when it sent something last. problem: why it is not searched."""

    schema: str
    name: str = ""
    console: str = ""
    version: str = ""
    shipped_us: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class FoundThere:
    """A call, and whose it is."""

    box: BoxSeen
    call: FoundCall


@dataclass(frozen=True, slots=True)
class Page:
    """Calls of all recorders, the newest first. has_more: not all were asked for. boxes: with those not searched."""

    calls: tuple[FoundThere, ...]
    has_more: bool
    boxes: tuple[BoxSeen, ...]


@contextmanager
def _all(server: DatabaseServer) -> Iterator[tuple[list[str], Callable[[str], Engine]]]:
    """Give the schemas of recorders that may be read, and what opens one. Raises StoreError."""
    engine = connect(server, read_only=True)
    try:
        with engine.connect() as connection:
            found = [str(one) for one in connection.execute(_READABLE, {"prefix": PREFIX}).scalars()]
        yield found, viewing(engine)
    except DBAPIError as error:
        what = f"the shared catalogue cannot be read ({said(error.orig)})"
        raise StoreError(what, server.url, "is the server up, and may this user be there?") from error
    finally:
        engine.dispose()


def boxes(server: DatabaseServer) -> list[BoxSeen]:
    """Return all recorders, by name. Raises StoreError."""
    with _all(server) as (schemas, view):
        found = [_searched(view(one), server.within(one), None, None, 0, 0)[0] for one in schemas]
    return sorted(found, key=lambda box: (box.name, box.schema))


def search(server: DatabaseServer, who: Principal, query: Query, now_us: int, limit: int) -> Page:
    """Return the newest calls of all recorders that a search finds. Raises Hidden, StoreError."""
    with _all(server) as (schemas, view), ThreadPoolExecutor(_AT_ONCE) as pool:

        def of(schema: str) -> tuple[BoxSeen, Sequence[FoundCall]]:
            return _searched(view(schema), server.within(schema), who, query, now_us, limit + 1)

        found = list(pool.map(of, schemas))
    each = [[FoundThere(box, call) for call in calls] for box, calls in found]
    merged = heapq.merge(*each, key=lambda one: (one.call.sealed.started_us, one.call.sealed.id), reverse=True)
    calls = [one for _, one in zip(range(limit + 1), merged, strict=False)]
    return Page(tuple(calls[:limit]), len(calls) > limit, tuple(box for box, _ in found))


def _searched(
    engine: Engine, where: DatabaseServer, who: Principal | None, query: Query | None, now_us: int, limit: int
) -> tuple[BoxSeen, Sequence[FoundCall]]:
    """Return a recorder and its page; without a query only the recorder. Raises Hidden."""
    box = BoxSeen(where.schema)
    try:
        catalogue = Catalogue.on(engine, where)
        with catalogue.reading() as connection:
            row = connection.execute(select(shipping.c.about, shipping.c.shipped_us)).first()
        about: dict[str, Any] = dict(row.about) if row is not None else {}
        name, console, version = (str(about.get(one, "")) for one in ("name", "console", "version"))
        box = BoxSeen(where.schema, name, console, version, 0 if row is None else row.shipped_us)
        return box, () if who is None or query is None else find(catalogue, who, query, now_us, limit).calls
    except StoreError as error:
        if not isinstance(error.__cause__, DBAPIError) and "of version" not in error.what:
            raise
        return replace(box, problem=error.what), ()
