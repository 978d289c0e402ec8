"""Options of `vittne stamp` and `vittne clock`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vittne.appliance.cli_values import Add, a_time, data_of
from vittne.appliance.datadir import config_file
from vittne.appliance.store.errors import StoreError


def add_clock(add: Add) -> None:
    """Add the command."""
    _add_clock(add("clock", _clock, "show how right this machine's clock is, and was"))


def add_stamp(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    """Add the actions. where: the options that say where the data directory is."""
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, words: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=_stamp, action=name)
        return found

    for name, words in (("now", "ask for a stamp at once"), ("export", "write requests to be carried to authorities")):
        asked = add(name, words)
        asked.add_argument("--authority", action="append", default=[], metavar="NAME", help="only this; several times")
        if name == "export":
            asked.add_argument(
                "-o", "--output", type=Path, default=Path("."), metavar="DIR", help="where to; default: ."
            )
    add("import", "take an authority's answer").add_argument("file", type=Path, metavar="FILE.tsr", help="the answer")
    verify = add("verify", "check stored stamps against checkpoints, certificates and ledger")
    verify.add_argument("name", nargs="*", metavar="NAME", help="SIZE-AUTHORITY, as list shows it")
    verify.add_argument("--all", action="store_true", help="all stamps, and that none is missing")
    verify.add_argument("--ca", type=Path, metavar="FILE", help="believe these certificates (PEM), not the configured")
    for shown in (add("list", "list stamps"), add("status", "show what is due or late"), verify):
        shown.add_argument("--json", action="store_true", help="one array")


def _add_clock(command: argparse.ArgumentParser) -> None:
    command.add_argument("--history", action="store_true", help="what the ledger says of it")
    command.add_argument("--since", type=a_time, metavar="TIME", help="with --history: from then on, UTC")
    command.add_argument("--json", action="store_true", help="one object")


def _stamp(options: argparse.Namespace) -> int:
    from vittne.appliance import stamp_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    config = load(config_file(options.config))
    data = data_of(options)
    match options.action:
        case "now":
            return stamp_command.now(data, config, options.authority)
        case "export":
            return stamp_command.export(data, config, options.authority, options.output)
        case "import":
            return stamp_command.take(data, config, options.file)
        case "list":
            return stamp_command.list_all(data, options.json)
        case "status":
            return stamp_command.status(data, config, options.json)
    if bool(options.name) == options.all:
        raise StoreError("nothing to verify", "stamp verify", "give a NAME, or --all")
    return stamp_command.verify(data, config, options.name, options.ca, options.json)


def _clock(options: argparse.Namespace) -> int:
    from vittne.appliance import clock_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    if options.history:
        return clock_command.history(data_of(options), options.since, options.json)
    if options.since is not None:
        raise StoreError("there is no past in the present", "clock", "give --since together with --history")
    return clock_command.show(load(config_file(options.config)), options.json)
