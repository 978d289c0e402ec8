"""Options of `vittne token`."""

from __future__ import annotations

import argparse
from typing import Final

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.cli_values import Command, data_of, days

TOKEN_DAYS: Final = 90


def add_token(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    """Add the actions. where: the options that say where the data directory is."""
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=run)
        return found

    create = add("create", _token_create, "make a token and print it, once")
    create.add_argument("name", metavar="NAME", help="who uses it")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=SCOPES,
        help="what it allows; several times: " + "; ".join(f"{scope}: {words}" for scope, words in SCOPES.items()),
    )
    until = create.add_mutually_exclusive_group()
    until.add_argument(
        "--expires-days", type=days, default=TOKEN_DAYS, metavar="N", help=f"default: {TOKEN_DAYS}, up to 3650"
    )
    until.add_argument("--never-expires", action="store_true", help="it ends only when it is revoked")
    create.add_argument(
        "--from", action="append", default=[], dest="networks", metavar="NETWORK", help="only from here; several times"
    )
    add("list", _token_list, "list tokens").add_argument("--json", action="store_true", help="one array")
    revoke = add("revoke", _token_revoke, "refuse a token from now on")
    revoke.add_argument("id", metavar="ID", help="a token's id, or its first letters")


def _token_create(options: argparse.Namespace) -> int:
    from vittne.appliance import token_command  # noqa: PLC0415

    until = None if options.never_expires else options.expires_days
    return token_command.create(data_of(options), options.name, options.scope, until, options.networks)


def _token_list(options: argparse.Namespace) -> int:
    from vittne.appliance import token_command  # noqa: PLC0415

    return token_command.list_all(data_of(options), options.json)


def _token_revoke(options: argparse.Namespace) -> int:
    from vittne.appliance import token_command  # noqa: PLC0415

    return token_command.revoke(data_of(options), options.id)
