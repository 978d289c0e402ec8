"""`vittne announcement check`: stored calls listened to again, and what is found entered beside what was known.

Exit status: 0 as before, or changed and entered; 1 when something could not be listened to, or the same detector with
the same references found another thing than before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vittne.appliance.announcements.files import SoundMissing, read_sound
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.announcements.terms import Terms
from vittne.appliance.config import Config
from vittne.appliance.control.client import perform
from vittne.appliance.hearing.detector import Detector
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.outfile import progress
from vittne.appliance.policy.decide import policy_rules
from vittne.appliance.show import json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.terminal import GREEN, RED, YELLOW, Cell, Column, clean, painted, table
from vittne.appliance.verdicts.check import Checked, Listener, check_call
from vittne.appliance.verdicts.enrolled import played_at
from vittne.appliance.verdicts.operations import ANALYSE, ENTER_VERDICTS, TOGETHER, Analyse, EnterVerdicts, Found, Told
from vittne.appliance.verdicts.table import VerdictTable

_SHOWN: Final = 50


class NothingToCheck(StoreError):
    """Options that name no call."""


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """As the command line says. window: None as when it was recorded, 0 the whole call."""

    ids: list[str]
    all: bool
    names: list[str]
    window: float | None
    dry_run: bool
    by: str
    json: bool
    limit: int | None
    search: dict[str, Any] = field(default_factory=dict)


def run(data: Path, config: Config, options: CheckOptions) -> int:
    """Listen, tell, and enter."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        calls = _calls(catalogue, options)
        newest = VerdictTable(catalogue).newest([call.id for call in calls])
        ears = _Ears(data, AnnouncementTable(catalogue), options.names)
        rules = policy_rules(config).announcement
        checked: list[Checked] = []
        entered = 0
        with progress("listening", len(calls)) as bar:
            for begin in range(0, len(calls), TOGETHER):
                some = calls[begin : begin + TOGETHER]
                refused = perform(data, ANALYSE, Analyse(recordings=[one.id for one in some]), options.by)["refused"]
                found = []
                for call in some:
                    before = newest.get(call.id)
                    if call.id in refused:
                        found.append(Checked(call, before, problem=refused[call.id]))
                    else:
                        found.append(check_call(data, call, ears.of(call), rules, before, options.window))
                    bar(begin + len(found))
                entered += 0 if options.dry_run else _enter(data, found, options.by)
                checked += found
    _tell(checked, entered, options)
    return int(any(one.problem or one.is_differing for one in checked))


class _Ears:
    """Detectors by what they listen for: most calls have the same."""

    def __init__(self, data: Path, known: AnnouncementTable, names: Sequence[str]) -> None:
        self._data = data
        self._known = known
        self._wanted = [known.get(name) for name in names]
        self._made: dict[tuple[tuple[str, int], ...], Listener] = {}

    def of(self, call: CallRow) -> Listener:
        """Return what listens to a call: for what counted when it was, or for what was asked for. Raises StoreError."""
        terms = self._wanted or played_at(self._known.at(call.answered_us or call.started_us), call.site)
        key = tuple((one.name, one.version) for one in terms)
        if key not in self._made:
            self._made[key] = self._made_of(terms)
        return self._made[key]

    def _made_of(self, terms: Sequence[Terms]) -> Listener:
        there, missing, references = [], [], []
        for one in terms:
            try:
                references.append(_reference(self._data, one))
            except SoundMissing as error:
                if self._wanted:
                    raise
                print(painted(f"{clean(one.name)} is not listened for: {clean(str(error), 300)}", RED), file=sys.stderr)
                missing.append(one)
            else:
                there.append(one)
        return Listener(tuple(there), Detector(references), tuple(missing))


def _reference(data: Path, terms: Terms) -> Reference:
    required = tuple((begin / 1000, end / 1000) for begin, end in terms.required_ms)
    return Reference(read_sound(data, terms.reference), required)


def _calls(catalogue: Catalogue, options: CheckOptions) -> list[CallRow]:
    """Return the calls that are asked for and of which something is kept. Raises StoreError."""
    said = {name: value for name, value in options.search.items() if value}
    if options.ids:
        if said or options.all:
            raise NothingToCheck("ids and a search", "check", "give one of the two")
        found = [catalogue.get(one) for one in options.ids]
    elif not said and not options.all:
        raise NothingToCheck("which calls?", "check", "give --id, --since, another search, or --all")
    else:
        names = {"since": "since_us", "until": "until_us"}
        search = Search(**{names.get(name, name): value for name, value in said.items()}, limit=options.limit)
        found = list(catalogue.list_calls(search))
    return [call for call in found if call.folder and call.state == FINISHED and call.erased_us is None]


def _enter(data: Path, found: Sequence[Checked], by: str) -> int:
    """Enter what is new, and the counts of all that was listened to."""
    new = [
        Found(recording=one.call.id, told=Told.model_validate(dict(one.told)), references=list(one.references))
        for one in found
        if one.is_new and one.told is not None
    ]
    order = EnterVerdicts(
        found=new,
        recordings=len(found),
        changed=sum(one.is_changed for one in found),
        differing=sum(one.is_differing for one in found),
        failed=sum(bool(one.problem) for one in found),
    )
    answer = perform(data, ENTER_VERDICTS, order, by)
    return int(answer["entered"])


def _tell(checked: Sequence[Checked], entered: int, options: CheckOptions) -> None:
    counts = {
        "listened": sum(not one.problem for one in checked),
        "changed": sum(one.is_changed for one in checked),
        "differing": sum(one.is_differing for one in checked),
        "failed": sum(bool(one.problem) for one in checked),
        "entered": entered,
    }
    if options.json:
        sys.stdout.write(json_object({**counts, "calls": [one.as_json() for one in checked]}))
        return
    told = [one for one in checked if one.is_changed or one.is_differing or one.problem or one.before is None]
    if told:
        columns = (Column("id"), Column("was"), Column("is"), Column("prompt", least=8), Column("what", least=8))
        print("\n".join(table(columns, [_cells(one) for one in told[:_SHOWN]])))
    if len(told) > _SHOWN:
        print(f"and {len(told) - _SHOWN} more: --json has all")
    words = ", ".join(f"{number} {name}" for name, number in counts.items())
    print(painted(words, RED if counts["differing"] or counts["failed"] else GREEN))
    if options.dry_run:
        print("nothing was entered")


def _cells(one: Checked) -> list[str | Cell]:
    what = " ".join(_what(one))
    was = "-" if one.before is None else str(one.before.told["announced"])
    now = "-" if one.told is None else str(one.told["announced"])
    name = "" if one.told is None else str(one.told.get("name", ""))
    return [one.call.id[:8], was, Cell(now, GREEN if now == "full" else YELLOW), clean(name), clean(what)]


def _what(one: Checked) -> Iterator[str]:
    if one.problem:
        yield one.problem
    elif one.is_differing:
        yield "NOT AS BEFORE: the same detector, the same references"
    elif one.is_changed:
        yield "changed"
    elif one.before is None:
        yield "heard for the first time"
