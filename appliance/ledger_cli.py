"""Options of `vittne ledger`."""

from __future__ import annotations

import argparse
from pathlib import Path

from vittne.appliance.cli_values import Command, a_time, an_index, data_of


def add_ledger(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    """Add the actions. where: the options that say where the data directory is."""
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=run)
        return found

    add("show", _ledger_show, "size, root, checkpoint and key").add_argument("--json", action="store_true")
    listed = add("list", _ledger_list, "list entries, the oldest first")
    listed.add_argument("--since", type=a_time, metavar="TIME", help="entered then or later: 2026-01-31[T12:00], UTC")
    listed.add_argument("--until", type=a_time, metavar="TIME", help="entered before")
    listed.add_argument("--type", default="", metavar="T", help="such as rec.seal")
    listed.add_argument("--json", action="store_true", help="one array, an element an entry")
    prove = add("prove", _ledger_prove, "prove that an entry is in the ledger, as a tlog-proof")
    which = prove.add_mutually_exclusive_group(required=True)
    which.add_argument("index", metavar="INDEX", nargs="?", type=an_index, help="an entry, counted from 0")
    which.add_argument("--recording", default="", metavar="ID", help="the entry of a recording's manifest that counts")
    prove.add_argument("-o", "--output", default="", metavar="FILE", help="where to; default: standard output")
    kept = add("consistency", _ledger_consistency, "whether the ledger contains the one that somebody kept")
    kept.add_argument("checkpoint", type=Path, metavar="OLD_CHECKPOINT_FILE", help="a copy of ledger/checkpoint")
    add("check", _ledger_check, "read every entry and every tile through")


def _ledger_show(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.show(data_of(options), options.json)


def _ledger_list(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    listing = ledger_command.Listing(options.since, options.until, options.type, options.json)
    return ledger_command.list_entries(data_of(options), listing)


def _ledger_prove(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.prove(data_of(options), options.index, options.recording, options.output)


def _ledger_consistency(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.consistency(data_of(options), options.checkpoint)


def _ledger_check(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.check(data_of(options))
