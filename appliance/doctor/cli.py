"""Options of `vittne doctor`."""

from __future__ import annotations

import argparse

from vittne.appliance.cli_values import Add
from vittne.appliance.datadir import config_file
from vittne.appliance.store.errors import StoreError

_LONGEST_S = 3600.0


def add_doctor(add: Add) -> None:
    """Add the command."""
    words = "is this tap good? findings in plain words with their remedies: of a capture, an interface, or this box"
    found = add("doctor", _doctor, words)
    found.add_argument("files", nargs="*", metavar="FILE", help="capture files or directories; default: this box")
    found.add_argument(
        "--interface", action="append", default=[], metavar="IF", help="listen here instead; several times"
    )
    found.add_argument("--seconds", type=_seconds, default=10.0, metavar="N", help="how long to listen; default 10")
    found.add_argument("--only", default="", metavar="NAME", help="one finding only")
    found.add_argument("--all", action="store_true", help="also what is good, in full")
    found.add_argument("--json", action="store_true", help="one object")


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number <= _LONGEST_S:
        raise ValueError
    return number


def _doctor(options: argparse.Namespace) -> int:
    from vittne.appliance.config import load  # noqa: PLC0415 - only what a command needs
    from vittne.appliance.doctor import command  # noqa: PLC0415

    if options.files and options.interface:
        raise StoreError("two sources", "doctor", "give files or --interface, one of the two")
    file = config_file(options.config)
    config = load(file, {"data": options.data})
    names = ("seconds", "only", "all", "json")
    given = {name: getattr(options, name) for name in names}
    wanted = command.DoctorOptions(config, tuple(options.files), tuple(options.interface), file=file, **given)
    return command.run(wanted)
