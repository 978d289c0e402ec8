"""A configuration that is read anew while it records (SIGHUP): what may change does, all together or not at all.

It is read and checked as at the start. One that cannot be used changes nothing: the one before stays in force, and that
is an alarm until a later one can be used. Sections that are not AT_ONCE keep their values until the next start.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog

from vittne.appliance.config import Config
from vittne.appliance.configtrail import note_config
from vittne.appliance.life.settings import life_policy
from vittne.appliance.log import fault
from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.policy.decide import policy_rules
from vittne.appliance.registrar import Registrar
from vittne.appliance.ruleconfig import refuse_anybody
from vittne.appliance.service.service import Service
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

_THREADS = OwnThreads("reload", 1)
# Everything else waits for a start: workers and other processes have it, or nobody asks for it again.
AT_ONCE: Final = frozenset({"alarms", "expiry"})

Do = Callable[..., Any]


class Follower(Protocol):
    """Who goes by sections that change at once, or by files that the configuration names."""

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return what makes it go by a configuration, which cannot fail. Raises StoreError where it cannot be used."""
        ...


@dataclass(frozen=True, slots=True)
class Difference:
    """in_force: what counts from now on. changed: sections that do; waiting: those for which it takes a restart."""

    in_force: Config
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def compare(before: Config, read: Config) -> Difference:
    """Return what becomes of a configuration that was read while another is in force.

    Where what may change at once does not go with what may not, all of it waits.
    """
    differ = [name for name in Config.model_fields if getattr(before, name) != getattr(read, name)]
    changed = tuple(name for name in differ if name in AT_ONCE)
    waiting = tuple(name for name in differ if name not in AT_ONCE)
    given = before.model_dump(exclude_unset=True)
    mixed = {**given, **{name: getattr(read, name).model_dump(exclude_unset=True) for name in changed}}
    try:
        return Difference(Config.model_validate(mixed), changed, waiting)
    except ValueError:
        return Difference(before, (), tuple(differ))


class Reloader:
    """Reads the configuration anew when asked. config: in force."""

    def __init__(self, config: Config, read: Callable[[], Config], registrar: Registrar, service: Service) -> None:
        """read: as the start did it."""
        self.config = config
        self.followers: list[Follower] = []
        self._read = read
        self._registrar = registrar
        self._service = service
        self._asked = asyncio.Event()
        self._is_refused = False

    async def run(self, do: Do) -> None:
        """Wait for SIGHUP, until cancelled. do: runs what writes the books."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._service.reloading(time.monotonic_ns() // 1000)
            try:
                await self.once(do)
            finally:
                self._service.reloaded()

    async def once(self, do: Do) -> bool:
        """Read it anew; whether it could be used."""
        try:
            found = await _THREADS.run(self._checked)
            difference = compare(self.config, found)
            ready = [one.prepare(difference.in_force) for one in self.followers]
            await do(note_config, self._registrar, difference.in_force)
        except StoreError as error:
            return self._refuse(str(error))
        except Exception as error:  # a fault of ours
            return self._refuse(fault(error))
        for use in ready:
            use()
        self.config = difference.in_force
        if self._is_refused:
            self._is_refused = False
            log.info("the configuration can be used again")
        log.info("the configuration was read anew", changed=difference.changed)
        if difference.waiting:
            log.warning("sections of the configuration need a restart", sections=difference.waiting)
        return True

    def _checked(self) -> Config:
        found = self._read()
        refuse_anybody(found.rules)
        policy_rules(found)
        life_policy(found.approval, found.store, found.classes)
        return found

    def _refuse(self, reason: str) -> bool:
        self._is_refused = True
        log.error("alarm: the configuration cannot be used; the one before stays in force", reason=reason)
        return False
