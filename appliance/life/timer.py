"""The nightly run of retention, beside a recorder."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from vittne.appliance.config import Config
from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.server import Operator
from vittne.appliance.life.erase import WHEN_READ
from vittne.appliance.life.immutable import why_not
from vittne.appliance.life.retention import RUN_RETENTION, RunRetention, following, unowned
from vittne.appliance.life.settings import ExpiryConfig
from vittne.appliance.log import fault
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.errors import StoreError
from vittne.appliance.subjects.operations import FORGET_CASES, ForgetCases

log = structlog.get_logger()

_LOOK_S: Final = 60.0  # how often the clock is looked at: it may be set


def next_run(after: datetime, hour: int) -> datetime:
    """Return the first time behind `after` at which the hour begins. Both UTC.

    >>> next_run(datetime(2026, 3, 1, 3, 0, 1, tzinfo=UTC), 3).isoformat()
    '2026-03-02T03:00:00+00:00'
    """
    today = after.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > after else today + timedelta(days=1)


class RetentionTimer:
    """Erases what is due, once a night."""

    def __init__(
        self,
        operator: Operator,
        registrar: Registrar,
        config: ExpiryConfig,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        look_s: float = _LOOK_S,
    ) -> None:
        """look_s: how often the clock is looked at."""
        self._now = now
        self._look_s = look_s
        self._operator = operator
        self._registrar = registrar
        self._config = config

    async def run(self) -> None:
        """Go on until cancelled."""
        await asyncio.to_thread(self._tell)  # it counts all calls
        while True:
            config = self._config
            due = next_run(self._now(), config.hour)
            while self._now() < due and self._config == config:
                await asyncio.sleep(self._look_s)
            if self._now() >= due and self._config.enabled:
                await self.once()

    def prepare(self, config: Config) -> Callable[[], None]:
        """Return what makes it go by a configuration's [expiry], within a minute."""

        def use() -> None:
            self._config = config.expiry

        return use

    async def once(self) -> None:
        """Do what a night does. What fails is told, and tried again the next night."""
        try:
            rules = Counter[str]()
            order: RunRetention | None = RunRetention()
            waiting = 0
            while order is not None:
                answer = await self._operator.perform(RUN_RETENTION, order, VITTNE)
                rules.update(answer["rules"])
                waiting += answer["waiting"]
                order = following(answer)
            if waiting:
                words = "alarm: names of erased recordings are still in the catalogue's log, which somebody reads"
                log.error(words, recordings=waiting, do=WHEN_READ)
            log.info("retention", due=rules.total(), rules=dict(rules))
            await self._operator.perform(FORGET_CASES, ForgetCases(), VITTNE)
        except StoreError as error:
            log.error("retention failed", reason=str(error))
        except Exception as error:  # a fault of ours costs this night, never the recorder
            log.error("retention failed", reason=fault(error))

    def _tell(self) -> None:
        """Say at the start what is not as it is configured."""
        if self._registrar.life_policy.immutable:
            reason = why_not(self._registrar.data_dir)
            if reason is not None:
                log.warning("recordings are not made immutable", reason=reason)
        for name, count in unowned(self._registrar.life, self._registrar.life_policy.classes).items():
            log.warning("a class without an end has no owner", retention_class=name, recordings=count)
