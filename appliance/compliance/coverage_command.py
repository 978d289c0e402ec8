"""`vittne coverage`: a day's answered calls against its recordings, and users who are silent."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from vittne.appliance.compliance.coverage import (
    BY_RULE,
    ERASED,
    GOES_ON,
    MISSING,
    SEALED,
    Coverage,
    Sums,
    answered_calls,
    cover,
    lost_packets,
    standstill,
)
from vittne.appliance.compliance.ledgerfacts import read_ledger
from vittne.appliance.compliance.users import Silent, read_users, silent
from vittne.appliance.config import Config
from vittne.appliance.show import json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import BOLD, GREEN, RED, YELLOW, Cell, Column, clean, painted, table
from vittne.appliance.verdicts.command import lines_of
from vittne.appliance.verdicts.judge import NOT_EXPECTED
from vittne.appliance.verdicts.sums import Sums as Announced
from vittne.appliance.verdicts.sums import sums

_SHOWN: Final = 20  # of each table; --json has all


@dataclass(frozen=True, slots=True)
class CoverageOptions:
    """As the command line says. silent_days: how long somebody may be without a recording."""

    day: date
    users: Path | None
    silent_days: int
    json: bool


def run(data: Path, config: Config, options: CoverageOptions) -> int:
    """Print a day's coverage. Exit status 1 when a call or a notice is missing, or somebody in scope is silent."""
    zone: tzinfo = ZoneInfo(config.site.timezone)
    since_us, until_us = day_us(options.day, zone)
    ledger = read_ledger(data, since_us, until_us)
    if ledger.broken:
        raise StoreError("the ledger cannot be believed", data / "ledger", ledger.broken)
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = cover(answered_calls(catalogue, data, ledger.sealed, since_us, until_us), zone)
        runs = catalogue.runs()
        notices = sums(catalogue, since_us, until_us, zone)
        quiet: list[Silent] = []
        if options.users is not None:
            first_us, _ = day_us(options.day - timedelta(days=options.silent_days - 1), zone)
            lately = answered_calls(catalogue, data, ledger.sealed, first_us, until_us)
            quiet = silent(read_users(options.users), options.day, lately)
    stood = standstill(runs, since_us, min(until_us, now_us()))
    lost = lost_packets(runs, since_us, until_us)
    if options.json:
        told: dict[str, Any] = {"day": options.day.isoformat(), "timezone": config.site.timezone, **found.as_json()}
        told["announcements"] = notices.as_json()
        told["not_running"] = [{"from": rfc3339(begin), "to": rfc3339(end)} for begin, end in stood]
        told["packets_lost"] = lost
        told["silent"] = [one.as_json() for one in quiet] if options.users is not None else None
        sys.stdout.write(json_object(told))
    else:
        lines = [*_lines(found), *_notices(notices), *_outside(stood, lost), *_silent_lines(quiet, options)]
        print("\n".join(lines))
    return int(bool(found.missing or quiet or notices.total.missing))


def day_us(day: date, zone: tzinfo) -> tuple[int, int]:
    """Return begin and end of a day by a zone's clock, microseconds UTC."""
    return tuple(  # type: ignore[return-value]
        int(datetime.combine(one, time(), zone).astimezone(UTC).timestamp()) * 1_000_000
        for one in (day, day + timedelta(days=1))
    )


def _lines(found: Coverage) -> list[str]:
    total = found.total
    if not total.calls:
        return ["no call was answered"]
    words = f"{total.calls} calls answered ({total.dialogs} dialogs): "
    words += ", ".join(f"{total.states[name]} {told}" for name, told in _WORDS.items() if total.states[name])
    lines = [painted(words, RED if found.missing else GREEN)]
    lines.append("outcomes: " + ", ".join(f"{name} {count}" for name, count in sorted(total.outcomes.items())))
    hours = [(f"{hour:02}:00", sums) for hour, sums in sorted(found.hours.items())]
    for title, rows in (("hour", hours), ("trunk", _most(found.trunks)), ("number", _most(found.numbers))):
        lines += ["", *_table(title, rows)]
    if found.missing:
        lines += ["", painted("missing", BOLD)]
        for one in found.missing[:_SHOWN]:
            who = " > ".join(one.numbers)
            lines.append(f"{rfc3339(one.at_us)[:19]}  {one.id[:8]}  {clean(who)}  {clean(one.reason)}")
        lines += [f"and {len(found.missing) - _SHOWN} more: --json has all"] if len(found.missing) > _SHOWN else []
    return lines


_WORDS: Final = {
    SEALED: "with a sealed recording",
    BY_RULE: "not kept, by a rule",
    ERASED: "erased since",
    GOES_ON: "going on",
    MISSING: "MISSING",
}


def _table(title: str, rows: list[tuple[str, Sums]]) -> list[str]:
    names = ("answered", "sealed", "by rule", "erased", "missing")
    columns = [Column(title, least=8), *(Column(name, right=True) for name in names)]
    cells: list[list[str | Cell]] = [
        [
            clean(name),
            str(sums.calls),
            str(sums.states[SEALED]),
            str(sums.states[BY_RULE]),
            str(sums.states[ERASED]),
            Cell(str(sums.states[MISSING]), RED if sums.states[MISSING] else ""),
        ]
        for name, sums in rows[:_SHOWN]
    ]
    more = [f"and {len(rows) - _SHOWN} more: --json has all"] if len(rows) > _SHOWN else []
    return [*table(columns, cells), *more]


def _most(sums: dict[str, Sums]) -> list[tuple[str, Sums]]:
    """Return those with something missing first, then the busiest."""
    return sorted(sums.items(), key=lambda one: (-one[1].states[MISSING], -one[1].calls, one[0]))


def _notices(found: Announced) -> list[str]:
    """Return how many calls were announced; nothing where nobody listens and no rule asks."""
    if not found.total.expected and not any(count for word, count in found.total.words.items() if word != NOT_EXPECTED):
        return []
    return ["", painted("announcements", BOLD), *lines_of(found.total, found.by)]


def _outside(stood: list[tuple[int, int]], lost: dict[str, int]) -> list[str]:
    """Return what no sum can count: times without a recorder, packets that nobody looked at."""
    lines = [""]
    for begin, end in stood[:_SHOWN]:
        lines.append(painted(f"no recorder is known to have run from {rfc3339(begin)} to {rfc3339(end)}", YELLOW))
    if lost:
        words = ", ".join(f"{layer} {number}" for layer, number in lost.items())
        lines.append(painted(f"packets not looked at, in the runs of this day: {words}", YELLOW))
    return lines if len(lines) > 1 else []


def _silent_lines(quiet: list[Silent], options: CoverageOptions) -> list[str]:
    if options.users is None:
        return []
    if not quiet:
        return ["", painted(f"everybody in scope was recorded in the last {options.silent_days} days", GREEN)]
    lines = ["", painted(f"in scope, and without a recording in the last {options.silent_days} days", BOLD)]
    for one in quiet:
        last = (
            "no call at all" if one.last_us is None else f"{one.answered} calls, the last {rfc3339(one.last_us)[:19]}"
        )
        lines.append(painted(f"{clean(one.number)}: {last}", YELLOW))
    return lines
