"""Options of `vittne alarms`; what it does is in command.py."""

from __future__ import annotations

import argparse
from typing import Any

from vittne.appliance.cli_values import data_of


def add_alarms(commands: Any, where: argparse.ArgumentParser) -> None:
    """Add the command. where: the options that all have."""
    words = "what stands, who is told how, and whether that arrives"
    found = commands.add_parser("alarms", help=words, description=words, parents=[where], allow_abbrev=False)
    found.add_argument("--all", action="store_true", help="those that are over as well")
    found.add_argument("--test", action="store_true", help="send every channel a test, and say what came of it")
    found.add_argument("--names", action="store_true", help="list the alarms that there can be")
    found.add_argument("--json", action="store_true", help="one object")
    found.set_defaults(command=_alarms)


def _alarms(options: argparse.Namespace) -> int:
    from vittne.appliance.alarming import command  # noqa: PLC0415

    if options.names:
        return command.names(options.json)
    if options.test:
        return command.test(data_of(options), options.json)
    return command.show(data_of(options), options.all, options.json)
