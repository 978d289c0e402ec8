"""`vittne announcement`: asking for what changes announcements, and showing them."""

from __future__ import annotations

import argparse
import base64
import sys
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vittne.appliance.announcements.alike import Alike, alike
from vittne.appliance.announcements.enrol import Prepared, prepare, within
from vittne.appliance.announcements.files import SoundMissing, as_bytes, read_sound
from vittne.appliance.announcements.operations import (
    ADD_ANNOUNCEMENT,
    CHANGE_ANNOUNCEMENT,
    RETIRE_ANNOUNCEMENT,
    AddAnnouncement,
    ChangeAnnouncement,
    RetireAnnouncement,
)
from vittne.appliance.announcements.shown import is_over, tell
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.announcements.terms import RATE, BadTerms, Terms
from vittne.appliance.control.client import perform
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.outfile import whole_file
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import now_us
from vittne.appliance.terminal import RED, YELLOW, clean, painted


class Desk:
    """Asks and shows, for one data directory. by: "" stands for who is logged in."""

    def __init__(self, data: Path, by: str = "") -> None:
        self._data = data
        self._by = by

    def add(self, options: argparse.Namespace) -> int:
        """Enrol an announcement."""
        sound = prepare(options.file, options.from_s, options.until_s, options.require, options.anyway)
        pairs = self._alike_to(options.name, sound)
        said = {
            "name": options.name,
            "samples": _encoded(sound),
            "purpose": options.purpose,
            "sites": options.site,
            "anyway": options.anyway,
        }
        said |= {"required_ms": [list(one) for one in sound.required_ms], **sound.facts(), **_said(options)}
        answer = self._ask(ADD_ANNOUNCEMENT, AddAnnouncement.model_validate(said))
        return tell(answer, sound, pairs, options.json)

    def change(self, options: argparse.Namespace) -> int:
        """Make a new version."""
        before = self._get(options.name)
        changes, sound = dict(_said(options)), None
        pairs: Sequence[Alike] = []
        if options.purpose:
            changes["purpose"] = options.purpose
        if options.file is not None:
            sound = prepare(options.file, options.from_s, options.until_s, options.require, options.anyway)
            changes |= sound.facts()
            pairs = self._alike_to(options.name, sound)
        elif options.from_s is not None or options.until_s is not None:
            raise BadTerms("--from and --until cut a file", options.name, "give it with --file")
        if options.require:
            of_sound = within(options.require, 0, before.length_ms, options.name)
            changes["required_ms"] = [list(one) for one in (sound.required_ms if sound is not None else of_sound)]
        if options.require_all:
            changes["required_ms"] = []
        if options.site or options.everywhere:
            changes["sites"] = options.site
        if options.no_end:
            changes["until_us"] = None
        samples = _encoded(sound) if sound is not None else ""
        order = ChangeAnnouncement(name=options.name, samples=samples, anyway=options.anyway, changes=changes)
        answer = self._ask(CHANGE_ANNOUNCEMENT, order)
        return tell(answer, sound, pairs, options.json)

    def retire(self, name: str, at_us: int | None, as_json: bool) -> int:
        """Retire an announcement."""
        answer = self._ask(RETIRE_ANNOUNCEMENT, RetireAnnouncement(name=name, from_us=at_us))
        if as_json:
            sys.stdout.write(json_object(answer))
            return 0
        one = answer["announcement"]
        print(
            f"{clean(one['name'])}: retired from {one['from_at'][:19]}Z on; what it was heard in stays tied to its hash"
        )
        return 0

    def play(self, name: str, version: int | None, output: str, force: bool) -> int:
        """Play a sound as it is kept, or write it as WAV."""
        samples = read_sound(self._data, self._get(name, version).reference)
        if output:
            with whole_file(output, force) as (stream, _), wave.open(stream, "wb") as out:
                out.setparams((1, 2, RATE, len(samples), "NONE", ""))
                out.writeframes(as_bytes(samples))
            return 0
        from vittne.appliance.listen import play_samples  # noqa: PLC0415 - PyAudio is an extra

        play_samples(samples, RATE)
        return 0

    def alike(self, as_json: bool) -> int:
        """Say which share phrases; 1 when two cannot be told apart."""
        pairs = alike(self.references())
        if as_json:
            sys.stdout.writelines(json_array(pair.as_json() for pair in pairs))
        else:
            for pair in pairs:
                print(painted(clean(pair.words(), 600), RED if pair.is_same else YELLOW))
            if not pairs:
                print("no two of them share anything")
        return 1 if any(pair.is_same for pair in pairs) else 0

    def references(self, without: str = "") -> Sequence[tuple[str, Reference]]:
        """Return what is listened for, or will be; one whose sound is gone is said and left out."""
        with self._catalogue() as catalogue:
            newest = AnnouncementTable(catalogue).newest()
        found = []
        for one in newest:
            if is_over(one, now_us()) or one.name == without:
                continue
            try:
                found.append((one.name, Reference(read_sound(self._data, one.reference), one.handle().required)))
            except SoundMissing as error:
                print(painted(clean(str(error), 300), RED), file=sys.stderr)
        return found

    def reference(self, name: str, version: int | None) -> Reference:
        """Return an announcement as the detector takes it. Raises StoreError."""
        terms = self._get(name, version)
        return Reference(read_sound(self._data, terms.reference), terms.handle().required)

    def _alike_to(self, name: str, sound: Prepared) -> Sequence[Alike]:
        return alike([*self.references(without=name), (name, sound.reference)], only=name)

    def _get(self, name: str, version: int | None = None) -> Terms:
        with self._catalogue() as catalogue:
            return AnnouncementTable(catalogue).get(name, version)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self._data / CATALOGUE_FILE, read_only=True)

    def _ask(self, operation: Operation[Any], order: Order) -> dict[str, Any]:
        return perform(self._data, operation, order, self._by)


def _encoded(sound: Prepared) -> str:
    return base64.b64encode(as_bytes(sound.samples)).decode()


def _said(options: argparse.Namespace) -> dict[str, Any]:
    """Return those members that the options give."""
    named = {"language": "language", "agree": "agree", "refuse": "refuse", "note": "note"}
    said = {key: getattr(options, name) for key, name in named.items() if getattr(options, name) is not None}
    if options.within is not None:
        said["within_ms"] = round(options.within * 1000)
    for key, name in (("from_us", "valid_from"), ("until_us", "valid_until")):
        if getattr(options, name) is not None:
            said[key] = getattr(options, name)
    return said
