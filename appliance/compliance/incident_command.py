"""`vittne incident`: what an account did, and incidents with their clock."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.compliance.finding import many
from vittne.appliance.compliance.incident_operations import (
    CLOSE_INCIDENT,
    NOTE_INCIDENT,
    OPEN_INCIDENT,
    CloseIncident,
    NoteIncident,
    OpenIncident,
)
from vittne.appliance.compliance.incidents import Incident, IncidentTable
from vittne.appliance.compliance.scope import CIPHERTEXT, CONTENT, Scope, find_scope
from vittne.appliance.config import Config
from vittne.appliance.control.client import perform
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import FAINT, GREEN, RED, YELLOW, Cell, Column, clean, painted, table

_SHOWN: Final = 20  # recordings named one by one; --json has all
_HOUR_US: Final = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """Whose acts are asked for, and of when. Times are microseconds UTC; None: no bound."""

    actor: str
    since: int | None
    until: int | None


def scope(data: Path, config: Config, account: Account, as_json: bool) -> int:
    """Print what an account did."""
    found = _find(data, config, account)
    if as_json:
        sys.stdout.write(json_object({**found.as_json(), "numbers": list(found.numbers)}))
    else:
        print("\n".join(_scope_lines(found)))
    return 0


def begin(
    data: Path, config: Config, title: str, text: str, known_us: int | None, account: Account | None, by: str
) -> int:
    """Open an incident, with the scope as it is now if an account is named."""
    told = None if account is None else _find(data, config, account).as_json()
    known = now_us() if known_us is None else known_us
    answer = perform(data, OPEN_INCIDENT, OpenIncident(title=title, text=text, known_us=known, scope=told), by)
    with _catalogue(data) as catalogue:
        found = IncidentTable(catalogue).get(answer["incident"])
    print(f"incident {found.id}: the authority must be told before {rfc3339(found.due_us)[:19]} UTC")
    return 0


def note(data: Path, incident: str, text: str, is_told: bool, by: str) -> int:
    """Write what was done, or that the authority was told."""
    answer = perform(data, NOTE_INCIDENT, NoteIncident(incident=incident, text=text, is_told=is_told), by)
    print(f"incident {answer['incident']}: line {answer['n']}")
    return 0


def close(data: Path, incident: str, text: str, by: str) -> int:
    """Close an incident."""
    answer = perform(data, CLOSE_INCIDENT, CloseIncident(incident=incident, text=text), by)
    print(f"incident {answer['incident']}: closed")
    return 0


def list_all(data: Path, everything: bool, as_json: bool) -> int:
    """List incidents. Exit status 1 when the clock of one ran out."""
    at = now_us()
    with _catalogue(data) as catalogue:
        found = [one for one in IncidentTable(catalogue).all() if everything or one.closed_us is None]
    if as_json:
        sys.stdout.writelines(json_array(one.as_json(at) for one in found))
    else:
        columns = [Column("incident"), Column("known (UTC)"), Column("clock", least=8), Column("lines", right=True)]
        rows: list[list[str | Cell]] = [
            [one.id, _moment(one.known_us), _clock(one, at), str(len(one.lines)), clean(one.title)] for one in found
        ]
        print("\n".join(table([*columns, Column("what", least=8)], rows) if rows else ["no incident is open"]))
    return int(any(one.is_late(at) and one.closed_us is None for one in found))


def show(data: Path, incident: str, as_json: bool) -> int:
    """Show everything that was written of an incident."""
    at = now_us()
    with _catalogue(data) as catalogue:
        found = IncidentTable(catalogue).get(incident)
    if as_json:
        sys.stdout.write(json_object(found.as_json(at)))
        return 0
    clock = _clock(found, at)
    lines = [
        f"{found.id}: {clean(found.title)}",
        f"known {_moment(found.known_us)} UTC; {painted(clock.text, clock.colour)}",
    ]
    told: dict[str, Any] = found.lines[0].facts.get("scope") or {}
    if told:
        words = f"scope when it was opened: {clean(told['actor'])}: {told['exposed']} exposed, "
        lines.append(words + f"{len(told['played'])} played, {len(told['copied'])} copied, {told['persons']} persons")
    for line in found.lines:
        lines.append(f"{_moment(line.at_us)}  {line.word:5}  {clean(line.by)}: {clean(line.text, 2000)}")
    print("\n".join(lines))
    return 0


def _find(data: Path, config: Config, account: Account) -> Scope:
    at = now_us()
    since, until = account.since or 0, at if account.until is None else account.until
    if since >= until:
        raise StoreError("the time ends before it begins", "incident", "give --since before --until")
    with _catalogue(data) as catalogue:
        return find_scope(data, catalogue, config.site.own_numbers, account.actor, since, until)


def _scope_lines(found: Scope) -> list[str]:
    colour = {CONTENT: RED, CIPHERTEXT: YELLOW}.get(found.exposed, GREEN)
    told = {
        CONTENT: "content was exposed: sound was heard, or left in clear",
        CIPHERTEXT: "only ciphertext left: bundles that nobody but their recipients opens",
    }.get(found.exposed, "the trail shows no recording that was heard or copied")
    lines = [painted(f"{clean(found.actor)}: {told}", colour)]
    for words, ids in (
        ("played", found.played),
        ("copied in clear", found.copied),
        ("copied encrypted", found.copied_encrypted),
    ):
        lines.append(f"{words}: {many(len(ids), 'recording')}")
        lines += [f"    {one}" for one in ids[:_SHOWN]] + (["    ..."] if len(ids) > _SHOWN else [])
    own = f", and {len(found.own_numbers)} of the site's own" if found.own_numbers else ""
    lines.append(f"persons concerned: {many(len(found.numbers), 'distinct number')}{own}")
    if found.erased_since:
        lines.append(f"    and of {many(found.erased_since, 'recording')} erased since, nobody knows whose")
    lines.append(f"refused: {many(found.refused, 'look')}")
    lines.append(f"searches: {found.searches}; what a plain `list`, `show` and `explain` showed is not entered")
    if found.other:
        lines.append("did besides: " + ", ".join(f"{kind} {count}" for kind, count in sorted(found.other.items())))
    keys = ", ".join(f"{kind} {count}" for kind, count in found.key_events.items())
    lines.append(f"entries about keys in this time, by anybody: {keys or 'none'}")
    if found.keys:
        lines.append(painted(f"keys: {found.keys}", YELLOW))
    lines.append(
        painted("who can read the data directory as its owner leaves no trace here: ask the system's own log", FAINT)
    )
    if found.ledger:
        lines.append(painted(f"the trail cannot be believed: {found.ledger}", RED))
    return lines


def _clock(one: Incident, at_us: int) -> Cell:
    if one.told_us is not None:
        return Cell("told late" if one.is_late(at_us) else "told in time", RED if one.is_late(at_us) else GREEN)
    if one.closed_us is not None:
        return Cell("closed, nobody told", YELLOW)
    hours = (one.due_us - at_us) / _HOUR_US
    return Cell(f"{hours:.1f} h left", YELLOW) if hours > 0 else Cell(f"{-hours:.1f} h over", RED)


def _moment(at_us: int) -> str:
    return rfc3339(at_us)[:19].replace("T", " ")


def _catalogue(data: Path) -> Catalogue:
    return Catalogue(data / CATALOGUE_FILE, read_only=True)
