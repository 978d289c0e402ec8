"""A route: method, path, handler, who may use it, and what goes in and out. No route is without these.

The OpenAPI document (openapi.py) is made from routes alone, from the same models that check requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from aiohttp.typedefs import Handler
from pydantic import BaseModel

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.secondfactor import Lacking

PREFIX: Final = "/api/v1"
JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route.

    scope: what the token or the role must allow; "" is whoever is known. others: any of these does as well.
    in_url: the token may also come as ?token=, for telephones and other things that can only GET an address. Others
    see what is in an address (proxies, histories), so a route opts in one by one, and such a token
    should have `--from`. while_lacking: also for somebody who logged in and has yet to show, or to set up, a second
    factor. is_fresh: somebody who is logged in must have shown lately to be who they say.
    """

    is_public: bool = False
    scope: str = ""
    in_url: bool = False
    while_lacking: frozenset[Lacking] = frozenset()
    is_fresh: bool = False
    others: tuple[str, ...] = ()

    @property
    def scopes(self) -> tuple[str, ...]:
        """Those of which one is needed; none: whoever is known."""
        return (self.scope, *self.others) if self.scope else ()


PUBLIC: Final = Access(is_public=True)
ANYBODY: Final = Access()
HALF: Final = Access(while_lacking=frozenset({"prove", "enrol"}))  # the way to the second factor, and out
ENROLLING: Final = Access(while_lacking=frozenset({"enrol"}), is_fresh=True)
FRESH: Final = Access(is_fresh=True)


def needs(scope: str, *others: str, in_url: bool = False, is_fresh: bool = False) -> Access:
    """Return the access of a route that needs a scope, or one of several."""
    assert {scope, *others} <= SCOPES.keys()
    return Access(scope=scope, in_url=in_url, others=others, is_fresh=is_fresh)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a status comes with. model: of a JSON body; else media: what the body is, "" for none."""

    words: str
    model: type[BaseModel] | None = None
    media: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What the OpenAPI document says of a route.

    group: the heading it stands under. problems: statuses of errors beside those that every route has.
    """

    summary: str
    group: str
    answers: Mapping[int, Answer] = field(default_factory=dict)
    body: type[BaseModel] | None = None
    body_media: str = JSON
    is_body_needed: bool = True
    query: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    is_idempotent: bool = False  # takes Idempotency-Key
    words: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address. path begins with PREFIX; {name} is any text but a slash."""

    method: str
    path: str
    handler: Handler
    access: Access
    about: About
