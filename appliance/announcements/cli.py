"""Options of `vittne announcement`; what it does is in command.py."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vittne.appliance.datadir import existing_data_dir
from vittne.appliance.life_cli import add_purpose
from vittne.appliance.verdicts.cli import add_verdicts

PURPOSES: Final = ("notice", "consent", "other")
WINDOW_S: Final = 30.0
LIMIT: Final = 200
Run = Callable[[argparse.Namespace], int]
AddSearch = Callable[[argparse.ArgumentParser], None]


def add_announcement(commands: Any, where: argparse.ArgumentParser, add_search: AddSearch, time: Any) -> None:
    """Add the command. where: the options that all have; add_search: those of `list`; time: reads one."""
    words = "announcements that are listened for in calls: enrol, test, change and retire them"
    top = commands.add_parser("announcement", help=words, description=words, allow_abbrev=False)
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Run, words: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        return found

    _add_add(add("add", _add, "enrol an announcement: the file that is played to callers, in any format"), time)
    found = add("list", _list, "list announcements")
    found.add_argument("--all", action="store_true", help="those that were retired as well")
    found.add_argument("--json", action="store_true", help="one array")
    found = _name(add("show", _show, "show an announcement and its versions"))
    found.add_argument("--version", type=int, metavar="N", help="another version than the newest")
    found.add_argument("--json", action="store_true", help="one object")
    _add_change(_name(add("change", _change, "make a new version of an announcement")), time)
    found = _by(_name(add("retire", _retire, "listen for an announcement no more")))
    found.add_argument("--at", type=time, metavar="TIME", help="from then on; default: now")
    found.add_argument("--json", action="store_true", help="one object")
    found = _name(add("play", _play, "play an announcement as it is kept, on this machine's sound card"))
    found.add_argument("--version", type=int, metavar="N", help="another version than the newest")
    found.add_argument(
        "-o", "--output", default="", metavar="FILE", help="write it as WAV instead; - is standard output"
    )
    found.add_argument("--force", action="store_true", help="replace the file when there is one")
    found = add("alike", _alike, "which announcements share phrases; exit status 1 when two cannot be told apart")
    found.add_argument("--json", action="store_true", help="one array")
    add_verdicts(add, add_search, time)
    _add_try(add("try", _try, "search stored calls, a capture or a sound file for an announcement"), add_search)


def _add_add(command: argparse.ArgumentParser, time: Any) -> None:
    _name(command)
    command.add_argument(
        "file", type=Path, metavar="FILE", help="WAV, FLAC, MP3 ..., or a PBX's .ulaw, .sln, .g722 ..."
    )
    command.add_argument("--purpose", choices=PURPOSES, default="notice", help="default: notice")
    _add_terms(_by(command), time)


def _add_change(command: argparse.ArgumentParser, time: Any) -> None:
    command.add_argument("--file", type=Path, metavar="FILE", help="another sound")
    command.add_argument("--purpose", choices=PURPOSES, help="what hearing it means")
    command.add_argument("--require-all", action="store_true", help="all its speech must be heard")
    command.add_argument("--everywhere", action="store_true", help="it is played at all sites")
    command.add_argument("--no-end", action="store_true", help="it counts until it is retired")
    _add_terms(_by(command), time)


def _add_terms(command: argparse.ArgumentParser, time: Any) -> None:
    command.add_argument("--language", metavar="TAG", help="BCP 47, such as en or de-AT")
    command.add_argument("--from", type=_seconds, dest="from_s", metavar="SECONDS", help="where it begins in FILE")
    command.add_argument("--until", type=_seconds, dest="until_s", metavar="SECONDS", help="where it ends in FILE")
    command.add_argument("--anyway", action="store_true", help="although it does not sound like speech")
    words = "seconds that must be heard, such as 3.2-7.9 (of FILE; without one, of the sound); several times"
    command.add_argument("--require", type=_stretch, action="append", default=[], metavar="FROM-TO", help=words)
    command.add_argument("--agree", metavar="DIGITS", help="consent: keys that agree")
    command.add_argument("--refuse", metavar="DIGITS", help="consent: keys that refuse")
    command.add_argument("--within", type=_seconds, metavar="SECONDS", help="consent: so long after it a key counts")
    command.add_argument("--site", action="append", default=[], metavar="NAME", help="played there; several times")
    command.add_argument("--valid-from", type=time, metavar="TIME", help="counts from then on, UTC")
    command.add_argument("--valid-until", type=time, metavar="TIME", help="counts no more from then on")
    command.add_argument("--note", metavar="TEXT", help="for people")
    command.add_argument("--json", action="store_true", help="one object")


def _add_try(command: argparse.ArgumentParser, add_search: AddSearch) -> None:
    command.add_argument("what", metavar="NAME|FILE", help="an announcement, or a sound file that is not enrolled yet")
    command.add_argument("--version", type=int, metavar="N", help="another version than the newest")
    command.add_argument(
        "--pcap", nargs="+", default=[], metavar="PATH", help="search captures instead of stored calls"
    )
    command.add_argument("--sound", type=Path, metavar="FILE", help="search a sound file; stereo: caller left")
    command.add_argument("--degrade", action="store_true", help="what telephony may do to it, and what is heard then")
    words = f"search the beginning of each call; default {WINDOW_S:g}, 0: all of it"
    command.add_argument("--window", type=_seconds, default=WINDOW_S, metavar="SECONDS", help=words)
    command.add_argument("--from", type=_seconds, dest="from_s", metavar="SECONDS", help="where it begins in FILE")
    command.add_argument("--to", type=_seconds, dest="until_s", metavar="SECONDS", help="where it ends in FILE")
    command.add_argument("--require", type=_stretch, action="append", default=[], metavar="FROM-TO", help="of FILE")
    command.add_argument("--anyway", action="store_true", help="although FILE does not sound like speech")
    command.add_argument("--limit", type=int, default=LIMIT, metavar="N", help=f"the newest N calls; default {LIMIT}")
    command.add_argument("--json", action="store_true", help="one object")
    add_purpose(_by(command))
    add_search(command)


def _name(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("name", metavar="NAME", help="small letters, digits, - and _")
    return command


def _by(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    return command


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < 1e6:
        raise ValueError
    return seconds


def _stretch(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)-(\d{1,6}(?:\.\d{1,6})?)", text)
    if found is None or float(found[1]) >= float(found[2]):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no stretch of seconds, such as 3.2-7.9")
    return float(found[1]), float(found[2])


def _desk(options: argparse.Namespace) -> Any:
    from vittne.appliance.announcements.command import Desk  # noqa: PLC0415 - only what a command needs

    return Desk(existing_data_dir(options.data, options.config), getattr(options, "by", ""))


def _add(options: argparse.Namespace) -> int:
    status: int = _desk(options).add(options)
    return status


def _list(options: argparse.Namespace) -> int:
    from vittne.appliance.announcements.listing import Listing  # noqa: PLC0415

    return Listing(existing_data_dir(options.data, options.config)).list(options.all, options.json, options.config)


def _show(options: argparse.Namespace) -> int:
    from vittne.appliance.announcements.listing import Listing  # noqa: PLC0415

    return Listing(existing_data_dir(options.data, options.config)).show(options.name, options.version, options.json)


def _change(options: argparse.Namespace) -> int:
    status: int = _desk(options).change(options)
    return status


def _retire(options: argparse.Namespace) -> int:
    status: int = _desk(options).retire(options.name, options.at, options.json)
    return status


def _play(options: argparse.Namespace) -> int:
    status: int = _desk(options).play(options.name, options.version, options.output, options.force)
    return status


def _alike(options: argparse.Namespace) -> int:
    status: int = _desk(options).alike(options.json)
    return status


def _try(options: argparse.Namespace) -> int:
    from vittne.appliance.announcements.try_command import run  # noqa: PLC0415

    return run(options)
