"""Pages of a list: so many at a time, and a cursor that leads on. It holds the last one's place, not a number.

What is added or taken away meanwhile moves nothing: nothing is told twice, and nothing is left out that was there.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from pydantic import Field

from vittne.appliance.api.bodies import ApiModel
from vittne.appliance.api.problems import Problem

T = TypeVar("T")
Place = tuple[int, str]  # a time or another number, and an id
_LONGEST: Final = 300


class PageQuery(ApiModel):
    """Which page. cursor: `next` of the answer before."""

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str = Field(default="", max_length=_LONGEST)

    @property
    def place(self) -> Place | None:
        """Where the page before ended. Raises Problem."""
        return place_of(self.cursor) if self.cursor else None


def page_of(
    rows: Sequence[T], key: Callable[[T], Place], query: PageQuery, is_falling: bool = False
) -> tuple[list[T], str | None]:
    """Return one page of rows, sorted by key, and the cursor of the next; None behind the last.

    is_falling: the greatest key first.
    """
    ordered = sorted(rows, key=key, reverse=is_falling)
    place = query.place
    if place is not None:
        ordered = [one for one in ordered if (key(one) < place if is_falling else key(one) > place)]
    page = ordered[: query.limit]
    return page, cursor_of(key(page[-1])) if len(ordered) > len(page) else None


def cursor_of(place: Place) -> str:
    """Return a place as a cursor.

    >>> place_of(cursor_of((17, "a")))
    (17, 'a')
    """
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(cursor: str) -> Place:
    """Return the place of a cursor. Raises Problem."""
    try:
        said: Any = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        at, name = said
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise _no_cursor() from None
    if type(at) is not int or not isinstance(name, str) or not -(1 << 63) <= at < 1 << 63:
        raise _no_cursor()
    return at, name


def _no_cursor() -> Problem:
    return Problem(422, "/problems/bad-cursor", "This is no cursor of ours", "take `next` of the page before, as it is")
