"""`vittne announcement try`: what would have been said of calls, and what telephony leaves of a reference."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from vittne.appliance.announcements.command import Desk
from vittne.appliance.announcements.degrade import Expected, expected
from vittne.appliance.announcements.enrol import prepare
from vittne.appliance.announcements.operations import LISTEN, ListenTo
from vittne.appliance.announcements.table import NoSuchAnnouncement
from vittne.appliance.announcements.terms import BadTerms
from vittne.appliance.announcements.trying import Tried, try_calls, try_captures, try_sound
from vittne.appliance.control.client import perform
from vittne.appliance.datadir import existing_data_dir
from vittne.appliance.hearing.detector import VERSION
from vittne.appliance.hearing.reference import Reference
from vittne.appliance.looks import why_not
from vittne.appliance.show import json_object
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import GREEN, RED, YELLOW, Cell, Column, clean, painted, table

_COLOURS: Final = {"full": GREEN, "partial": YELLOW, "none": RED}
_MISSES_SHOWN: Final = 50


def run(options: argparse.Namespace) -> int:
    """Try an announcement; return the exit status: 1 when a degraded one is not told right, or nothing was searched."""
    reference = _reference(options)
    if options.degrade:
        return _degraded(reference, options.json)
    tried = list(_tried(options, reference))
    misses = [one for one in tried if one.is_miss]
    if options.json:
        counts = Counter(one.state for one in tried)
        shown: dict[str, Any] = {
            "reference": reference.hash,
            "detector": VERSION,
            "calls": [one.as_json() for one in tried],
            "totals": {state: counts[state] for state in ("full", "partial", "none", "unknown")},
            "misses": [one.id for one in misses],
        }
        sys.stdout.write(json_object(shown))
    else:
        sys.stdout.writelines(f"{line}\n" for line in (*_lines(tried), *_totals(tried), *_missed(misses)))
    return 0 if any(one.state != "unknown" for one in tried) else 1


def _reference(options: argparse.Namespace) -> Reference:
    """Return what to look for: an announcement by its name, else a file's."""
    path = Path(options.what)
    cut = options.from_s is not None or options.until_s is not None or options.require
    if not cut and not path.is_file():
        return Desk(existing_data_dir(options.data, options.config)).reference(options.what, options.version)
    if not path.is_file():
        raise BadTerms("--from, --to and --require are of a file", options.what, "leave them out, or give a file")
    try:
        desk = Desk(existing_data_dir(options.data, options.config))
        if not cut and os.sep not in options.what:
            return desk.reference(options.what, options.version)
    except (NoSuchAnnouncement, StoreError):
        pass  # a file then; there need not be a data directory for it
    sound = prepare(path, options.from_s, options.until_s, options.require, options.anyway)
    for words in sound.measures.warnings:
        print(painted(f"warning: {clean(words, 300)}", YELLOW), file=sys.stderr)
    return sound.reference


def _tried(options: argparse.Namespace, reference: Reference) -> Iterator[Tried]:
    if options.pcap:
        yield from try_captures(options.pcap, reference, options.window)
    elif options.sound is not None:
        yield try_sound(options.sound, reference, options.window)
    else:
        data = existing_data_dir(options.data, options.config)
        calls = _calls(data, options)
        refused = _enter(data, calls, options.purpose, options.by)
        for call in calls:
            if call.id in refused:
                yield Tried(call.id, call.started_us, problem=refused[call.id])
        yield from try_calls(data, [call for call in calls if call.id not in refused], reference, options.window)


def _calls(data: Path, options: argparse.Namespace) -> Sequence[CallRow]:
    """Return the calls that a search finds and of which something is kept, oldest first."""
    search = Search(
        since_us=options.since,
        until_us=options.until,
        number=options.number,
        outcome=options.outcome,
        call_id=options.call_id,
        codec=options.codec,
    )
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        found = [call for call in catalogue.list_calls(search) if call.folder]
    if len(found) > options.limit:
        print(f"note: the newest {options.limit} of {len(found)} calls; --limit takes more", file=sys.stderr)
    return sorted(found, key=lambda call: call.started_us)[-options.limit :]


def _enter(data: Path, calls: Sequence[CallRow], purpose: Any, by: str) -> dict[str, str]:
    """Enter in the trail that these are listened to, before any is opened; return those that may not be, and why."""
    if not calls:
        return {}
    if not os.access(data, os.W_OK):
        print("note: the directory cannot be written, so nobody will see that these were searched", file=sys.stderr)
        return {call.id: reason for call in calls if (reason := why_not(call, purpose)) is not None}
    answer = perform(data, LISTEN, ListenTo(recordings=[call.id for call in calls], purpose=purpose), by)
    refused: dict[str, str] = answer["refused"]
    return refused


def _lines(tried: Sequence[Tried]) -> Iterator[str]:
    """Yield a table with a line for each call and party."""
    names = ("call", "from (UTC)", "party", "heard", "offset", "share", "required", "score")
    rows: list[list[str | Cell]] = []
    for one in tried:
        since = "" if one.from_us is None else rfc3339(one.from_us)[:19]
        if not one.said:
            rows.append([one.id[:8], since, "-", Cell(one.problem[:60], RED), "", "", "", ""])
        for said in one.said:
            found = said.offset_s is not None
            more = f" ({said.again} more)" if said.again else ""
            cells: list[str | Cell] = [
                one.id[:8] if one.from_us is not None else one.id[:24],
                since,
                said.party,
                Cell(said.state + more, _COLOURS.get(said.state, "")),
                f"{said.offset_s:.2f} s" if found else "",
                *((f"{said.share:.2f}", f"{said.required_share:.2f}", f"{said.score:.2f}") if found else ("", "", "")),
            ]
            rows.append(cells)
    if rows:
        yield from table([Column(name, least=6) for name in names], rows)


def _totals(tried: Sequence[Tried]) -> Iterator[str]:
    counts = Counter(one.state for one in tried)
    words = ", ".join(f"{counts[state]} {state}" for state in ("full", "partial", "none", "unknown") if counts[state])
    yield f"{len(tried)} searched: {words}" if tried else "no calls were found"
    for one in tried:
        for note in one.notes[:3]:
            print(f"note: {one.id[:8]}: {clean(note, 200)}", file=sys.stderr)


def _missed(misses: Sequence[Tried]) -> Iterator[str]:
    """Yield the calls in which it was not heard whole, those where it nearly was first."""
    if not misses:
        return
    yield "not heard whole; if it was played there, look why:"
    ordered = sorted(misses, key=lambda one: one.state != "partial")
    for one in ordered[:_MISSES_SHOWN]:
        best = max(one.said, key=lambda said: said.score)
        near = f"{best.share:.0%} of it on the {best.party}'s side" if one.state == "partial" else "nothing of it"
        yield f"  {one.id}  {near}"
    if len(ordered) > _MISSES_SHOWN:
        yield f"  ... and {len(ordered) - _MISSES_SHOWN} more (--json has all)"


def _degraded(reference: Reference, as_json: bool) -> int:
    found = list(expected(reference))
    wrong = [one for one in found if _is_wrong(one)]
    if as_json:
        shown = {"reference": reference.hash, "detector": VERSION, "conditions": [one.as_json() for one in found]}
        sys.stdout.write(json_object({**shown, "wrong": [one.what for one in wrong]}))
        return 1 if wrong else 0
    names = ("what was done to it", "heard", "share", "required", "score", "off by")
    sys.stdout.writelines(f"{line}\n" for line in table([Column(name) for name in names], list(_rows(found))))
    if wrong:
        print(painted(f"not told right: {', '.join(one.what for one in wrong)}", YELLOW))
    else:
        print("told right under all of them")
    return 1 if wrong else 0


def _rows(found: Iterable[Expected]) -> Iterator[list[str | Cell]]:
    for one in found:
        state = Cell(one.state, YELLOW if _is_wrong(one) else GREEN)
        figures = [f"{one.share:.2f}", f"{one.required_share:.2f}", f"{one.score:.2f}", f"{one.offset_error_ms:.0f} ms"]
        yield [one.what, state, *(figures if one.state != "none" else [""] * len(figures))]


def _is_wrong(one: Expected) -> bool:
    """A whole one that is not told whole, or a broken one that is."""
    return (one.state == "full") != (one.wanted == "full")
