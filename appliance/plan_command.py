"""`vittne retention plan` and `what-if`: what would go, what stays and why, and what other rules would change."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from vittne.appliance.life.retention import Planned, Total, add_up, planned, under, unowned
from vittne.appliance.life.table import LifeTable
from vittne.appliance.policy.classes import RetentionClass
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import FAINT, Cell, Column, clean, painted, table

if TYPE_CHECKING:
    from vittne.appliance.policy.decide import PolicyRules

T = TypeVar("T")

_TOGETHER: Final = 500
_SHOWN: Final = 50  # recordings named one by one; --json has all


def print_plan(life: LifeTable, at: int, classes: Mapping[str, RetentionClass], as_json: bool) -> None:
    """Show what a run at that time would do."""
    if not as_json:
        _print(_plan_lines(life, at, classes))
        return
    told = _plan_json(list(planned(life.due(at), at)), at)
    told |= {"without_end": life.without_end(), "without_owner": unowned(life, classes)}
    sys.stdout.write(json.dumps(told) + "\n")


def print_what_if(life: LifeTable, catalogue: Catalogue, rules: PolicyRules, at: int, as_json: bool) -> None:
    """Show what would be otherwise, had other rules been there when recordings were sealed."""
    found = list(changes(life, catalogue, rules, at))
    if as_json:
        said = [{"id": now.row.id, "now": now.as_json(), "then": then.as_json()} for now, then in found]
        sys.stdout.write(json.dumps({"at": rfc3339(at), "changes": said}) + "\n")
        return
    more = [then for now, then in found if then.decision.allowed and not now.decision.allowed]
    less = [then for now, then in found if now.decision.allowed and not then.decision.allowed]
    lines = [f"at {rfc3339(at)}, {len(found)} recordings would have another class, lock or end:"]
    lines += [f"{len(more)} would go that now stay", *(f"  {one.row.id}" for one in more[:_SHOWN])]
    lines += [f"{len(less)} would stay that now go", *(f"  {one.row.id}" for one in less[:_SHOWN])]
    _print([*lines, "nothing was changed: rules count for what is sealed after them"])


def changes(life: LifeTable, catalogue: Catalogue, rules: PolicyRules, at: int) -> Iterator[tuple[Planned, Planned]]:
    """Yield what would be otherwise under other rules: as it is, and as it would be."""
    calls = (call for call in catalogue.list_calls() if call.folder and call.state == FINISHED)
    for some in batched(calls, _TOGETHER):
        by_id = {call.id: call for call in some}
        for row in life.rows(list(by_id)):
            other = under(row, by_id[row.id], rules)
            if other.facts != row.facts:
                now, then = planned([row, other], at)
                yield now, then


def batched(values: Iterator[T], count: int) -> Iterator[list[T]]:
    """Yield lists of so many values; the last one may be shorter."""
    while some := list(islice(values, count)):
        yield some


def rules_in(file: Path) -> PolicyRules:
    from vittne.appliance.config import checked  # noqa: PLC0415
    from vittne.appliance.datadir import read_toml  # noqa: PLC0415
    from vittne.appliance.policy.decide import policy_rules  # noqa: PLC0415

    return policy_rules(checked(read_toml(file), str(file)))


def _plan_json(items: list[Planned], at: int) -> dict[str, Any]:
    totals = [
        {"rule": rule, "class": name, "recordings": total.recordings, "size_bytes": total.size_bytes}
        for (rule, name), total in sorted(add_up(items).items())
    ]
    return {
        "at": rfc3339(at),
        "goes": [one.as_json() for one in items if one.decision.allowed],
        "stays": [one.as_json() for one in items if not one.decision.allowed],
        "totals": totals,
    }


def _plan_lines(life: LifeTable, at: int, classes: Any) -> list[str]:
    """Return the plan for people: the first recordings one by one, all of them in the totals."""
    shown: list[Planned] = []
    count = 0

    def watched() -> Any:
        nonlocal count
        for one in planned(life.due(at), at):
            count += 1
            if len(shown) < _SHOWN:
                shown.append(one)
            yield one

    totals = add_up(watched())
    if not count:
        lines = [f"nothing is due at {rfc3339(at)}"]
    else:
        columns = [Column("id"), Column("goes"), Column("class"), Column("due (UTC)"), Column("rule"), Column("why")]
        lines = table(columns, [_plan_cells(one) for one in shown])
        if count > len(shown):
            lines.append(painted(f"... and {count - len(shown)} more: --json has all", FAINT))
        lines += ["", *_total_lines(totals)]
    for name, number in sorted(unowned(life, classes).items()):
        lines.append(f"class {clean(name)!r} has no end and no owner: {number} recordings stay for ever")
    return lines


def _plan_cells(one: Planned) -> list[str | Cell]:
    facts = one.row.facts
    due = "" if facts.expires_us is None else rfc3339(facts.expires_us)[:16]
    goes = "goes" if one.decision.allowed else "stays"
    return [one.row.id[:8], goes, facts.retention_class, due, one.decision.rule, one.decision.words]


def _total_lines(totals: dict[tuple[str, str], Total]) -> list[str]:
    columns = [Column("rule"), Column("class"), Column("recordings", right=True), Column("bytes", right=True)]
    cells: list[list[str | Cell]] = [
        [rule, name, f"{total.recordings:,}", f"{total.size_bytes:,}"] for (rule, name), total in sorted(totals.items())
    ]
    return table(columns, cells)


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
