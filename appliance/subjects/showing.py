"""Cases and recordings of persons, as tables and JSON; and the date a case is due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from vittne.appliance.life.precedence import decide
from vittne.appliance.life.table import LifeRow
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.subjects.finding import Found, Who
from vittne.appliance.subjects.reasons import for_the_letter
from vittne.appliance.subjects.table import Case
from vittne.appliance.terminal import RED, YELLOW, Cell, Column, duration, table

_DAY_US: Final = 86_400_000_000


def month_after(at_us: int) -> int:
    """Return the end of the same day a month later, or of that month's last day (Regulation 1182/71, Art. 3(2)(c)).

    >>> rfc3339(month_after(1_769_860_800_000_000))
    '2026-02-28T23:59:59.000000Z'
    """
    day = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(hour=23, minute=59, second=59, microsecond=0)
    year, month = day.year + day.month // 12, day.month % 12 + 1
    for number in range(day.day, 0, -1):
        try:
            return int(day.replace(year=year, month=month, day=number).timestamp()) * 1_000_000
        except ValueError:
            continue
    raise AssertionError


def found_json(one: Found, life: LifeRow) -> dict[str, Any]:
    """Return a recording as `--json` shows it, with the reason for the answer when it may not be erased."""
    decision = decide("erase", life.facts, now_us())
    return {
        "id": one.call.id,
        "started_at": rfc3339(one.call.started_us),
        "duration_s": one.call.duration_s,
        "how": one.how,
        "why": one.why,
        "party": one.party,
        "shared": one.shared,
        "kept": bool(one.call.folder),
        "restricted": life.facts.restricted_us is not None,
        "erasable": decision.allowed,
        "reason": for_the_letter(decision, life.facts),
    }


def found_table(found: Sequence[Found], life: Mapping[str, LifeRow]) -> list[str]:
    """Return the table of recordings of a person."""
    names = ("recording", "started (UTC)", "length", "how", "why", "party", "state")
    cells: list[list[str | Cell]] = []
    for one in found:
        facts = life[one.call.id].facts
        states = ["nothing is kept"] if not one.call.folder else []
        states += ["held"] if facts.holds else []
        states += ["locked"] if facts.locked_until_us is not None and facts.locked_until_us > now_us() else []
        states += ["restricted"] if facts.restricted_us is not None else []
        party = f"{one.party or '?'}{' (with others)' if one.shared else ''}"
        how = Cell(one.how, "" if one.how == "sure" else YELLOW)
        at, length = rfc3339(one.call.started_us)[:19], duration(one.call.duration_s)
        cells.append([one.call.id[:8], at, length, how, one.why, party, ", ".join(states)])
    return table([Column(name, least=6) for name in names], cells)


def case_table(cases: Sequence[Case]) -> list[str]:
    """Return the table of cases."""
    at = now_us()
    cells: list[list[str | Cell]] = []
    for one in cases:
        days = (one.due_us - at) // _DAY_US
        left = one.outcome if one.closed_us is not None else "overdue" if one.due_us <= at else f"{days} days left"
        who = ", ".join(word for words in Who.from_json(one.who).as_json().values() for word in words)
        colour = RED if left == "overdue" else ""
        cells.append([one.id, one.kind, who or "forgotten", rfc3339(one.opened_us)[:10], rfc3339(one.due_us)[:10]])
        cells[-1].append(Cell(left, colour))
    names = ("case", "request", "who", "opened", "due (UTC)", "state")
    return table([Column(name, least=10 if name == "who" else 0) for name in names], cells)
