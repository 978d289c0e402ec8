"""A route: method, path, handler, and who may use it. No route is without the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiohttp.typedefs import Handler

from vittne.appliance.api.scopes import SCOPES

PREFIX: Final = "/api/v1"


@dataclass(frozen=True, slots=True)
class Access:
    """Who may use a route.

    scope: what the token must allow; "" is any token. in_url: the token may also come as ?token=, for telephones
    and other things that can only GET an address. Others see what is in an address (proxies, histories), so a route
    opts in one by one, and such a token should have `--from`.
    """

    is_public: bool = False
    scope: str = ""
    in_url: bool = False


PUBLIC: Final = Access(is_public=True)
ANY_TOKEN: Final = Access()


def needs(scope: str, in_url: bool = False) -> Access:
    """Return the access of a route that needs a token with a scope."""
    assert scope in SCOPES
    return Access(scope=scope, in_url=in_url)


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address. path begins with PREFIX; {name} is any text but a slash."""

    method: str
    path: str
    handler: Handler
    access: Access
