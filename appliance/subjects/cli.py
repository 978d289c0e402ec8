"""Options of `vittne subject`; what it does is in command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vittne.appliance.datadir import config_file, existing_data_dir
from vittne.appliance.life_cli import add_purpose, policy_of

# Those of operations.py and export.py, which are not loaded to read options; a test compares.
KINDS: Final = ("access", "erasure", "restriction", "rectification", "portability", "objection")
OUTCOMES: Final = ("granted", "partly", "refused", "withdrawn", "not-identified")
FORMATS: Final = ("flac", "wav", "opus", "mp3", "vcon")
Run = Callable[[argparse.Namespace], int]


def add_subject(commands: Any, where: argparse.ArgumentParser, time: Any) -> None:
    """Add the command. where: the options that all have; time: reads one."""
    words = "requests of persons: what is recorded of them, copies, restriction, erasure"
    top = commands.add_parser("subject", help=words, description=words, allow_abbrev=False)
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Run, words: str, is_changing: bool = True) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        if is_changing:
            found.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
        return found

    _add_open(add("open", _open, "open a case"), time)
    for name, run, words in (("list", _list, "list open cases"), ("due", _due, "the same; exit status 1: overdue")):
        add(name, run, words, False).add_argument("--json", action="store_true", help="one array")
    actions.choices["list"].add_argument("--all", action="store_true", help="those that were closed as well")
    show = _case(add("show", _show, "show a case, all recordings of the person, and what was done", False))
    show.add_argument("--json", action="store_true", help="one object")
    _add_export(_choice(_case(add("export", _export, "write the copy for the person: what he said himself"))))
    _choice(_case(add("restrict", _restrict, "keep the person's recordings and do not use them (GDPR Art. 18)")))
    erase = _choice(_case(add("erase", _erase, "erase the person's recordings, or say of each why not")))
    erase.add_argument("--dry-run", action="store_true", help="only say what would happen")
    _case(add("note", _note, "write something down in a case")).add_argument("text", metavar="TEXT", help="what")
    extend = _case(add("extend", _extend, "give a case more time"))
    extend.add_argument("--due", required=True, type=time, metavar="TIME", help="until: 2026-03-31, UTC")
    extend.add_argument("--reason", required=True, metavar="TEXT", help="why; the person is to be told")
    close = _case(add("close", _close, "close a case"))
    close.add_argument("--outcome", required=True, choices=OUTCOMES, help="what became of it")
    close.add_argument("--note", default="", metavar="TEXT", help="such as the answer's reference")
    add("forget", _forget, "delete whom closed cases were about, where it is time; done every night by a recorder")


def _add_open(command: argparse.ArgumentParser, time: Any) -> None:
    command.add_argument("--kind", required=True, choices=KINDS, help="what is asked for")
    for name, words in (
        ("number", "a telephone number in any notation, or a SIP address"),
        ("name", "a name"),
        ("customer", "an id that you know the person by: a tag, a pause's external id, a header's value"),
    ):
        command.add_argument(
            f"--{name}", action="append", default=[], dest=f"{name}s", metavar="TEXT", help=f"{words}; several times"
        )
    command.add_argument("--due", type=time, metavar="TIME", help="when; default: a month from now")


def _add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="a new folder")
    command.add_argument("--format", choices=FORMATS, default="flac", help="default: flac")
    command.add_argument("--with-others", action="store_true", help="both sides: the others agreed, or were weighed")
    add_purpose(command)


def _case(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("case", metavar="CASE", help="a case's id, or its first letters")
    return command


def _choice(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--likely", action="store_true", help="also what is only likely, or linked")
    command.add_argument("--also", action="append", default=[], metavar="ID", help="this one as well; several times")
    command.add_argument("--not", action="append", default=[], dest="never", metavar="ID", help="not this one")
    command.add_argument(
        "--party",
        action="append",
        default=[],
        dest="parties",
        metavar="ID=SIDE",
        help="the person's side, also of --also",
    )
    return command


def _desk(options: argparse.Namespace) -> Any:
    from vittne.appliance.config import load  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.subjects.command import Desk  # noqa: PLC0415

    data = existing_data_dir(options.data, options.config)
    config = load(config_file(options.config)).subjects
    return Desk(data, policy_of(options), config, getattr(options, "by", ""))


def _chosen(options: argparse.Namespace) -> Any:
    from vittne.appliance.subjects.choosing import Choice  # noqa: PLC0415

    return Choice(options.likely, options.also, options.never, options.parties)


def _open(options: argparse.Namespace) -> int:
    who = {name: getattr(options, name) for name in ("numbers", "names", "customers")}
    status: int = _desk(options).open_case(options.kind, who, options.due)
    return status


def _list(options: argparse.Namespace) -> int:
    status: int = _desk(options).list_all(options.all, options.json)
    return status


def _due(options: argparse.Namespace) -> int:
    status: int = _desk(options).due(options.json)
    return status


def _show(options: argparse.Namespace) -> int:
    status: int = _desk(options).show(options.case, options.json)
    return status


def _export(options: argparse.Namespace) -> int:
    from vittne.appliance.subjects.personcopy import CopyOptions  # noqa: PLC0415

    wanted = CopyOptions(options.format, options.with_others, options.purpose)
    status: int = _desk(options).export(options.case, options.output, _chosen(options), wanted)
    return status


def _restrict(options: argparse.Namespace) -> int:
    status: int = _desk(options).restrict(options.case, _chosen(options))
    return status


def _erase(options: argparse.Namespace) -> int:
    status: int = _desk(options).erase(options.case, _chosen(options), options.dry_run)
    return status


def _note(options: argparse.Namespace) -> int:
    status: int = _desk(options).note(options.case, options.text)
    return status


def _extend(options: argparse.Namespace) -> int:
    status: int = _desk(options).extend(options.case, options.due, options.reason)
    return status


def _close(options: argparse.Namespace) -> int:
    status: int = _desk(options).close(options.case, options.outcome, options.note)
    return status


def _forget(options: argparse.Namespace) -> int:
    status: int = _desk(options).forget()
    return status
