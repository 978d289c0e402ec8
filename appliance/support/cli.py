"""Options of `vittne support-bundle`; what it does is in command.py."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vittne.appliance.cli_values import Add, data_of
from vittne.appliance.datadir import config_file


def add_support(add: Add, time: Any) -> None:
    """Add the command. time: reads one, in microseconds."""
    words = "write a file that may be sent to people who help: numbers, names and voices taken out"
    command = add("support-bundle", _run, words)
    command.add_argument(
        "--since", type=time, metavar="TIME", help="of the log: 2026-01-31[T12:00], UTC; default: a day ago"
    )
    command.add_argument("--call", default="", metavar="ID", help="with this call: signalling and packets, scrubbed")
    command.add_argument("-o", "--out", default="vittne-support.tar.gz", metavar="FILE", help="- is standard output")
    command.add_argument(
        "--keep-names", type=Path, metavar="FILE", help="also write what stands for what; it stays with you"
    )
    command.add_argument("--force", action="store_true", help="replace a file that is there")


def _run(options: argparse.Namespace) -> int:
    from vittne.appliance.support import command  # noqa: PLC0415 - only what a command needs

    wanted = command.SupportOptions(options.out, options.since, options.call, options.keep_names, options.force)
    return command.run(data_of(options), config_file(options.config), wanted)
