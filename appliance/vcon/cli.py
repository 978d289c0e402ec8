"""Options of `vittne vcon`; what it does is in command.py and importing.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vittne.appliance.datadir import config_file, existing_data_dir

Run = Callable[[argparse.Namespace], int]


def add_vcon(commands: Any, where: argparse.ArgumentParser) -> None:
    """Add the command. where: the options that all have."""
    words = "check vCons, and import those of other systems"
    actions = commands.add_parser("vcon", help=words, description=words, allow_abbrev=False).add_subparsers(
        title="actions", metavar="ACTION", required=True
    )

    def add(name: str, run: Run, words: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        found.add_argument(
            "--key", type=Path, metavar="FILE", help="the recipient's private key, for an encrypted one (PEM)"
        )
        found.add_argument("--json", action="store_true", help="one object, or one array")
        return found

    check = add("check", _check, "check a vCon's signature and hashes, and show it")
    check.add_argument("file", type=Path, metavar="FILE", help="a vCon: unsigned, signed or encrypted")
    take = add("import", _import, "file vCons of other systems in the archive: files, folders, zips")
    take.add_argument("paths", type=Path, nargs="+", metavar="FILE", help="a vCon, a folder or a zip of them")
    take.add_argument("--files", type=Path, metavar="DIR", help="where sound lies that vCons only name; never fetched")
    take.add_argument("--ca", type=Path, metavar="FILE", help="certificates (PEM) whose signatures are believed")
    take.add_argument("--site", default="", metavar="NAME", help="the site that it is filed under")
    take.add_argument("--class", default="", dest="retention_class", metavar="CLASS", help="its retention class")
    take.add_argument("--tag", action="append", default=[], dest="tags", metavar="TEXT", help="a tag; several times")
    take.add_argument("--dry-run", action="store_true", help="only say what would become of them")
    take.add_argument("--again", action="store_true", help="also what was imported and erased since")
    take.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")


def _check(options: argparse.Namespace) -> int:
    from vittne.appliance.datadir import data_dir  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.vcon import command  # noqa: PLC0415

    return command.check(options.file, options.key, data_dir(options.data, options.config), options.json)


def _import(options: argparse.Namespace) -> int:
    from vittne.appliance.config import load  # noqa: PLC0415
    from vittne.appliance.life.settings import life_policy  # noqa: PLC0415
    from vittne.appliance.policy.decide import policy_rules  # noqa: PLC0415
    from vittne.appliance.vcon.importing import ImportOptions, run  # noqa: PLC0415
    from vittne.appliance.vcon.trust import read_trusted  # noqa: PLC0415

    data = existing_data_dir(options.data, options.config)
    config = load(config_file(options.config))
    wanted = ImportOptions(
        tuple(options.paths),
        options.files,
        options.key,
        read_trusted(options.ca) if options.ca is not None else None,
        options.site,
        options.retention_class,
        tuple(options.tags),
        options.dry_run,
        options.again,
        options.by,
        options.json,
    )
    return run(data, wanted, life_policy(config.approval, config.store, config.classes), policy_rules(config))
