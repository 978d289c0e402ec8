"""Options of `vittne user` and `vittne role`; what they do is in user_command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vittne.appliance.datadir import existing_data_dir

Run = Callable[[argparse.Namespace], int]


def add_users(commands: Any, where: argparse.ArgumentParser) -> None:
    """Add the commands. where: the options that all have."""

    def group(name: str, words: str) -> Any:
        found = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
        return found.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(actions: Any, name: str, run: Run, words: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        return found

    users = group("user", "who may log in to the console")
    new = add(users, "add", _add, "add a user, and print a code to set a password with")
    new.add_argument("name", metavar="NAME", help="to log in with; of a source: their name there")
    new.add_argument("--from", dest="origin", metavar="SOURCE", help="who is known to a source of [sign_on]: no code")
    change = add(users, "change", _change, "change what a user is called, may do and sees")
    change.add_argument("name", metavar="NAME")
    for one in (new, change):
        one.add_argument("--full-name", metavar="TEXT", help="for people")
        one.add_argument("--role", action="append", metavar="ROLE", help="several times; `vittne role list`")
        one.add_argument("--own", action="append", metavar="TEXT", help="an extension or agent name of theirs")
        one.add_argument("--site", action="append", metavar="SITE", help="recordings of these sites only")
        one.add_argument("--language", metavar="TAG", help="such as de; default: the browser's")
    shut = change.add_mutually_exclusive_group()
    shut.add_argument("--disable", action="store_true", help="shut out, and log out everywhere")
    shut.add_argument("--enable", action="store_true", help="let in again")
    for name, run, words in (
        ("invite", _invite, "print a code with which a user sets a new password"),
        ("remove", _remove, "forget a user; what the trail says of them stays"),
        ("reset-factors", _reset, "forget a user's second factors: the telephone was lost"),
    ):
        add(users, name, run, words).add_argument("name", metavar="NAME")
    add(users, "list", _list, "list users").add_argument("--json", action="store_true", help="one array")
    roles = group("role", "what a user may do, and sees")
    add(roles, "list", _roles, "list roles, built in and one's own").add_argument(
        "--json", action="store_true", help="one array"
    )
    put = add(roles, "put", _put_role, "add a role of one's own, or change it")
    put.add_argument("file", metavar="FILE", help="TOML with one or several [[role]]")
    add(roles, "remove", _remove_role, "forget a role of one's own").add_argument("name", metavar="ROLE")


def _data(arguments: argparse.Namespace) -> Path:
    return existing_data_dir(arguments.data, arguments.config)


def _add(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.add(_data(arguments), arguments.name, _given(arguments), arguments.origin or "")


def _change(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    is_disabled = True if arguments.disable else False if arguments.enable else None
    return user_command.change(_data(arguments), arguments.name, _given(arguments), is_disabled)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was given of a user."""
    lists = {"roles": arguments.role, "own": arguments.own, "sites": arguments.site}
    texts = {"full_name": arguments.full_name, "language": arguments.language}
    found: dict[str, Any] = {name: tuple(value) for name, value in lists.items() if value is not None}
    return found | {name: value for name, value in texts.items() if value is not None}


def _invite(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.invite(_data(arguments), arguments.name)


def _reset(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.reset_factors(_data(arguments), arguments.name)


def _remove(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.remove(_data(arguments), arguments.name)


def _list(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.list_all(_data(arguments), arguments.json)


def _roles(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.list_roles(_data(arguments), arguments.json)


def _put_role(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.put_roles(_data(arguments), arguments.file)


def _remove_role(arguments: argparse.Namespace) -> int:
    from vittne.appliance import user_command  # noqa: PLC0415

    return user_command.remove_role(_data(arguments), arguments.name)
