"""All sources that are configured, and what they mean for who is logged in: asked at every request (api/auth.py)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from vittne.appliance.access.users import LOCAL, User, folded
from vittne.appliance.signon.directory import Directory
from vittne.appliance.signon.flowcookie import FlowCookies
from vittne.appliance.signon.oidc import OidcClient
from vittne.appliance.signon.settings import SignOnSettings, Source

_MINUTE_US: Final = 60_000_000
_AT_ONCE: Final = 8
_REMEMBERED: Final = 10_000


class Sources:
    """Where people may come from besides the recorder itself."""

    def __init__(self, settings: SignOnSettings | None = None) -> None:
        self.settings = settings or SignOnSettings()
        address = self.settings.address or ""
        self.providers = {
            one.name: OidcClient(one, f"{address}/sign-on/{one.name}/callback") for one in self.settings.oidc
        }
        self.directories = {one.name: Directory(one) for one in self.settings.ldap}
        self.flows = FlowCookies()
        self.turn = asyncio.Semaphore(_AT_ONCE)  # asking directories
        self.trying = asyncio.Lock()
        self._local = frozenset(folded(one) for one in self.settings.local_users)
        self._refresh: OrderedDict[str, str] = OrderedDict()  # user -> refresh token, in memory only
        self._used: OrderedDict[str, None] = OrderedDict()  # logout tokens

    @property
    def all(self) -> list[Source]:
        """Every source, providers first."""
        return [*self.settings.oidc, *self.settings.ldap]

    def named(self, name: str) -> Source | None:
        """Return a source by name."""
        return next((one for one in self.all if one.name == name), None)

    def may_use_password(self, user: User) -> bool:
        """Say whether a local user may log in with what the recorder knows of them."""
        return user.origin == LOCAL and (not self._local or folded(user.name) in self._local)

    def lets_in(self, user: User, checked_us: int | None, now_us: int) -> bool:
        """Say whether a session goes on. checked_us: when its source said yes last; None for a local one."""
        if user.origin == LOCAL:
            return self.may_use_password(user)
        source = self.named(user.origin)
        return source is not None and checked_us is not None and now_us - checked_us < source.trust_min * _MINUTE_US

    def wants_own_factor(self, user: User) -> bool:
        """Say whether a second factor of ours must be set up and shown, whatever the source saw."""
        source = self.named(user.origin)
        return source is not None and source.own_second_factor

    def rights_come_from(self, origin: str) -> Source | None:
        """Return the source whose groups say what its users may do; None where that is said here."""
        source = self.named(origin)
        return source if source is not None and source.let_in == "mapped" else None

    def remember(self, user: str, refresh_token: str) -> None:
        """Keep what a provider can be asked with whether somebody is still there; "" forgets it."""
        self._refresh.pop(user, None)
        if refresh_token:
            self._refresh[user] = refresh_token
        while len(self._refresh) > _REMEMBERED:
            self._refresh.popitem(last=False)

    def refresh_token(self, user: str) -> str:
        """Return it; "" where there is none."""
        return self._refresh.get(user, "")

    def is_first(self, jti: str) -> bool:
        """Say whether a logout token is seen for the first time."""
        if jti in self._used:
            return False
        self._used[jti] = None
        while len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return True
