"""Reading a shared catalogue: which recorders are in it, and a search over all of them at once.

Each recorder is asked by itself, with what its own console searches with, and only for the keys of its newest calls;
those are merged by time, and of the calls that are shown, no others, the rest is read. A recorder that cannot be
searched (another version, no right) is named with the reason, and keeps nobody from the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from vittne.appliance.access.principal import Principal
from vittne.appliance.fleet.server import PREFIX
from vittne.appliance.listing.query import Query
from vittne.appliance.listing.search import FoundCall, Spot, cursor_of, found_calls, spot_of, spots
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.database import check_version
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.server import DatabaseServer, connect, said, viewing

_AT_ONCE: Final = 3  # connections; more of them wait for one another in this process, not for the server
_ROUNDS: Final = 8  # of reading, where SQL finds more than may be seen
_READABLE: Final = text(
    "SELECT n.nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'shipping'"
    " WHERE starts_with(n.nspname, :prefix) AND has_schema_privilege(n.oid, 'USAGE')"
    " AND has_table_privilege(c.oid, 'SELECT') ORDER BY n.nspname"
)
_ABOUT: Final = text("SELECT version_num, about, shipped_us FROM alembic_version LEFT JOIN shipping ON true")


class BadOrder(StoreError):
    """All recorders are searched in order of time, and in no other."""


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
    """Calls of all recorders. cursor: where the next page begins, "" at the end. boxes: with those not searched."""

    calls: tuple[FoundThere, ...]
    cursor: str
    boxes: tuple[BoxSeen, ...]


@dataclass
class _Opened:
    """A recorder that is searched. first: the keys of a first page, read beforehand."""

    seen: BoxSeen
    catalogue: Catalogue | None
    first: list[Spot] = field(default_factory=list)

    def failed(self, error: StoreError) -> None:
        """Search it no further. Raises what is nobody else's fault."""
        if not isinstance(error.__cause__, DBAPIError):
            raise error
        self.catalogue, self.seen = None, _with_problem(self.seen, error.what)


class SharedCatalogue:
    """What is in it, on connections that are kept; for several threads. Raises StoreError."""

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server
        self._engine = connect(server, read_only=True)
        self._view = viewing(self._engine)
        self._pool = ThreadPoolExecutor(_AT_ONCE, "vittne-shared")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    def boxes(self) -> list[BoxSeen]:
        """Return all recorders, by name."""
        found = self._pool.map(lambda schema: self._opened(schema, None).seen, self._schemas())
        return sorted(found, key=lambda box: (box.name, box.schema))

    def search(
        self, who: Principal, query: Query, now_us: int, limit: int, cursor: str = "", recorder: str = ""
    ) -> Page:
        """Return a page of what a search finds, by time; recorder: of it only. Raises Hidden, BadCursor, BadOrder."""
        if query.sort != "time":
            raise BadOrder("all recorders are searched by time only", query.sort, "sort in one recorder's own console")
        behind = spot_of(cursor, query) if cursor else None

        def keys(catalogue: Catalogue, after: Spot | None) -> list[Spot]:
            return spots(catalogue, who, query, now_us, limit + 1, after)

        def opened(schema: str) -> _Opened:
            return self._opened(schema, lambda catalogue: keys(catalogue, behind), recorder)

        boxes = list(self._pool.map(opened, self._schemas()))
        merged = heapq.merge(
            *(_keys(box, keys, limit + 1) for box in boxes),
            key=lambda one: (one[1].started_us, one[1].recording),
            reverse=query.order == "desc",
        )
        found: list[FoundThere] = []
        last, is_over = behind, False
        for _ in range(_ROUNDS):
            wanted = limit + 1 - len(found)
            page = list(islice(merged, wanted))
            calls = self._calls(page)
            for box, spot in page:
                call = calls.get((box.seen.schema, spot.recording))
                if call is not None and who.sees(call.facts, now_us):
                    if len(found) == limit:
                        return Page(tuple(found), cursor_of(query, last), _seen(boxes))
                    found.append(FoundThere(box.seen, call))
                last = spot
            if is_over := len(page) < wanted:
                break
        return Page(tuple(found), "" if is_over else cursor_of(query, last), _seen(boxes))

    def _schemas(self) -> list[str]:
        """Return the schemas of recorders that may be read."""
        try:
            return self._listed()
        except StoreError:
            self._engine.dispose()  # connections from before the server was restarted
            return self._listed()

    def _listed(self) -> list[str]:
        try:
            with self._engine.connect() as connection:
                return [str(one) for one in connection.execute(_READABLE, {"prefix": PREFIX}).scalars()]
        except DBAPIError as error:
            what = f"the shared catalogue cannot be read ({said(error.orig)})"
            raise StoreError(what, self._server.url, "is the server up, and may this user be there?") from error

    def _opened(self, schema: str, first: Callable[[Catalogue], list[Spot]] | None, only: str = "") -> _Opened:
        """Return a recorder, with the keys of its first page where they are asked for."""
        where, seen = self._server.within(schema), BoxSeen(schema)
        engine: Engine = self._view(schema)
        catalogue = Catalogue.on(engine, where)
        try:
            with catalogue.reading() as connection:
                row = connection.execute(_ABOUT).first()
            about: dict[str, Any] = dict(row.about or {}) if row is not None else {}
            name, console, version = (str(about.get(one, "")) for one in ("name", "console", "version"))
            seen = BoxSeen(schema, name, console, version, 0 if row is None else row.shipped_us or 0)
            if only and only not in (seen.name, schema):
                return _Opened(seen, None)
            check_version(None if row is None else row.version_num, where)
        except StoreError as error:
            return _Opened(_with_problem(seen, error.what), None)
        found = _Opened(seen, catalogue)
        try:
            found.first = [] if first is None else first(catalogue)
        except StoreError as error:
            found.failed(error)
        return found

    def _calls(self, page: Sequence[tuple[_Opened, Spot]]) -> dict[tuple[str, str], FoundCall]:
        """Return the calls of a page, by schema and id."""
        ids: dict[str, list[str]] = {}
        boxes = {box.seen.schema: box for box, _ in page}
        for box, spot in page:
            ids.setdefault(box.seen.schema, []).append(spot.recording)

        def read(schema: str) -> dict[str, FoundCall]:
            box = boxes[schema]
            try:
                return found_calls(box.catalogue, ids[schema]) if box.catalogue is not None else {}
            except StoreError as error:
                box.failed(error)
                return {}

        some = zip(ids, self._pool.map(read, ids), strict=True)
        return {(schema, recording): call for schema, calls in some for recording, call in calls.items()}


def _keys(
    box: _Opened, read: Callable[[Catalogue, Spot | None], list[Spot]], size: int
) -> Iterator[tuple[_Opened, Spot]]:
    """Yield a recorder's keys in order, further ones as they are needed."""
    some = box.first
    while box.catalogue is not None:
        yield from ((box, spot) for spot in some)
        if len(some) < size or box.catalogue is None:
            return
        try:
            some = read(box.catalogue, some[-1])
        except StoreError as error:
            box.failed(error)


def _with_problem(box: BoxSeen, problem: str) -> BoxSeen:
    return BoxSeen(box.schema, box.name, box.console, box.version, box.shipped_us, problem)


def _seen(boxes: Sequence[_Opened]) -> tuple[BoxSeen, ...]:
    return tuple(box.seen for box in boxes)
