"""Checks of backups, and of whether anybody tried to go on from one."""

from __future__ import annotations

from typing import Final

from vittne.appliance.backup.standing import last_backup_us, last_drill_us
from vittne.appliance.compliance.finding import Finding, many, met_if
from vittne.appliance.compliance.looking import Looking
from vittne.appliance.seal import events
from vittne.appliance.store.times import rfc3339

_HOUR_US: Final = 3_600_000_000
_LATE: Final = 2  # times what is configured


def backed_up(at: Looking) -> Finding:
    """A backup was written lately, and nothing was missing in it."""
    last = last_backup_us(at.data)
    found = at.ledger.of(events.BACKED_UP)
    count = f"{many(len(found), 'backup')} in the ledger in this time"
    if last is None:
        return met_if(False, "no backup of this archive is known", count)
    is_late = at.now_us - last > _LATE * at.config.backup.every_hours * _HOUR_US
    missing = int(found[-1].get("missing", 0)) if found else 0
    return met_if(
        not (is_late or missing),
        f"the last backup ended at {rfc3339(last)[:19]}{', that is late' if is_late else ''}",
        f"{many(missing, 'recording')} missing in it" if missing else "",
        count,
    )


def drilled(at: Looking) -> Finding:
    """A restore was tried with the key in use, and succeeded."""
    last = last_drill_us(at.data)
    found = at.ledger.of(events.DRILLED)
    bad = sum(not one.get("ok") for one in found)
    count = f"{many(len(found), 'drill')} in the ledger in this time, {bad} without success"
    if last is None:
        return met_if(False, "no drill has succeeded with the archive key in use", count)
    is_old = at.now_us - last > at.config.backup.drill_days * 24 * _HOUR_US
    words = f"the last drill that succeeded was at {rfc3339(last)[:19]}"
    allowed = f"that is more than {at.config.backup.drill_days} days ago" if is_old else ""
    return met_if(not is_old, words, allowed, count)
