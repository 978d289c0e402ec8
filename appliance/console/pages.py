"""A page: its address, who may see it, what it is made of, and where it stands in the navigation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.api.routes import Access


@dataclass(frozen=True, slots=True)
class Item:
    """A place in the navigation. sign: an icon of icons.svg; group: the heading above, in English."""

    label: str
    sign: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A GET of one address. scope: what a role must allow; "": whoever is logged in; None: everybody.

    others: any of these does as well. access: instead of scope, where there is more to say.
    """

    path: str
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    scope: str | None = ""
    item: Item | None = None
    others: tuple[str, ...] = ()
    access: Access | None = None

    @property
    def scopes(self) -> tuple[str, ...]:
        """Those of which one is needed; none: whoever is logged in."""
        return (self.scope, *self.others) if self.scope else ()

    def __post_init__(self) -> None:
        assert set(self.scopes) <= SCOPES.keys()
        assert not self.path.startswith("/api/")
