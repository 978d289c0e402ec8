"""Options of `vittne announcement` about calls: which were announced, which not, and what becomes of those.

The command itself and what it does with prompts is appliance/announcements.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vittne.appliance.datadir import config_file, existing_data_dir

Run = Callable[[argparse.Namespace], int]
Add = Callable[[str, Run, str], argparse.ArgumentParser]
WORDS: Final = ("full", "partial", "none", "not-listened", "not-expected")  # those of judge.py; a test compares


def add_verdicts(add: Add, add_search: Callable[[Any], None], time: Callable[[str], int]) -> None:
    """Add the actions. add: adds one with the options that all have; add_search: those of `list`; time: reads one."""
    missing = add("unannounced", _unannounced, "list calls that were not announced as their rule wants")
    _add_span(missing, time)
    missing.add_argument("--verdict", choices=WORDS[1:4], default="", help="only these")
    missing.add_argument("--rule", default="", metavar="NAME", help="of [[announcement]]")
    missing.add_argument("--site", default="", metavar="NAME", help="of this site")
    missing.add_argument("--number", default="", metavar="TEXT", help="in caller or callee")
    missing.add_argument("--quarantined", action="store_true", help="only what lies in quarantine, whatever was heard")
    missing.add_argument("--limit", type=int, metavar="N", help="the newest N")
    missing.add_argument("--json", action="store_true", help="one array")
    share = add("coverage", _coverage, "how many calls were announced, by site, trunk, number, language, hour, day")
    _add_span(share, time)
    share.add_argument("--json", action="store_true", help="one object")
    found = _id(add("verdict", _verdict, "show all verdicts on a call, the newest last"))
    found.add_argument("--json", action="store_true", help="one array")
    for name, run, words in (
        ("release", _release, "take a call out of quarantine: others may hear it"),
        ("discard", _discard, "erase a call that lies in quarantine"),
    ):
        one = _id(add(name, run, words))
        one.add_argument("--reason", required=True, metavar="TEXT", help="why; must not name a party")
        one.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    _add_check(add("check", _check, "listen to stored calls again; enter what is found beside what was"), add_search)


def _add_check(command: argparse.ArgumentParser, add_search: Callable[[Any], None]) -> None:
    command.add_argument("--id", action="append", default=[], dest="ids", metavar="ID", help="a call; several times")
    command.add_argument("--all", action="store_true", help="all that are kept")
    words = "listen for this prompt's newest version, instead of what was enrolled when the call was; several times"
    command.add_argument("--with", action="append", default=[], dest="names", metavar="NAME", help=words)
    words = "search the beginning of each call; default: as when it was recorded, 0: all of it"
    command.add_argument("--window", type=float, metavar="SECONDS", help=words)
    command.add_argument("--dry-run", action="store_true", help="only say what would be entered")
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    command.add_argument("--limit", type=int, metavar="N", help="the newest N")
    command.add_argument("--json", action="store_true", help="one object")
    add_search(command)


def _add_span(command: argparse.ArgumentParser, time: Callable[[str], int]) -> None:
    command.add_argument("--since", type=time, metavar="TIME", help="answered then or later: 2026-01-31[T12:00], UTC")
    command.add_argument("--until", type=time, metavar="TIME", help="answered before")


def _id(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("id", metavar="ID", help="a call's id, or its first letters")
    return command


def _data(options: argparse.Namespace) -> Path:
    return existing_data_dir(options.data, options.config)


def _unannounced(options: argparse.Namespace) -> int:
    from vittne.appliance.verdicts import command  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.verdicts.sums import Which  # noqa: PLC0415

    which = Which(
        options.since,
        options.until,
        options.verdict,
        options.rule,
        options.site,
        options.number,
        options.quarantined,
        options.limit,
    )
    return command.unannounced(_data(options), which, options.json)


def _coverage(options: argparse.Namespace) -> int:
    from vittne.appliance.config import load  # noqa: PLC0415
    from vittne.appliance.verdicts import command  # noqa: PLC0415

    zone = load(config_file(options.config)).site.timezone
    return command.coverage(_data(options), zone, options.since, options.until, options.json)


def _verdict(options: argparse.Namespace) -> int:
    from vittne.appliance.verdicts import command  # noqa: PLC0415

    return command.verdicts(_data(options), options.id, options.json)


def _release(options: argparse.Namespace) -> int:
    from vittne.appliance.life_cli import policy_of  # noqa: PLC0415
    from vittne.appliance.verdicts import command  # noqa: PLC0415

    return command.release(_data(options), policy_of(options), options.id, options.reason, options.by)


def _discard(options: argparse.Namespace) -> int:
    from vittne.appliance.life_cli import policy_of  # noqa: PLC0415
    from vittne.appliance.verdicts import command  # noqa: PLC0415

    return command.discard(_data(options), policy_of(options), options.id, options.reason, options.by)


def _check(options: argparse.Namespace) -> int:
    from vittne.appliance.config import load  # noqa: PLC0415
    from vittne.appliance.verdicts import check_command  # noqa: PLC0415

    names = ("ids", "all", "names", "window", "dry_run", "by", "json", "limit")
    search = ("since", "until", "number", "outcome", "call_id", "codec")
    wanted = check_command.CheckOptions(
        **{name: getattr(options, name) for name in names}, search={name: getattr(options, name) for name in search}
    )
    return check_command.run(_data(options), load(config_file(options.config)), wanted)
