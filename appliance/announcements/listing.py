"""`vittne announcement list` and `show`: what the catalogue knows; nothing heavy is loaded for it."""

from __future__ import annotations

import sys
from pathlib import Path

from vittne.appliance.announcements.shown import HASH_SHOWN, is_over, listed, row_of
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, Column, clean, painted, table


class Listing:
    """Shows the announcements of a data directory."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def list(self, with_retired: bool, as_json: bool) -> int:
        """List announcements."""
        now = now_us()
        with Catalogue(self._data / CATALOGUE_FILE, read_only=True) as catalogue:
            announcements = AnnouncementTable(catalogue)
            newest = [one for one in announcements.newest() if with_retired or not is_over(one, now)]
            counting = {one.name: one for one in announcements.at(now)}
        if as_json:
            sys.stdout.writelines(json_array(listed(one, counting.get(one.name)) for one in newest))
            return 0
        if not newest:
            print("no announcements: `vittne announcement add NAME FILE` enrols one")
            return 0
        names = ("announcement", "version", "purpose", "language", "length", "required", "sites", "counts", "hash")
        rows = [row_of(one, counting.get(one.name), now) for one in newest]
        sys.stdout.write(
            "\n".join(table([Column(name, least=6, right=name == "length") for name in names], rows)) + "\n"
        )
        return 0

    def show(self, name: str, version: int | None, as_json: bool) -> int:
        """Show an announcement; 1 when its sound is gone."""
        with Catalogue(self._data / CATALOGUE_FILE, read_only=True) as catalogue:
            announcements = AnnouncementTable(catalogue)
            terms, every = announcements.get(name, version), announcements.versions(name)
            counting = {one.name: one for one in announcements.at(now_us())}.get(name)
        from vittne.appliance.announcements.files import SoundMissing, read_sound  # noqa: PLC0415 - they load numpy

        problem = ""
        try:
            read_sound(self._data, terms.reference)
        except SoundMissing as error:
            problem = error.what
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
