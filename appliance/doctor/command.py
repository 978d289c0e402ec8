"""`vittne doctor`: is this tap good? Of a capture, of interfaces for some seconds, or of the box and its recorder."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.config import Config
from vittne.appliance.doctor.asking import ASK_FACTS, Ask
from vittne.appliance.doctor.examine import Report, report_on_box, report_on_tap
from vittne.appliance.doctor.finding import Finding, exit_status
from vittne.appliance.doctor.listening import listen_to_files, listen_to_interfaces
from vittne.appliance.doctor.recorderfacts import RecorderFacts, read_facts
from vittne.appliance.doctor.tapfacts import TapFacts
from vittne.appliance.show import json_object
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.lock import holder_of
from vittne.appliance.terminal import BOLD, FAINT, GREEN, RED, YELLOW, clean, painted, terminal_width

_MARKS: Final = {"bad": ("BAD ", RED), "warn": ("WARN", YELLOW), "note": ("NOTE", ""), "good": ("good", GREEN)}
_SUMS: Final = {
    "good": "all is well",
    "note": "all is well; some things are worth knowing",
    "warn": "it works; some things want looking at",
    "bad": "something is bad: see above",
}
_LONGEST: Final = 4000
_INDENT: Final = 6


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """files: captures; interfaces: to listen on for so many seconds; neither: the box. only: that finding."""

    config: Config
    files: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()
    seconds: float = 10.0
    only: str = ""
    json: bool = False
    all: bool = False
    file: Path | None = None


def run(options: DoctorOptions) -> int:
    """Look, print, and return 2 when something is bad, 1 when something wants looking at, else 0. Raises StoreError."""
    report = look(options)
    found = report.findings
    if options.only:
        found = tuple(one for one in found if one.name == options.only)
        report = Report(report.source, report.of, report.at_us, found)
        if not found:
            raise StoreError(
                f"nothing was found under the name {options.only!r}", "doctor", "docs/doctor.md has all names"
            )
    if options.json:
        sys.stdout.write(json_object(report.as_json()))
    else:
        sys.stdout.write("\n".join(lines(report, options.all or bool(options.only), terminal_width())) + "\n")
    return exit_status(found)


def look(options: DoctorOptions) -> Report:
    """Return what is found. Raises StoreError."""
    if options.files:
        return report_on_tap("files", options.files, _files(options))
    if options.interfaces:
        from vittne.capture.ringopen import RingError  # noqa: PLC0415 - only where a ring is opened

        if sys.stderr.isatty():
            print(f"listening for {options.seconds:g} s …", file=sys.stderr)
        try:
            facts = listen_to_interfaces(options.interfaces, options.seconds)
        except RingError as error:
            raise StoreError(str(error), ", ".join(options.interfaces), "mend it and ask again") from error
        return report_on_tap("interfaces", options.interfaces, facts)
    return _box(options)


def _files(options: DoctorOptions) -> TapFacts:
    if not sys.stderr.isatty():
        return listen_to_files(options.files)
    from vittne.appliance.progress import reading  # noqa: PLC0415
    from vittne.appliance.replay import capture_files  # noqa: PLC0415

    with reading(list(capture_files(options.files))) as advance:
        return listen_to_files(options.files, advance)


def _box(options: DoctorOptions) -> Report:
    from vittne.appliance.cli_values import catalogue_of  # noqa: PLC0415
    from vittne.appliance.store.catalogue import CATALOGUE_FILE  # noqa: PLC0415

    data = options.config.data
    if not data.is_dir():
        raise StoreError("there is no such data directory", data, "name it with --data, or record first")
    recorder, holder = ask_recorder(data)
    if not (data / CATALOGUE_FILE).exists():
        return report_on_box(options.config, recorder, None, holder, options.file)
    with catalogue_of(data) as catalogue:
        return report_on_box(options.config, recorder, catalogue, holder, options.file)


def ask_recorder(data: Path) -> tuple[RecorderFacts | None, str]:
    """Return what the recorder of a data directory says of itself; None, and who has it, where none answers."""
    from vittne.appliance.control.client import perform  # noqa: PLC0415

    holder = holder_of(data)
    if not holder:
        return None, ""
    try:
        return read_facts(perform(data, ASK_FACTS, Ask())), ""
    except (StoreError, ValueError):
        return None, holder


def lines(report: Report, everything: bool, width: int) -> list[str]:
    """Return a report as it is printed: what is not good in full, what is good in a line, or counted."""
    shown = [one for one in report.findings if everything or one.weight != "good"]
    out = [line for one in shown for line in _lines(one, width)]
    good = [one.name for one in report.findings if one.weight == "good"]
    if good and not everything:
        out += _wrapped(f"{painted('good', GREEN)}  ", ", ".join(good) + "  (--all tells of each)", width)
    return [*out, "", painted(_SUMS[report.verdict], BOLD)]


def _lines(finding: Finding, width: int) -> list[str]:
    mark, colour = _MARKS[finding.weight]
    out = _wrapped(f"{painted(mark, colour)}  ", f"{finding.name}: {finding.words}", width)
    if finding.remedy is not None:
        out += [painted(line, FAINT) for line in _wrapped(" " * _INDENT, f"{finding.remedy}", width)]
    return out


def _wrapped(before: str, text: str, width: int) -> list[str]:
    """Return text in lines of so many columns, cleaned, behind something six columns wide."""
    room = max(20, min(width, 120) - _INDENT)
    parts = textwrap.wrap(clean(text, _LONGEST), room, break_long_words=False, break_on_hyphens=False) or [""]
    return [before + parts[0], *(" " * _INDENT + part for part in parts[1:])]
