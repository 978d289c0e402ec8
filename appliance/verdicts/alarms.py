"""Alarms on calls that were not announced: one for each call where a rule says so, and one for the share of them.

The share is that of the last calls which a rule wanted announced. It raises one alarm when it goes above a limit, and
is told to be over when it falls below a lower one, so that it does not come and go with every call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

import structlog

from vittne.appliance.policy.announcements import UnannouncedConfig
from vittne.appliance.verdicts.books import alarm_of
from vittne.appliance.verdicts.stored import is_missing
from vittne.appliance.verdicts.table import Kept

log = structlog.get_logger()

_LEAST: Final = 0.1  # of the calls of the window must have ended before a share says anything, ten at least
_LEAST_CALLS: Final = 10


class UnannouncedAlarms:
    """Sees every verdict as calls end."""

    def __init__(self, config: UnannouncedConfig, missing: Iterable[bool] = ()) -> None:
        """missing: of the calls that ended before this start, the oldest first."""
        self._config = config
        self._last: deque[bool] = deque(missing, config.calls)
        self.is_high = False

    def tell(self, verdicts: Iterable[Kept]) -> None:
        """Raise the alarms that verdicts on calls that ended now ask for."""
        for one in verdicts:
            if not one.told.get("expected"):
                continue
            self.tell_one(one)
            self._last.append(is_missing(one.told))
            self._look()

    def tell_one(self, one: Kept) -> None:
        """Raise the alarm that a verdict asks for, if it does."""
        if alarm_of(one.told):
            log.error(
                "alarm: a call was not announced as its rule wants",
                recording=one.recording,
                rule=one.told.get("rule", ""),
                announced=one.told["announced"],
                reason=one.told.get("reason", ""),
            )

    @property
    def share(self) -> float:
        """The share of the last calls that were not announced, in percent."""
        return 100 * sum(self._last) / len(self._last) if self._last else 0.0

    def _look(self) -> None:
        if len(self._last) < max(_LEAST_CALLS, _LEAST * self._config.calls):
            return
        told = {"percent": round(self.share, 1), "calls": len(self._last)}
        if not self.is_high and self.share > self._config.above_percent:
            self.is_high = True
            log.error("alarm: too many of the last calls were not announced", **told)
        elif self.is_high and self.share < self._config.below_percent:
            self.is_high = False
            log.info("calls are announced again", **told)
