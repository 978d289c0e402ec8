"""Options of `vittne storage`; what they do is in command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vittne.appliance.datadir import config_file, existing_data_dir

Run = Callable[[argparse.Namespace], int]


def add_storage(commands: Any, where: argparse.ArgumentParser) -> None:
    """Add the commands. where: the options that all have."""
    words = "copies of recordings on a second path or in an S3-compatible store"
    group = commands.add_parser("storage", help=words, description=words, allow_abbrev=False)
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Run, words: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        found.add_argument("--json", action="store_true", help="one array")
        return found

    status = add("status", _status, "how many copies each target has, what waits and since when")
    status.add_argument("--id", default="", metavar="ID", help="the copies of one recording; its first letters do")
    check = add("check", _check, "see that targets are there, lock as they promise, and have what they should")
    check.add_argument("--read", action="store_true", help="read every copy back and hash it")
    _add_target(check)
    _add_target(add("push", _push, "copy now what is not there yet, remove what was erased, set locks"))
    fetch = add("fetch", _fetch, "bring recordings back that are kept elsewhere")
    fetch.add_argument("ids", nargs="+", metavar="ID", help="a call's id, or its first letters")
    scan = add("scan", _scan, "learn anew what is at a target: after a lost catalogue or disk")
    _add_target(scan)


def _add_target(command: argparse.ArgumentParser) -> None:
    command.add_argument("--target", default="", metavar="NAME", help="only this one")


def _configured(options: argparse.Namespace) -> tuple[Path, Any]:
    from vittne.appliance.config import load  # noqa: PLC0415 - here and below: only what a command needs

    return existing_data_dir(options.data, options.config), load(config_file(options.config))


def _status(options: argparse.Namespace) -> int:
    from vittne.appliance.storage import command  # noqa: PLC0415

    data, config = _configured(options)
    if options.id:
        return command.copies(data, options.id, options.json)
    return command.status(data, config.storage, options.json)


def _check(options: argparse.Namespace) -> int:
    from vittne.appliance.storage import command  # noqa: PLC0415

    data, config = _configured(options)
    return command.check(data, command.chosen(config.storage, options.target), options.read, options.json)


def _push(options: argparse.Namespace) -> int:
    from vittne.appliance.storage import command  # noqa: PLC0415

    data, config = _configured(options)
    return command.push(data, config.storage, command.chosen(config.storage, options.target), options.json)


def _fetch(options: argparse.Namespace) -> int:
    from vittne.appliance.storage import command  # noqa: PLC0415

    data, config = _configured(options)
    return command.fetch(data, config.storage, options.ids, options.json)


def _scan(options: argparse.Namespace) -> int:
    from vittne.appliance.storage import scan_command  # noqa: PLC0415
    from vittne.appliance.storage.command import chosen  # noqa: PLC0415

    data, config = _configured(options)
    return scan_command.scan_all(data, config.storage, chosen(config.storage, options.target), options.json)
