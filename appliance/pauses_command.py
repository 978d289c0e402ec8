"""`vittne pauses`: the pauses that were asked for, and what they say of who asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.pauseconfig import PauseConfig
from vittne.appliance.pausequeries import pauses_between, talks_of
from vittne.appliance.pausereport import Bounds, Group, agent_of, as_json, groups_of
from vittne.appliance.show import json_array
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us
from vittne.appliance.terminal import RED, YELLOW, Cell, Column, duration, table

_LISTED: Final = (
    Column("asked (UTC)"),
    Column("agent", least=6),
    Column("trigger"),
    Column("by", least=8),
    Column("talk missing", right=True),
    Column("ended by", least=8),
    Column("external id", least=6, spare=1),
    Column("remarks", least=7),
)
_GROUPED: Final = (
    Column("by"),
    Column("who", least=8),
    Column("pauses", right=True),
    Column("missing", right=True),
    Column("longest", right=True),
    Column("of talk", right=True),
    Column("a day", right=True, spare=2),
    Column("lease", right=True, spare=6),
    Column("late", right=True),
    Column("ambiguous", right=True, spare=7),
    Column("no resume", right=True, spare=4),
    Column("no payment", right=True, spare=3),
    Column("forgotten", right=True, spare=5),
    Column("over"),
)


@dataclass(frozen=True, slots=True)
class PausesOptions:
    """Which pauses, and how they are shown. Times are microseconds UTC."""

    since: int | None = None
    until: int | None = None
    agent: str = ""
    report: bool = False
    json: bool = False


def run(data: Path, config: PauseConfig, options: PausesOptions) -> int:
    """Print the pauses that were asked for in a time, or their report; return the exit status."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        pauses = pauses_between(catalogue, options.since, options.until)
        now_at = now_us() * 1000
        talks = talks_of(catalogue, options.since, options.until, pauses, now_at)
    if options.agent:
        pauses = [pause for pause in pauses if agent_of(pause, talks) == options.agent]
    if options.report:
        groups = groups_of(pauses, talks, Bounds(config.report_longest_s, config.report_most_per_day), now_at)
        _print([group.as_json() for group in groups], [_group_cells(group) for group in groups], _GROUPED, options.json)
    else:
        rows = [as_json(pause, talks, now_at) for pause in pauses]
        _print(rows, [_cells(row) for row in rows], _LISTED, options.json)
    return 0


def _print(
    rows: list[dict[str, Any]], cells: list[list[str | Cell]], columns: tuple[Column, ...], is_json: bool
) -> None:
    if is_json:
        sys.stdout.writelines(json_array(rows))
    else:
        print("\n".join(table(columns, cells) if cells else ["no pauses"]))


def _cells(row: dict[str, Any]) -> list[str | Cell]:
    remarks = [word for word in ("overdue", "incomplete", "ambiguous") if row[word]]
    if row["state"] == "unconfirmed":
        remarks.append("unconfirmed")
    return [
        str(row["asked_at"])[:19].replace("T", " "),
        row["agent"],
        row["trigger"],
        row["by"],
        duration(row["seconds"]),
        row["ended_by"] or "goes on",
        row["external_id"],
        Cell(", ".join(remarks), YELLOW),
    ]


def _group_cells(group: Group) -> list[str | Cell]:
    counts = (group.lease, group.incomplete, group.ambiguous, group.no_resume, group.no_payment, group.digits)
    return [
        group.by,
        group.name or "unknown",
        str(group.pauses),
        duration(group.total_s),
        duration(group.longest_s),
        "" if group.share is None else f"{group.share:.1%}",
        str(group.most_per_day),
        *(str(count or "") for count in counts),
        Cell(", ".join(group.over), RED),
    ]
