"""Plans, scorecards, draws and reviews in the catalogue's database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, and_, func, insert, select, update

from vittne.appliance.review.sampling import Candidate
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import calls, review_cards, review_draws, review_plans, reviews
from vittne.appliance.store.times import rfc3339

OPEN: Final = "open"
DONE: Final = "done"
_CHUNK: Final = 500


class NoSuch(StoreError):
    """No plan, card, draw or review is called so."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a plan or a card. ended_us: when a plan ended; the newest version's counts."""

    name: str
    version: int
    body: Mapping[str, Any]
    made_us: int
    made_by: str
    ended_us: int | None = None


@dataclass(frozen=True, slots=True)
class Draw:
    """What was drawn from. is_late: its plan was changed after the month had begun."""

    plan: str
    month: str
    version: int
    seed: str
    groups: Sequence[str]
    population: Sequence[Sequence[Any]]
    drawn_us: int
    drawn_by: str
    is_late: bool
    row: str  # of the audit trail

    def candidates(self) -> list[Candidate]:
        """Return the population."""
        return [Candidate(one[0], self.groups[one[1]], tuple(one[2])) for one in self.population]


@dataclass(frozen=True, slots=True)
class Review:
    """A call that was drawn, and what its reviewer says."""

    id: str
    plan: str
    month: str
    recording: str
    group: str
    agent: str
    risks: Sequence[str]
    reviewer: str
    due_us: int
    state: str = OPEN
    card: str = ""
    card_version: int | None = None
    answers: Mapping[str, str] | None = None
    score: float | None = None
    outcome: str = ""
    note: str = ""
    coaching: str = ""
    done_us: int | None = None
    done_by: str = ""
    salt: str = ""
    erased: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the review as `--json` shows it."""
        shown = {name: getattr(self, name) for name in Review.__slots__ if name not in ("due_us", "done_us", "salt")}
        shown |= {"risks": list(self.risks), "answers": dict(self.answers or {})}
        done = None if self.done_us is None else rfc3339(self.done_us)
        return {**shown, "due_at": rfc3339(self.due_us), "done_at": done}


class ReviewTable:
    """Raises StoreError."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def plans(self, ended: bool = False) -> list[Version]:
        """Return the newest version of each plan. ended: also of those that ended."""
        with self._catalogue.reading() as connection:
            query = select(review_plans).order_by(review_plans.c.name, review_plans.c.version)
            found = {row.name: Version(*row) for row in connection.execute(query)}
        return [one for one in found.values() if ended or one.ended_us is None]

    def plan(self, name: str, version: int | None = None) -> Version:
        """Return a plan: its newest version, or another one. Raises NoSuch."""
        query = select(review_plans).where(review_plans.c.name == name).order_by(review_plans.c.version.desc())
        if version is not None:
            query = query.where(review_plans.c.version == version)
        with self._catalogue.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NoSuch("there is no such plan", name[:60], "`vittne review plan list` shows them")
        return Version(*row)

    def put_plan(self, name: str, terms: Mapping[str, Any], at_us: int, by: str) -> int:
        """Write a new version of a plan; return its number."""
        with self._catalogue.writing(lasting=True) as connection:
            version = _next(connection, review_plans, name)
            values = {"name": name, "version": version, "terms": dict(terms), "made_us": at_us, "made_by": by}
            connection.execute(insert(review_plans).values(values))
        return version

    def end_plan(self, name: str, version: int, at_us: int) -> None:
        """Note that nothing is drawn by a plan any more."""
        which = and_(review_plans.c.name == name, review_plans.c.version == version)
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(review_plans).where(which).values(ended_us=at_us))

    def cards(self) -> list[Version]:
        """Return the newest version of each card."""
        with self._catalogue.reading() as connection:
            query = select(review_cards).order_by(review_cards.c.name, review_cards.c.version)
            return list({row.name: Version(*row) for row in connection.execute(query)}.values())

    def card(self, name: str) -> Version:
        """Return the newest version of a card. Raises NoSuch."""
        query = select(review_cards).where(review_cards.c.name == name).order_by(review_cards.c.version.desc())
        with self._catalogue.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise NoSuch("there is no such scorecard", name[:60], "`vittne review card list` shows them")
        return Version(*row)

    def put_card(self, name: str, body: Mapping[str, Any], at_us: int, by: str) -> int:
        """Write a new version of a card; return its number."""
        with self._catalogue.writing(lasting=True) as connection:
            version = _next(connection, review_cards, name)
            values = {"name": name, "version": version, "body": dict(body), "made_us": at_us, "made_by": by}
            connection.execute(insert(review_cards).values(values))
        return version

    def put_draw(self, draw: Draw, drawn: Sequence[Review]) -> None:
        """Write a draw and its reviews; all or nothing."""
        with self._catalogue.writing(lasting=True) as connection:
            values = {name: getattr(draw, name) for name in Draw.__slots__}
            connection.execute(insert(review_draws).values(values))
            rows = [
                {**{name: getattr(one, name) for name in _COLUMNS}, "answers": dict(one.answers or {})} for one in drawn
            ]
            for begin in range(0, len(rows), _CHUNK):
                connection.execute(insert(reviews), rows[begin : begin + _CHUNK])

    def draws(self, month: str = "", plan: str = "") -> list[Draw]:
        """Return draws, the first one first."""
        query = select(review_draws).order_by(review_draws.c.month, review_draws.c.plan)
        if month:
            query = query.where(review_draws.c.month == month)
        if plan:
            query = query.where(review_draws.c.plan == plan)
        with self._catalogue.reading() as connection:
            return [Draw(*row) for row in connection.execute(query)]

    def reviews(self, **wanted: Any) -> list[Review]:
        """Return reviews by when they are due. wanted: columns and what stands in them; "" for whatever."""
        query = select(reviews, calls.c.erased_us).outerjoin(calls, calls.c.id == reviews.c.recording)
        for name, value in wanted.items():
            if value:
                query = query.where(reviews.c[name] == value)
        query = query.order_by(reviews.c.due_us, reviews.c.plan, reviews.c.group, reviews.c.id)
        with self._catalogue.reading() as connection:
            return [_review(row) for row in connection.execute(query)]

    def review(self, prefix: str) -> Review:
        """Return the review whose id, or whose recording's id, begins so. Raises NoSuch."""
        begins = prefix.strip().lower()
        query = select(reviews, calls.c.erased_us).outerjoin(calls, calls.c.id == reviews.c.recording)
        found: Sequence[Any] = []
        with self._catalogue.reading() as connection:
            for column in (reviews.c.id, reviews.c.recording):
                if begins and not found:
                    which = column.startswith(begins, autoescape=True)
                    found = connection.execute(query.where(which).limit(2)).all()
        if len(found) != 1:
            what = "several reviews have such an id" if found else "no review has this id"
            raise NoSuch(what, prefix[:60], "`vittne review queue` shows them")
        return _review(found[0])

    def change(self, review: str, **values: Any) -> None:
        """Write columns of a review."""
        with self._catalogue.writing(lasting=True) as connection:
            connection.execute(update(reviews).where(reviews.c.id == review).values(values))


def forget_reviews(connection: Connection, recordings: Iterable[str]) -> None:
    """Take out of reviews of erased recordings what people wrote, and who it was about; score and outcome stay."""
    gone: dict[str, Any] = {"group": "", "agent": "", "answers": {}, "note": "", "coaching": "", "salt": ""}
    connection.execute(update(reviews).where(reviews.c.recording.in_(list(recordings))).values(gone))


_COLUMNS: Final = tuple(column.name for column in reviews.c)


def _review(row: Any) -> Review:
    values: dict[str, Any] = dict(zip(_COLUMNS, row[:-1], strict=True))
    return Review(**values, erased=row[-1] is not None)


def _next(connection: Connection, table: Any, name: str) -> int:
    return int(connection.execute(select(func.max(table.c.version)).where(table.c.name == name)).scalar() or 0) + 1
