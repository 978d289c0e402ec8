"""Options of `vittne fleet`; what they do is in command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vittne.appliance.datadir import config_file, existing_data_dir

Run = Callable[[argparse.Namespace], int]


def add_fleet(
    commands: Any, where: argparse.ArgumentParser, a_time: Callable[[str], int], a_count: Callable[[str], int]
) -> None:
    """Add the commands. where: the options that all have."""
    words = "all recorders that share a catalogue"
    group = commands.add_parser("fleet", help=words, description=words, allow_abbrev=False)
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Run, words: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        found.add_argument("--json", action="store_true", help="one array")
        return found

    add("boxes", _boxes, "which recorders there are, and when each sent something last")
    add("status", _status, "how much of this recorder's catalogue is not in the shared one yet, and since when")
    put = add("restore", _restore, "bring this recorder's catalogue back from the shared one, after it was lost")
    put.add_argument("--replace", action="store_true", help="although there is a catalogue: what only it has stays")
    words = "have the shared catalogue forget what this recorder does not know (after a loss that nothing brings back)"
    add("forget", _forget, words).add_argument("--yes", action="store_true", help="really")
    search = add("search", _search, "search the calls of all recorders, the newest first")
    search.add_argument("words", nargs="*", metavar="WORD", help="each in numbers, names, agents, Call-IDs or tags")
    search.add_argument("--since", type=a_time, metavar="TIME", help="started then or later: 2026-01-31[T12:00], UTC")
    search.add_argument("--until", type=a_time, metavar="TIME", help="started before")
    search.add_argument("--number", default="", metavar="TEXT", help="in a number")
    search.add_argument("--call-id", default="", metavar="TEXT", help="in a SIP Call-ID")
    search.add_argument("--site", default="", metavar="NAME", help="of this site")
    search.add_argument("--outcome", default="", metavar="OUTCOME", help="one, or several with commas")
    search.add_argument("--all", action="store_true", help="calls that were never answered as well")
    search.add_argument("--limit", type=a_count, default=50, metavar="N", help="the newest N (50)")


def _configured(options: argparse.Namespace) -> tuple[Path, Any]:
    from vittne.appliance.config import load  # noqa: PLC0415 - here and below: only what a command needs

    return existing_data_dir(options.data, options.config), load(config_file(options.config)).catalogue


def _boxes(options: argparse.Namespace) -> int:
    from vittne.appliance.fleet import command  # noqa: PLC0415

    return command.show_boxes(_configured(options)[1], options.json)


def _status(options: argparse.Namespace) -> int:
    from vittne.appliance.fleet import command  # noqa: PLC0415

    return command.status(*_configured(options), options.json)


def _restore(options: argparse.Namespace) -> int:
    from vittne.appliance.fleet import restore_command  # noqa: PLC0415

    return restore_command.run(*_configured(options), options.replace, options.json)


def _forget(options: argparse.Namespace) -> int:
    from vittne.appliance.fleet import restore_command  # noqa: PLC0415

    return restore_command.forget(_configured(options)[0], options.yes, options.json)


def _search(options: argparse.Namespace) -> int:
    from vittne.appliance.fleet import command  # noqa: PLC0415
    from vittne.appliance.store.times import rfc3339  # noqa: PLC0415

    asked: dict[str, Any] = {name: getattr(options, name) for name in ("number", "call_id", "site", "outcome")}
    asked |= {"q": " ".join(options.words), "unanswered": options.all}
    for name in ("since", "until"):
        if getattr(options, name) is not None:
            asked[name] = rfc3339(getattr(options, name))
    return command.search_all(*_configured(options), asked, options.limit, options.json)
