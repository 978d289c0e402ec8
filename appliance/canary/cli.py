"""Options of `vittne canary`; what it does is in command.py."""

from __future__ import annotations

import argparse

from vittne.appliance.cli_values import Add, a_count, data_of


def add_canary(add: Add) -> None:
    """Add the command."""
    command = add("canary", _canary, "show what came of canary calls, or place one now and wait for what comes of it")
    command.add_argument("--now", action="store_true", help="place one; exit status 0 well, 1 not, 3 not all checked")
    command.add_argument("--limit", type=a_count, default=10, metavar="N", help="show so many; default: 10")
    command.add_argument("--json", action="store_true", help="one array, with --now one object")


def _canary(options: argparse.Namespace) -> int:
    from vittne.appliance.canary import command  # noqa: PLC0415 - only what a command needs

    if options.now:
        return command.now(data_of(options), options.json)
    return command.show(data_of(options), options.limit, options.json)
