"""Searches over `listing`, page by page: what somebody may not see is left out in SQL, and asked once more of each row.

A cursor names the last row of a page by what the search is sorted by; it stays good when calls come and go. It goes
with its search only, and gives nothing that the search would not.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import FieldClass, Only, RecordingFacts
from vittne.appliance.listing.facts import facts_of
from vittne.appliance.listing.query import Query, micros, places, words_of
from vittne.appliance.store.canaries import is_canary, is_no_canary
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.corrections import Correction, corrected, corrections_of
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.holds import HoldTable
from vittne.appliance.store.listing import SEP
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.tables import held, holds, listing

COUNTED: Final = 1000  # so many are counted, further ones are "more"
_DAY_US: Final = 86_400_000_000
_ROUNDS: Final = 8  # of reading, where SQL finds more than may be seen
_SORTS: Final = {"duration": listing.c.duration_ms, "outcome": listing.c.outcome, "quality": listing.c.mos}
_PLACES: Final[dict[FieldClass, tuple[ColumnElement[str], ...]]] = {
    "party": (listing.c.numbers, listing.c.names),
    "agent": (listing.c.agents,),
    "signalling": (listing.c.call_ids,),
    "business": (listing.c.tags,),
}


class BadCursor(StoreError):
    """A cursor that is none, or is of another search."""


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A call of a page. sealed: as it was recorded; shown: with its corrections."""

    sealed: CallRow
    shown: CallRow
    made: tuple[Correction, ...]
    facts: RecordingFacts
    holds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundPage:
    """Calls, and where the next page begins: "" at the end."""

    calls: tuple[FoundCall, ...]
    cursor: str


@dataclass(frozen=True, slots=True)
class Spot:
    """The place of a row: value of what is sorted by (None for time), then the row's key."""

    value: str | int | None
    started_us: int
    recording: str


def find(catalogue: Catalogue, who: Principal, query: Query, now_us: int, limit: int, cursor: str = "") -> FoundPage:
    """Return a page of what a search finds. Raises Hidden, BadCursor, StoreError."""
    where = _where(catalogue, who, query, now_us)
    behind = spot_of(cursor, query) if cursor else None
    found: list[FoundCall] = []
    for _ in range(_ROUNDS):
        wanted = limit + 1 - len(found)
        spots = _spots(catalogue, query, where, behind, wanted)
        calls = found_calls(catalogue, [spot.recording for spot in spots])
        for spot in spots:
            call = calls.get(spot.recording)
            if call is not None and who.sees(call.facts, now_us):
                if len(found) == limit:
                    return FoundPage(tuple(found), cursor_of(query, behind))
                found.append(call)
            behind = spot
        if len(spots) < wanted:
            return FoundPage(tuple(found), "")
    return FoundPage(tuple(found), cursor_of(query, behind))


def count(catalogue: Catalogue, who: Principal, query: Query, now_us: int) -> int:
    """Return how many rows a search finds, COUNTED + 1 for more. Raises Hidden, StoreError.

    An estimate: a role's patterns may be narrower than what SQL makes of them.
    """
    some = select(literal(1)).select_from(listing).where(*_where(catalogue, who, query, now_us)).limit(COUNTED + 1)
    with catalogue.reading() as connection:
        return int(connection.execute(select(func.count()).select_from(some.subquery())).scalar_one())


def spots(
    catalogue: Catalogue, who: Principal, query: Query, now_us: int, limit: int, behind: Spot | None = None
) -> list[Spot]:
    """Return where the newest calls are that a search finds, as far as SQL can say. Raises Hidden, StoreError."""
    return _spots(catalogue, query, _where(catalogue, who, query, now_us), behind, limit)


def _spots(catalogue: Catalogue, query: Query, where: Sequence[Any], behind: Spot | None, limit: int) -> list[Spot]:
    with catalogue.reading() as connection:
        statement = _ordered(connection, query, where, behind).limit(limit)
        return [Spot(row[2], int(row[0]), str(row[1])) for row in connection.execute(statement)]


def _ordered(connection: Connection, query: Query, where: Sequence[Any], behind: Spot | None) -> Select[Any]:
    """Return the statement of a page: keys in order, behind a spot."""
    value = _SORTS.get(query.sort)
    key = [listing.c.started_us, listing.c.recording]
    columns: list[ColumnElement[Any]] = [*key] if value is None else [value, *key]
    shown = literal_column("NULL") if value is None else value
    statement = select(listing.c.started_us, listing.c.recording, shown).where(*where)
    if behind is not None:
        spot = [behind.started_us, behind.recording]
        given = tuple_(*(literal(one) for one in (spot if value is None else [behind.value, *spot])))
        after = tuple_(*columns) < given if query.order == "desc" else tuple_(*columns) > given
        statement = statement.where(after)
    if value is not None and _is_narrow(query) and connection.dialect.name == "sqlite":
        # All rows are looked at in any case: in their own order, rather than through an index one by one.
        columns[0] = literal_column(f"+listing.{value.key}")
    return statement.order_by(*(one.desc() if query.order == "desc" else one.asc() for one in columns))


def _is_narrow(query: Query) -> bool:
    """Say whether most rows do not fit."""
    wide = {"sort", "order", "unanswered", "days", "since", "until", "site", "state"}
    return bool(query.given().keys() - wide)


def found_calls(catalogue: Catalogue, ids: Sequence[str]) -> dict[str, FoundCall]:
    """Return the calls with these ids, as far as they are there; nobody was asked whether they may be seen."""
    made = corrections_of(catalogue, ids) if ids else {}
    on = HoldTable(catalogue).of(ids)
    found = {}
    for sealed in catalogue.get_all(ids):
        changes = tuple(made.get(sealed.id, ()))
        shown = corrected(sealed, changes) if sealed.erased_us is None else sealed
        found[sealed.id] = FoundCall(sealed, shown, changes, facts_of(sealed, shown), on.get(sealed.id, ()))
    return found


def _where(catalogue: Catalogue, who: Principal, query: Query, now_us: int) -> list[ColumnElement[bool]]:
    """Return the conditions of a search by somebody. Raises Hidden."""
    seen = places(query, who)
    has = _holding(catalogue)
    rows = listing.c
    where: list[ColumnElement[bool]] = [_may_see(who, now_us, has)]
    since = [one for one in (micros(query.since), _ago(query.days, now_us)) if one is not None]
    if since:
        where.append(rows.started_us >= max(since))
    if (until := micros(query.until)) is not None:
        where.append(rows.started_us < until)
    for word in words_of(query.q):
        columns = [column for field in sorted(seen) for column in _PLACES[field]]
        where.append(or_(*(has(column, word) for column in columns), rows.recording.startswith(word, autoescape=True)))
    if query.number:
        where += [has(rows.numbers, word) for word in words_of(query.number)]
    where += [has(rows.names, word) for word in words_of(query.name)]
    where += [has(rows.agents, word) for word in words_of(query.agent)]
    where += [has(rows.call_ids, query.call_id.strip().casefold())] if query.call_id else []
    where += [has(rows.tags, _entry(query.tag.strip()))] if query.tag else []
    where += [has(rows.codecs, _entry(query.codec.strip()))] if query.codec else []
    where += [rows.site == query.site] if query.site else []
    where += [rows.state == query.state] if query.state else []
    where += [rows.outcome.in_([one.strip() for one in query.outcome.split(",")])] if query.outcome else []
    where += [rows.announced == query.announced] if query.announced else []
    where += _numbers(query)
    where += _flags(query)
    return where


def _numbers(query: Query) -> Iterable[ColumnElement[bool]]:
    """Yield conditions on numbers. With the plus no index is taken: rows one by one through it cost more than all."""
    duration: ColumnElement[int] = literal_column("+listing.duration_ms", Integer())
    score: ColumnElement[int] = literal_column("+listing.mos", Integer())
    if query.longer_s is not None:
        yield duration >= round(query.longer_s * 1000)
    if query.shorter_s is not None:
        yield duration.between(0, round(query.shorter_s * 1000))
    if query.better_mos is not None:
        yield score >= round(query.better_mos * 100)
    if query.worse_mos is not None:
        yield score.between(0, round(query.worse_mos * 100))
    if query.sort == "quality":
        yield score >= 0
    if query.sort == "duration":
        yield duration >= 0


def _flags(query: Query) -> Iterable[ColumnElement[bool]]:
    rows = listing.c
    yield is_canary(rows.recording) if query.canary else is_no_canary(rows.recording)
    if not query.unanswered and not query.erased:
        yield rows.answered
    yield rows.is_erased if query.erased else ~rows.is_erased
    if query.paused is not None:
        yield rows.pauses > 0 if query.paused else rows.pauses == 0
    if query.restricted is not None:
        yield rows.is_restricted if query.restricted else ~rows.is_restricted
    if query.quarantined is not None:
        yield rows.is_quarantined if query.quarantined else ~rows.is_quarantined
    if query.held is not None:
        on = select(held.c.recording).join(holds, holds.c.id == held.c.hold).where(holds.c.released_us.is_(None))
        yield rows.recording.in_(on) if query.held else rows.recording.not_in(on)


def _may_see(who: Principal, now_us: int, has: Any) -> ColumnElement[bool]:
    """Return what holds of every row that exists for somebody, and perhaps of more: each row is asked once more."""
    allowed = or_(false(), *(_fits(only, who, now_us, has) for only in who.onlys))
    return and_(allowed, listing.c.site.in_(who.sites)) if who.sites else allowed


def _fits(only: Only, who: Principal, now_us: int, has: Any) -> ColumnElement[bool]:
    rows = listing.c
    where: list[ColumnElement[bool]] = [literal_column("1") == literal_column("1")]
    if only.sites:
        where.append(rows.site.in_(only.sites))
    if only.numbers:
        where.append(or_(*(_like(rows.numbers, one) for one in only.numbers)))
    if only.agents:
        where.append(or_(*(_like(rows.agents, one) for one in only.agents)))
    if only.tags:
        where.append(or_(*(has(rows.tags, _entry(one)) for one in only.tags)))
    if (since := _ago(only.days, now_us)) is not None:
        where.append(rows.started_us >= since)
    if only.own:
        mine = [has(column, _entry(one)) for one in who.own for column in (rows.numbers, rows.agents)]
        where.append(or_(false(), *mine))
    return and_(*where)


def _like(column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    """Return what holds where an entry fits a pattern with * and ?, and perhaps elsewhere."""
    text = "".join({"*": "%", "?": "_", "[": "%"}.get(one, one) for one in _escaped(pattern.casefold()))
    text = text[: text.index("%")] + "%" if "[" in pattern and "%" in text else text
    return column.like(f"%{SEP}{text}{'' if '[' in pattern else SEP}%", escape="\\")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _holding(catalogue: Catalogue) -> Any:
    """Return what says, in the database's own words, that a text is in a column."""
    name = "strpos" if catalogue.is_server else "instr"
    return lambda column, text: getattr(func, name)(column, text) > 0


def _entry(text: str) -> str:
    return f"{SEP}{text.casefold()}{SEP}"


def _ago(days: int | None, now_us: int) -> int | None:
    return None if days is None else now_us - days * _DAY_US


def _print_of(query: Query) -> str:
    said = json.dumps(query.given(), sort_keys=True).encode()
    return hashlib.sha256(said).hexdigest()[:16]


def cursor_of(query: Query, spot: Spot | None) -> str:
    """Return what names a row of a search; "" for none."""
    if spot is None:
        return ""
    said = json.dumps([_print_of(query), spot.value, spot.started_us, spot.recording], separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def spot_of(text: str, query: Query) -> Spot:
    """Return where a page begins. Raises BadCursor."""
    try:
        mark, value, started_us, recording = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, RecursionError):
        raise BadCursor("this is no cursor", text[:40], "take it as the page before gave it") from None
    kinds: dict[str, type] = {"time": type(None), "outcome": str}
    is_ours = type(value) is kinds.get(query.sort, int) and type(started_us) is int and isinstance(recording, str)
    if not is_ours or mark != _print_of(query):
        raise BadCursor("the cursor is of another search", text[:40], "begin anew, without a cursor")
    return Spot(value, started_us, recording)
