"""How many calls were announced, by site, trunk, number, language, hour and day; and the list of those that were not.

Added up by the database over announcement_call, whose indexes hold all that is asked: no call's row is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from sqlalchemy import Connection, Select, func, literal, or_, select

from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import announcement_call, announcement_verdict, calls
from vittne.appliance.store.times import rfc3339
from vittne.appliance.verdicts.judge import FULL, NONE, NOT_EXPECTED, NOT_LISTENED, PARTIAL

WORDS: Final = (FULL, PARTIAL, NONE, NOT_LISTENED, NOT_EXPECTED)
NUMBERS: Final = 1000  # told of, those with the most that is missing first
_QUARTER_US: Final = 900_000_000  # zones differ by quarters of an hour
_AT_ONCE: Final = 500  # numbers named in one statement
_WORDS: Final = ("site", "trunk", "language")
_of = announcement_call.c


@dataclass(slots=True)
class Told:
    """Calls by verdict. expected: of these a rule wanted them announced; proven: and they were."""

    words: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WORDS, 0))
    expected: int = 0
    proven: int = 0

    def add(self, row: Any) -> None:
        """Count a group of calls."""
        self.words[row.announced] = self.words.get(row.announced, 0) + row.calls
        if row.expected:
            self.expected += row.calls
            self.proven += row.calls if row.proven else 0

    @property
    def missing(self) -> int:
        """How many should have been announced and were not."""
        return self.expected - self.proven

    @property
    def share(self) -> float | None:
        """The share of those expected that were announced; None when none was."""
        return self.proven / self.expected if self.expected else None

    def as_json(self) -> dict[str, Any]:
        """Return the sums."""
        share = None if self.share is None else round(self.share, 4)
        counts = {"expected": self.expected, "announced": self.proven, "missing": self.missing, "share": share}
        return {**counts, **self.words}


@dataclass(slots=True)
class Sums:
    """What a time's calls add up to. Hours and days are by the site's clock; numbers those with most missing."""

    total: Told = field(default_factory=Told)
    by: dict[str, dict[str, Told]] = field(default_factory=dict)  # word of BY, then name

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        sums = {f"{word}s": {name: one.as_json() for name, one in found.items()} for word, found in self.by.items()}
        return {"total": self.total.as_json(), **sums}


BY: Final = ("site", "trunk", "language", "number", "hour", "day")


def sums(catalogue: Catalogue, since_us: int, until_us: int, zone: tzinfo = UTC) -> Sums:
    """Add up the calls that were answered from since_us until before until_us."""
    found = Sums(by={word: {} for word in BY})
    span = _of.at_us >= since_us, _of.at_us < until_us
    with catalogue.reading() as connection:
        for row in connection.execute(_grouped(*(_of[word] for word in _WORDS)).where(*span)):
            for word in _WORDS:
                found.by[word].setdefault(getattr(row, word), Told()).add(row)
        for row in connection.execute(_grouped((_of.at_us - _of.at_us % _QUARTER_US).label("quarter")).where(*span)):
            at = datetime.fromtimestamp(row.quarter // 1_000_000, UTC).astimezone(zone)
            found.total.add(row)
            found.by["hour"].setdefault(f"{at.hour:02}", Told()).add(row)
            found.by["day"].setdefault(at.date().isoformat(), Told()).add(row)
        for number, row in _numbers(connection, span):
            found.by["number"].setdefault(number, Told()).add(row)
    for word in ("hour", "day"):
        found.by[word] = dict(sorted(found.by[word].items()))
    return found


def _grouped(*keys: Any) -> Select[Any]:
    columns = *keys, _of.expected, _of.announced, _of.proven
    return select(*columns, func.count().label("calls")).group_by(*columns)


def _numbers(connection: Connection, span: Any) -> Iterator[tuple[str, Any]]:
    """Yield the sums of the numbers of which most is missing, then of those most dialled: a year has very many."""
    wanted = _most(connection, _sides(), (*span, _of.expected == literal(True), _of.proven == literal(False)))
    if len(wanted) < NUMBERS:
        wanted |= _most(connection, [_of.callee], span)
    numbers = list(wanted)[:NUMBERS]
    rows: dict[str, list[Any]] = {}
    for side in _sides():
        for begin in range(0, len(numbers), _AT_ONCE):
            which = side.in_(numbers[begin : begin + _AT_ONCE])
            for row in connection.execute(_grouped(side.label("number")).where(*span, which)):
                rows.setdefault(row.number, []).append(row)
    for number in numbers:
        for row in rows.get(number, ()):
            yield number, row


def _most(connection: Connection, sides: Iterable[Any], which: Any) -> dict[str, int]:
    """Return the commonest numbers among calls, with how often; in that order."""
    found: Counter[str] = Counter()
    for side in sides:
        query = select(side, func.count().label("calls")).where(*which, side != "").group_by(side)
        for number, count in connection.execute(query.order_by(func.count().desc(), side).limit(NUMBERS)):
            found[number] += count
    return dict(found.most_common(NUMBERS))


def _sides() -> list[Any]:
    return [_of.callee, _of.caller]


@dataclass(frozen=True, slots=True)
class Missing:
    """A call that should have been announced and was not. offset_s: on the player's time line, from the answer."""

    id: str
    at_us: int
    site: str
    trunk: str
    caller: str
    callee: str
    announced: str
    rule: str
    reason: str
    party: str
    due_us: int | None
    quarantined_us: int | None
    is_kept: bool

    @property
    def offset_s(self) -> float | None:
        """Where a player should start."""
        return None if self.due_us is None else round((self.due_us - self.at_us) / 1e6, 3)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        names = ("id", "site", "trunk", "caller", "callee", "announced", "rule", "reason", "party")
        return {
            **{name: getattr(self, name) for name in names},
            "answered_at": rfc3339(self.at_us),
            "due_at": None if self.due_us is None else rfc3339(self.due_us),
            "offset_s": self.offset_s,
            "quarantined_at": None if self.quarantined_us is None else rfc3339(self.quarantined_us),
            "kept": bool(self.is_kept),
        }


@dataclass(frozen=True, slots=True)
class Which:
    """Which calls that lack an announcement: all conditions must hold. Times: of the answer, until_us not included."""

    since_us: int | None = None
    until_us: int | None = None
    announced: str = ""
    rule: str = ""
    site: str = ""
    number: str = ""
    quarantined: bool = False
    limit: int | None = None  # the newest so many


def missing(catalogue: Catalogue, which: Which = Which()) -> list[Missing]:
    """Return the calls that were not announced as their rule wants, the first one first."""
    verdict = announcement_verdict
    other = verdict.alias()
    last = select(func.max(other.c.n)).where(other.c.recording == _of.recording)
    newest = last.correlate(announcement_call).scalar_subquery()
    joined = announcement_call.outerjoin(
        verdict, (verdict.c.recording == _of.recording) & (verdict.c.n == newest)
    ).outerjoin(calls, calls.c.id == _of.recording)
    columns = _of.recording, _of.at_us, _of.site, _of.trunk, _of.caller, _of.callee, _of.announced
    more = func.coalesce(verdict.c.rule, ""), func.coalesce(verdict.c.reason, ""), func.coalesce(verdict.c.party, "")
    kept = func.coalesce((calls.c.folder != "") & calls.c.erased_us.is_(None), literal(False))
    rest = _of.due_us, calls.c.quarantined_us, kept
    query = select(*columns, *more, *rest).select_from(joined)
    if which.quarantined:
        query = query.where(calls.c.quarantined_us.is_not(None))
    else:
        query = query.where(_of.expected == literal(True), _of.proven == literal(False))
    if which.since_us is not None:
        query = query.where(_of.at_us >= which.since_us)
    if which.until_us is not None:
        query = query.where(_of.at_us < which.until_us)
    if which.announced:
        query = query.where(_of.announced == which.announced)
    if which.rule:
        query = query.where(verdict.c.rule == which.rule)
    if which.site:
        query = query.where(_of.site == which.site)
    if which.number:
        like = [side.icontains(which.number, autoescape=True) for side in _sides()]
        query = query.where(or_(*like))
    query = query.order_by(_of.at_us.desc(), _of.recording.desc())
    if which.limit is not None:
        query = query.limit(which.limit)
    with catalogue.reading() as connection:
        rows = connection.execute(query).all()
    return [Missing(*row) for row in reversed(rows)]
