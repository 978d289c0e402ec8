"""`vittne announcement unannounced`, `coverage`, `verdict`, `release` and `discard`.

Exit status: 0 done, or nothing is missing; 1 something is, or refused; 3 a second person has to approve.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import BOLD, GREEN, RED, YELLOW, Cell, Column, clean, painted, table
from vittne.appliance.verdicts.sums import BY, Missing, Told, Which, missing, sums
from vittne.appliance.verdicts.table import Kept, VerdictTable
from vittne.appliance.verdicts.words import told_words

if TYPE_CHECKING:
    from vittne.appliance.control.operation import Operation, Order
    from vittne.appliance.life.policy import LifePolicy

WAITS: Final = 3
_SHOWN: Final = 20  # of each table; --json has all
_COLOURS: Final = {"full": GREEN, "partial": YELLOW, "none": RED, "not-listened": YELLOW}


def unannounced(data: Path, which: Which, as_json: bool) -> int:
    """Print the calls that were not announced; exit status 1 when there is one."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = missing(catalogue, which)
    if as_json:
        sys.stdout.writelines(json_array(one.as_json() for one in found))
        return int(bool(found))
    if not found:
        print(painted("nothing lies in quarantine" if which.quarantined else "no announcement is missing", GREEN))
        return 0
    columns = [
        *(Column("id"), Column("answered (UTC)", least=16), Column("caller", least=8), Column("callee", least=8)),
        *(Column("verdict"), Column("reason", least=8), Column("rule", least=6, spare=1), Column("site", spare=2)),
        *(Column("at (s)", right=True), Column("kept")),
    ]
    print("\n".join([*table(columns, [_cells(one) for one in found]), f"{len(found)} calls"]))
    return 1


def _cells(one: Missing) -> list[str | Cell]:
    kept = "quarantine" if one.quarantined_us is not None else "yes" if one.is_kept else "no"
    return [
        one.id[:8],
        rfc3339(one.at_us)[:19].replace("T", " "),
        clean(one.caller),
        clean(one.callee),
        Cell(one.announced, _COLOURS.get(one.announced, "")),
        one.reason,
        clean(one.rule),
        clean(one.site),
        "" if one.offset_s is None else f"{one.offset_s:.1f}",
        Cell(kept, YELLOW if kept == "quarantine" else ""),
    ]


def coverage(data: Path, zone: str, since_us: int | None, until_us: int | None, as_json: bool) -> int:
    """Print how many calls were announced; exit status 1 when one was not that should have been."""
    begin, end = since_us or 0, now_us() if until_us is None else until_us
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = sums(catalogue, begin, end, ZoneInfo(zone))
    if as_json:
        sys.stdout.write(json_object({"timezone": zone, **found.as_json()}))
        return int(bool(found.total.missing))
    print("\n".join(lines_of(found.total, found.by)))
    return int(bool(found.total.missing))


def lines_of(total: Told, by: dict[str, dict[str, Told]]) -> list[str]:
    """Return sums as tables."""
    if not total.expected and not any(total.words.values()):
        return ["no call was listened to, and no rule wants one announced"]
    counts = ", ".join(f"{word} {count}" for word, count in total.words.items() if count)
    words = f"{total.expected} calls should be announced, {total.proven} were{_percent(total)}; heard: {counts}"
    lines = [painted(words, RED if total.missing else GREEN)]
    for word in BY:
        if by[word]:
            lines += ["", *_table(word, by[word])]
    return lines


def _percent(one: Told) -> str:
    return "" if one.share is None else f" ({100 * one.share:.1f} %)"


def _table(title: str, found: dict[str, Told]) -> list[str]:
    names = ("expected", "announced", "share", "partial", "none", "not-listened")
    rows = list(found.items())
    if title not in ("hour", "day"):
        rows.sort(key=lambda one: (-one[1].missing, -one[1].expected, one[0]))
    cells: list[list[str | Cell]] = [
        [
            clean(name) or "?",
            str(one.expected),
            str(one.proven),
            Cell("" if one.share is None else f"{100 * one.share:.1f} %", RED if one.missing else ""),
            *(str(one.words[word]) for word in names[3:]),
        ]
        for name, one in rows[:_SHOWN]
    ]
    more = [f"and {len(rows) - _SHOWN} more: --json has all"] if len(rows) > _SHOWN else []
    return [*table([Column(title, least=8), *(Column(name, right=True) for name in names)], cells), *more]


def verdicts(data: Path, prefix: str, as_json: bool) -> int:
    """Print all verdicts on a call; exit status 1 when there is none."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = VerdictTable(catalogue).of(catalogue.get(prefix).id)
    if as_json:
        sys.stdout.writelines(json_array(one.as_json() for one in found))
    else:
        print("\n".join(line for one in found for line in verdict_lines(one)) or "nobody listened to this call")
    return int(not found)


def verdict_lines(one: Kept) -> list[str]:
    """Return a verdict in lines."""
    told = one.told
    head = f"{one.n}  {rfc3339(one.at_us)[:19]}  {told['announced']}  by {one.made_by}"
    return [painted(head, BOLD), *(f"   {words}" for words in told_words(told))]


def release(data: Path, policy: LifePolicy, prefix: str, reason: str, by: str) -> int:
    """Take a call out of quarantine."""
    from vittne.appliance.verdicts.operations import RELEASE_QUARANTINE, ReleaseQuarantine  # noqa: PLC0415

    order = ReleaseQuarantine(recording=prefix, reason=reason)
    return _ask(data, policy, RELEASE_QUARANTINE, order, by, "it is out of quarantine: who may hear others may hear it")


def discard(data: Path, policy: LifePolicy, prefix: str, reason: str, by: str) -> int:
    """Erase a call that lies in quarantine."""
    from vittne.appliance.verdicts.operations import DISCARD_QUARANTINE, DiscardQuarantine  # noqa: PLC0415

    order = DiscardQuarantine(recording=prefix, reason=reason)
    done = "it is erased: `vittne erase --certificate` prints the certificate"
    return _ask(data, policy, DISCARD_QUARANTINE, order, by, done)


def _ask(data: Path, policy: LifePolicy, operation: Operation[Any], order: Order, by: str, done: str) -> int:
    from vittne.appliance.control.client import perform  # noqa: PLC0415

    answer = perform(data, operation, order, by, policy=policy)
    if "waits" in answer:
        print(f"a second person has to approve: vittne request approve {answer['waits']}")
        return WAITS
    print(f"{answer['recording']}: {done}")
    return 0
