"""`vittne announcement list` and `show`: what the catalogue knows; nothing heavy is loaded for it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vittne.appliance.announcements.shown import HASH_SHOWN, is_over, listed, row_of
from vittne.appliance.announcements.sounds import sound_problem
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.datadir import config_file
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, Column, clean, painted, table

if TYPE_CHECKING:
    from vittne.appliance.announcements.handle import ReferenceHandle
    from vittne.appliance.announcements.openers import Undecided


class Listing:
    """Shows the announcements of a data directory."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def list(self, with_retired: bool, as_json: bool, config: Path | None = None) -> int:
        """List announcements; 1 when a sound is gone, or nothing decides a gate. config: where the rules are."""
        now = now_us()
        with Catalogue(self._data / CATALOGUE_FILE, read_only=True) as catalogue:
            announcements = AnnouncementTable(catalogue)
            newest = [one for one in announcements.newest() if with_retired or not is_over(one, now)]
            counting = {one.name: one for one in announcements.at(now)}
        problems = {one.reference: sound_problem(self._data, one.reference) for one in (*newest, *counting.values())}
        shut = _undecided(config, [one.handle() for one in counting.values() if not problems[one.reference]])
        status = int(bool(shut) or any(problems[one.reference] for one in counting.values()))
        if as_json:
            shown = ({**listed(one, counting.get(one.name)), "problem": problems[one.reference]} for one in newest)
            sys.stdout.writelines(json_array(shown))
            _tell(shut)
            return status
        if not newest:
            print("no announcements: `vittne announcement add NAME FILE` enrols one")
            _tell(shut)
            return status
        names = ("announcement", "version", "purpose", "language", "length", "required", "sites", "counts", "hash")
        rows = [row_of(one, counting.get(one.name), now) for one in newest]
        sys.stdout.write(
            "\n".join(table([Column(name, least=6, right=name == "length") for name in names], rows)) + "\n"
        )
        for one in (*counting.values(), *newest):
            if problem := problems.pop(one.reference, ""):
                print(painted(clean(f"{one.name} is not listened for: {problem}"), RED), file=sys.stderr)
        _tell(shut)
        return status

    def show(self, name: str, version: int | None, as_json: bool) -> int:
        """Show an announcement; 1 when its sound is gone."""
        with Catalogue(self._data / CATALOGUE_FILE, read_only=True) as catalogue:
            announcements = AnnouncementTable(catalogue)
            terms, every = announcements.get(name, version), announcements.versions(name)
            counting = {one.name: one for one in announcements.at(now_us())}.get(name)
        problem = sound_problem(self._data, terms.reference)
        if as_json:
            shown = {**listed(terms, counting), "problem": problem, "versions": [one.as_json() for one in every]}
            sys.stdout.write(json_object(shown))
            return 1 if problem else 0
        said = terms.as_json()
        for key, value in said.items():
            words = ", ".join(map(str, value)) if isinstance(value, list) else value
            print(f"{key:14} {clean('-' if words in (None, '') else words, 200)}")
        state = "none" if counting is None else f"version {counting.version}"
        print(f"{'counts now':14} {painted(state, GREEN if counting is not None else YELLOW)}")
        for one in every:
            since = "ever since" if one.from_us is None else f"from {rfc3339(one.from_us)[:19]}Z"
            what = "retired" if one.retired else one.reference[:HASH_SHOWN]
            print(clean(f"version {one.version}: {what}, {since}, by {one.made_by} at {rfc3339(one.made_us)[:19]}Z"))
        if problem:
            print(painted(problem, RED))
        return 1 if problem else 0


def _undecided(config: Path | None, usable: Sequence[ReferenceHandle]) -> Sequence[Undecided]:
    from vittne.appliance.announcements.openers import undecided  # noqa: PLC0415 - it takes the configuration
    from vittne.appliance.config import load  # noqa: PLC0415

    found = load(config_file(config))
    return undecided(found, found.rules, found.analysis.listen_ns > 0, usable)


def _tell(shut: Sequence[Undecided]) -> None:
    for one in shut:
        print(painted(clean(one.words(), 400), RED), file=sys.stderr)
