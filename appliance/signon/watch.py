"""Asking sources whether who is logged in may still be: a group that was left, an account that was shut off.

Each user is asked after every check_min. A directory is asked through its service account, a provider with the refresh
token that it gave. Where a source cannot be asked, its last answer is believed for trust_min (sources.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol

import structlog

from vittne.appliance.access.users import User
from vittne.appliance.control.caller import API, Caller
from vittne.appliance.control.server import Operator
from vittne.appliance.signon.identity import Away, Identity, NotLetIn, NotRight, check_let_in
from vittne.appliance.signon.operations import FOLLOW_SOURCE, FollowSource
from vittne.appliance.signon.sources import Sources
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_LOOK_S: Final = 20.0
_MINUTE_US: Final = 60_000_000


class Held(Protocol):
    """Who is logged in, as the API keeps it (api/sessions.py)."""

    def checked(self, now_us: int) -> dict[str, int]: ...
    def note_checked(self, user: str, now_us: int) -> None: ...


class SignOnWatch:
    """Follows the sources."""

    def __init__(self, operator: Operator, sources: Sources, clock_us: Callable[[], int] = now_us) -> None:
        self._operator = operator
        self._sources = sources
        self._clock_us = clock_us
        self._held: Held | None = None
        self._find: Callable[[str], User | None] = lambda _: None
        self._tried: dict[str, int] = {}
        self._away: set[str] = set()

    def use(self, held: Held, find: Callable[[str], User | None]) -> None:
        """Say where sessions are, and how a user is found by id."""
        self._held, self._find = held, find

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await self.turn()

    async def turn(self) -> None:
        """Ask for everybody whose time has come."""
        if self._held is None:
            return
        now = self._clock_us()
        found = await asyncio.to_thread(self._held.checked, now)
        self._tried = {user: at for user, at in self._tried.items() if user in found}
        for user_id, checked_us in found.items():
            user = await asyncio.to_thread(self._find, user_id)
            source = self._sources.named(user.origin) if user is not None else None
            if user is None or source is None:
                continue
            every_us = source.check_min * _MINUTE_US
            if now - max(checked_us, self._tried.get(user_id, 0)) >= every_us:
                self._tried[user_id] = now
                await self._check(user, now)

    async def _check(self, user: User, now: int) -> None:
        source = self._sources.named(user.origin)
        assert source is not None
        assert self._held is not None
        try:
            found = await self._asked(user)
            if found == ():
                return
            roles = check_let_in(source, next(iter(found))) if found is not None else None
            order = FollowSource(user=user.id, roles=roles, is_gone=found is None)
        except NotLetIn:
            order = FollowSource(user=user.id, is_gone=True)
        except (Away, NotRight) as error:
            if source.name not in self._away:
                log.warning("a source could not be asked who may still be logged in", reason=str(error))
            self._away.add(source.name)
            return
        self._away.discard(source.name)
        if order.is_gone and source.let_in == "mapped":
            order = order.model_copy(update={"roles": ()})
        done = await self._operator.perform(FOLLOW_SOURCE, order, Caller(source.name, API))
        if done["out"]:
            self._sources.remember(user.id, "")
            log.info("somebody was logged out: their source does not let them in any more", user=user.id)
        else:
            await asyncio.to_thread(self._held.note_checked, user.id, now)

    async def _asked(self, user: User) -> Iterable[Identity] | None:
        """Return who it is now; None for nobody any more, () where nothing can be asked."""
        directory, provider = (
            self._sources.directories.get(user.origin),
            self._sources.providers.get(user.origin),
        )
        if directory is not None and directory.source.bind_dn:
            async with self._sources.turn:
                found = await directory.look_up(user.subject)
            return None if found is None else (found,)
        token = self._sources.refresh_token(user.id)
        if provider is None or not token:
            return ()
        signed = await provider.ask_again(token, user.subject)
        if signed is None:
            return None
        self._sources.remember(user.id, signed.refresh_token or token)
        return (signed.identity,)
