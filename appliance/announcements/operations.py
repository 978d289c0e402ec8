"""Operations on announcements, done by the one writer: enrol, change, retire, and listen to recordings for them.

A version's files are written first, then the ledger's entry, then the catalogue's row: a crash in between leaves
files that no entry vouches for, and the order can be given again. What was uploaded is decoded by who asks, never
here: samples come in.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import numpy as np
from pydantic import Field

from vittne.appliance.announcements.files import as_bytes, sound_hash, write_sound, write_terms
from vittne.appliance.announcements.handle import Purpose
from vittne.appliance.announcements.measure import measure, refuse_unfit
from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.announcements.terms import (
    LONGEST_MS,
    RATE,
    SHORTEST_MS,
    WITHIN_MS,
    BadTerms,
    Stretch,
    Terms,
    make_terms,
)
from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.looks import Purpose as LookPurpose
from vittne.appliance.looks import why_not
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.codecs.base import I16

_BASE64_LIMIT: Final = LONGEST_MS * RATE // 1000 * 2 * 4 // 3 + 8
_CHANGES: Final = frozenset(
    {
        *("purpose", "language", "required_ms", "agree", "refuse", "within_ms", "sites"),
        *("from_us", "until_us", "note", "file", "file_sha256", "cut_ms"),
    }
)
_AT_ONCE: Final = 500  # recordings entered in one step


class CannotChange(StoreError):
    """An order about announcements that cannot be done, and why."""


class AddAnnouncement(Order):
    """Enrol an announcement under a name that is free, or was retired. samples: base64 of int16, see files.py."""

    name: str
    samples: str = Field(max_length=_BASE64_LIMIT)
    anyway: bool = False  # although it does not sound like speech
    purpose: Purpose
    language: str = ""
    required_ms: list[Stretch] = Field(default_factory=list, max_length=64)
    agree: str = ""
    refuse: str = ""
    within_ms: int | None = None
    sites: list[str] = Field(default_factory=list, max_length=1000)
    from_us: int | None = None
    until_us: int | None = None
    note: str = ""
    file: str = ""
    file_sha256: str = ""
    cut_ms: Stretch = (0, 0)


class ChangeAnnouncement(Order):
    """Make a new version. samples: "" leaves the sound as it is. changes: members of Terms; from_us: since when."""

    name: str
    samples: str = Field(default="", max_length=_BASE64_LIMIT)
    anyway: bool = False
    changes: dict[str, Any] = Field(default_factory=dict)


class RetireAnnouncement(Order):
    """Listen for it no more. from_us: since when; None: from now on."""

    name: str
    from_us: int | None = None


class ListenTo(Order):
    """Enter that recordings are about to be searched for announcements. purpose: for what is restricted."""

    recordings: list[str] = Field(max_length=100_000)
    purpose: LookPurpose = ""


def _add(registrar: Registrar, order: AddAnnouncement, caller: Caller) -> Steps:
    table = AnnouncementTable(registrar.catalogue)
    known = table.versions(order.name)
    if known and not known[-1].retired:
        raise CannotChange("an announcement has this name", order.name, "`vittne announcement change` gives it a sound")
    samples = _samples(order.samples, order.anyway)
    yield Progress(0, 2, "looking at the sound")
    at = now_us()
    said = order.model_dump(exclude={"samples", "anyway", "within_ms"})
    within = order.within_ms if order.within_ms is not None else WITHIN_MS if order.purpose == "consent" else 0
    # The first version of a name counts for what was recorded before as well, unless it says since when.
    since = order.from_us if order.from_us is not None or not known else at
    terms = _version(said | {"within_ms": within, "from_us": since}, samples, known, caller, at)
    _refuse_taken(table, terms)
    yield Progress(1, 2, "writing")
    return _enter(registrar, terms, samples, events.ANNOUNCEMENT_ADDED, caller)


def _change(registrar: Registrar, order: ChangeAnnouncement, caller: Caller) -> Steps:
    unknown = set(order.changes) - _CHANGES
    if unknown:
        raise CannotChange("this cannot be changed", ", ".join(sorted(unknown)), "retire it, and enrol another")
    table = AnnouncementTable(registrar.catalogue)
    table.get(order.name)
    known = table.versions(order.name)
    before = known[-1]
    if before.retired:
        raise CannotChange("it was retired", order.name, "`vittne announcement add` enrols it anew")
    samples = _samples(order.samples, order.anyway) if order.samples else None
    if samples is not None and before.required_ms and "required_ms" not in order.changes:
        what = "the seconds that must be heard are those of the sound before"
        raise CannotChange(what, order.name, "say which of the new sound's: --require, or --require-all")
    yield Progress(0, 2, "looking at the sound")
    at = now_us()
    said = before.model_dump(exclude={"v", "version", "reference", "length_ms", "made_us", "made_by"})
    if order.changes.get("purpose") == "consent":
        said["within_ms"] = said["within_ms"] or WITHIN_MS
    elif order.changes.get("purpose"):
        said |= {"agree": "", "refuse": "", "within_ms": 0}
    terms = _version(said | {"from_us": at} | order.changes, samples, known, caller, at)
    if terms.says_the_same(before) and "from_us" not in order.changes:
        return {"announcement": before.as_json(), "changed": False}
    _refuse_taken(table, terms)
    yield Progress(1, 2, "writing")
    return _enter(registrar, terms, samples, events.ANNOUNCEMENT_CHANGED, caller)


def _retire(registrar: Registrar, order: RetireAnnouncement, caller: Caller) -> Steps:
    table = AnnouncementTable(registrar.catalogue)
    before = table.get(order.name)
    if before.retired:
        raise CannotChange("it was retired before", order.name, "nothing was done")
    yield Progress(0, 1)
    at = now_us()
    said = before.model_dump(exclude={"v", "version", "reference", "length_ms", "made_us", "made_by"})
    since = order.from_us if order.from_us is not None else at
    said |= {"retired": True, "from_us": since, "until_us": None}
    terms = _version(said, None, table.versions(order.name), caller, at)
    return _enter(registrar, terms, None, events.ANNOUNCEMENT_RETIRED, caller)


def _listen(registrar: Registrar, order: ListenTo, caller: Caller) -> Steps:
    """Enter looks at recordings; those that may not be looked at are named in the answer, with why."""
    refused: dict[str, str] = {}
    for first in range(0, len(order.recordings), _AT_ONCE):
        yield Progress(first, len(order.recordings), "entering who listens")
        calls = registrar.catalogue.get_all(order.recordings[first : first + _AT_ONCE])
        for call in calls:
            reason = why_not(call, order.purpose)
            if reason is not None:
                refused[call.id] = reason
        about = {"reason": "announcement try", **({"purpose": order.purpose} if order.purpose else {})}
        heard = [(call.id, dict(about)) for call in calls if call.id not in refused]
        if heard:
            registrar.audit.note_all(events.PLAYED, caller, heard)
        mine = [
            (call.id, {"asked": "announcement try", "reason": refused[call.id]}) for call in calls if call.id in refused
        ]
        if mine:
            registrar.audit.note_all(events.LOOK_REFUSED, caller, mine)
    return {"refused": refused}


def _samples(text: str, anyway: bool) -> I16:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CannotChange("the samples are not base64", "samples", "ask with `vittne announcement add`") from None
    length_ms = len(data) * 1000 // (2 * RATE)
    if len(data) % 2 or not SHORTEST_MS <= length_ms <= LONGEST_MS:
        what = f"a sound has {SHORTEST_MS // 1000} to {LONGEST_MS // 1000} s, this one {length_ms / 1000:g}"
        raise CannotChange(what, "samples", "cut it with --from and --until")
    samples = np.frombuffer(data, "<i2").astype(np.int16)
    refuse_unfit(measure(samples), "samples", anyway)
    return samples


def _version(said: dict[str, Any], samples: I16 | None, known: list[Terms], caller: Caller, at: int) -> Terms:
    """Return the version that follows. Raises BadTerms."""
    if samples is not None:
        reference, length_ms = sound_hash(as_bytes(samples)), len(samples) * 1000 // RATE
    else:
        reference, length_ms = known[-1].reference, known[-1].length_ms
    number = known[-1].version + 1 if known else 1
    made = {"version": number, "reference": reference, "length_ms": length_ms, "made_us": at, "made_by": caller.name}
    return make_terms(said | made)


def _refuse_taken(table: AnnouncementTable, terms: Terms) -> None:
    """Two names for one sound could never be told apart. Raises BadTerms."""
    for one in table.newest():
        if one.reference == terms.reference and one.name != terms.name and not one.retired:
            what = "this sound is enrolled under another name: nobody could say which of the two was heard"
            raise BadTerms(what, one.name, "`vittne announcement change` adds sites to that one")


def _enter(registrar: Registrar, terms: Terms, samples: I16 | None, event: str, caller: Caller) -> dict[str, Any]:
    if samples is not None:
        write_sound(registrar.data_dir, as_bytes(samples))
    write_terms(registrar.data_dir, terms)
    told = {"reference": terms.reference, "terms": terms.digest}
    registrar.audit.note(event, caller, name=terms.name, version=terms.version, ledger=told)
    AnnouncementTable(registrar.catalogue).put(terms)
    registrar.announcements_changed()
    return {"announcement": terms.as_json(), "changed": True}


ADD_ANNOUNCEMENT: Final = Operation("announcement.add", "enrolling an announcement", AddAnnouncement, _add)
CHANGE_ANNOUNCEMENT: Final = Operation("announcement.change", "changing an announcement", ChangeAnnouncement, _change)
RETIRE_ANNOUNCEMENT: Final = Operation("announcement.retire", "retiring an announcement", RetireAnnouncement, _retire)
LISTEN: Final = Operation("announcement.listen", "entering who searches recordings", ListenTo, _listen)
ANNOUNCEMENT_OPERATIONS: Final[tuple[Operation[Any], ...]] = (
    ADD_ANNOUNCEMENT,
    CHANGE_ANNOUNCEMENT,
    RETIRE_ANNOUNCEMENT,
    LISTEN,
)
