"""Options of `vittne config` and `vittne catalogue`: what an installer asks before it changes something."""

from __future__ import annotations

import argparse
from pathlib import Path

from vittne.appliance.cli_values import data_of
from vittne.appliance.datadir import config_file
from vittne.appliance.store.errors import StoreError


def add_config(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `config check`."""
    words = "look whether a configuration can be used"
    actions = commands.add_parser("config", help=words, description=words, allow_abbrev=False).add_subparsers(
        title="actions", metavar="ACTION", required=True
    )
    words = "say every wrong key of a configuration; exit status 1 when there is one"
    check = actions.add_parser("check", help=words, description=words, allow_abbrev=False)
    check.add_argument("file", type=Path, nargs="?", metavar="FILE", help="default: /etc/vittne/vittne.toml")
    check.set_defaults(command=_check)


def add_catalogue(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], where: argparse.ArgumentParser
) -> None:
    """Add `catalogue copy` and `catalogue put-back`. where: options that say where the data directory is."""
    words = "keep a copy of the catalogue before an upgrade, and go back to it"
    actions = commands.add_parser("catalogue", help=words, description=words, allow_abbrev=False).add_subparsers(
        title="actions", metavar="ACTION", required=True
    )
    for name, run, words in (
        ("copy", _copy, "copy the catalogue into FILE, while it records"),
        ("put-back", _put_back, "put FILE in the place of a catalogue that is too new for this program"),
    ):
        action = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        action.add_argument("file", type=Path, metavar="FILE", help="the copy")
        action.set_defaults(command=run)
        if name == "put-back":
            action.add_argument(
                "--wait-s", type=float, default=60.0, metavar="N", help="how long to wait for the directory; default 60"
            )


def _check(options: argparse.Namespace) -> int:
    from vittne.appliance.config import load  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.ruleconfig import refuse_anybody  # noqa: PLC0415

    file = config_file(options.file)
    if file is None:
        raise StoreError("there is no configuration", "config check", "name a file")
    refuse_anybody(load(file).rules)
    print(f"{file}: good")
    return 0


def _copy(options: argparse.Namespace) -> int:
    from vittne.appliance import catalogue_copies  # noqa: PLC0415

    version = catalogue_copies.copy(data_of(options), options.file)
    print(f"the catalogue, of version {version}, is in {options.file}")
    return 0


def _put_back(options: argparse.Namespace) -> int:
    from vittne.appliance import catalogue_copies  # noqa: PLC0415

    done = catalogue_copies.put_back(data_of(options), options.file, options.wait_s)
    print(done.words)
    return 0
