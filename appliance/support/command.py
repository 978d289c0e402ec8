"""`vittne support-bundle`: put together what helps others to help, with what is nobody else's business taken out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vittne.appliance.config import Config, load
from vittne.appliance.control.client import perform
from vittne.appliance.doctor.command import DoctorOptions, look
from vittne.appliance.looks import Look, enter_look
from vittne.appliance.opened import open_recording
from vittne.appliance.outfile import STDOUT, whole_file
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.times import now_us
from vittne.appliance.support.bundle import Wanted, write_bundle
from vittne.appliance.support.names import Names
from vittne.appliance.support.settings import settings_told
from vittne.appliance.support.told import SUPPORT, MakeSupport
from vittne.appliance.terminal import clean

_DAY_US: Final = 24 * 3600 * 1_000_000
_UNIT: Final = "vittne"
_LINES: Final = 20_000


@dataclass(frozen=True, slots=True)
class SupportOptions:
    """since_us: of the log; None: a day. call: an id or its first letters. keep_names: where the table is written."""

    output: str
    since_us: int | None = None
    call: str = ""
    keep_names: Path | None = None
    force: bool = False


def run(data: Path, config: Path | None, options: SupportOptions) -> int:
    """Make a bundle; return the exit status. Raises StoreError; no half file is left."""
    _refuse_place_of_names(options)
    names, at = Names(), now_us()
    since = at - _DAY_US if options.since_us is None else options.since_us
    wanted = Wanted(at)
    with ExitStack() as stack:
        if options.call:
            with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
                wanted.call = catalogue.get(options.call)
        recording = wanted.call.id if wanted.call is not None else ""
        wanted.told = perform(data, SUPPORT, MakeSupport(recording=recording, since_us=since))
        if not wanted.told:
            wanted.notes.append("the recorder does not run: its state, metrics and alarms are missing")
        with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
            wanted.runs = [run.as_json() for run in catalogue.runs()[-3:]]
        wanted.configured = _configured(config, names, wanted.notes)
        wanted.journal = journal(since, wanted.notes)
        wanted.doctor = _doctor(data, config, wanted.notes)
        if wanted.call is not None and wanted.call.folder:
            enter_look(data, Look(kind="export", recording=wanted.call.id, format="support"))
            wanted.opened = stack.enter_context(open_recording(data, wanted.call.folder, wanted.call.id))
        with whole_file(options.output, options.force) as (stream, _):
            lines = write_bundle(stream, wanted, names)
    if options.keep_names is not None:
        write_atomically(options.keep_names, (json.dumps(names.table, indent=1) + "\n").encode())
    if options.output != STDOUT:
        print(f"{options.output}: read CONTENTS.txt in it before it is sent", file=sys.stderr)
    for line in lines:
        print(line, file=sys.stderr)
    for note in wanted.notes:
        print(f"note: {clean(note, 300)}", file=sys.stderr)
    return 0


def _refuse_place_of_names(options: SupportOptions) -> None:
    """Keep the table, which undoes every replacement, from being sent in the bundle's place."""
    table = options.keep_names
    if table is None:
        return
    if options.output != STDOUT and table.resolve() == Path(options.output).resolve():
        raise StoreError("bundle and table of names are one file", table, "give --keep-names a file of its own")
    if os.path.lexists(table) and not options.force:
        raise StoreError("there is already a file", table, "choose another name, or give --force")


def _configured(file: Path | None, names: Names, notes: list[str]) -> dict[str, Any] | None:
    try:
        given = load(file)
    except StoreError as error:
        notes.append(f"the configuration cannot be read: {error}")
        return None
    return told_settings(given, names)


def told_settings(config: Config, names: Names) -> dict[str, Any]:
    """Return a configuration as it may be sent."""
    return settings_told(config.model_dump(mode="json", exclude_defaults=True), Config.model_json_schema(), names)


def journal(since_us: int, notes: list[str]) -> list[str]:
    """Return lines of the unit's log from the journal, the newest; none where there is no journal."""
    program = shutil.which("journalctl")
    if program is None:
        return []
    command = [program, "--unit", _UNIT, "--since", f"@{since_us // 1_000_000}", "--output", "cat", "--no-pager"]
    try:
        done = subprocess.run([*command, "--lines", str(_LINES)], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        notes.append("the journal could not be read")
        return []
    if done.returncode:
        notes.append("the journal could not be read")
        return []
    return [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line and not line.startswith("-- ")]


def _doctor(data: Path, file: Path | None, notes: list[str]) -> dict[str, Any] | None:
    """Return what the doctor finds of this box."""
    try:
        return look(DoctorOptions(load(file, {"data": data}), file=file)).as_json()
    except StoreError as error:
        notes.append(f"the doctor could not look: {error}")
        return None
