"""Options of the commands for authorities and auditors; what they do is in compliance/."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from vittne.appliance.datadir import config_file, existing_data_dir
from vittne.appliance.store.errors import StoreError

Run = Callable[[argparse.Namespace], int]
REGIMES: Final = ("pci", "mifid", "sec", "sox", "soc2", "hipaa", "gdpr", "fedramp")
SILENT_DAYS: Final = 7


def add_compliance(commands: Any, where: argparse.ArgumentParser, time: Callable[[str], int]) -> None:
    """Add the commands. where: the options that all have; time: reads one."""

    def add(name: str, run: Run, words: str, parent: Any = commands) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = parent.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        return found

    _add_report(add("report", _report, "what the laws ask, and what is found of it"), time)
    _add_coverage(add("coverage", _coverage, "a day's answered calls against its recordings; silent users"))
    found = add(
        "inventory", _inventory, "what is kept of whom, what for, how long: the record of processing (GDPR Art. 30)"
    )
    form = found.add_mutually_exclusive_group()
    for name in ("csv", "json", "html"):
        form.add_argument(
            f"--{name}", dest="form", action="store_const", const=name, default="", help=f"as {name.upper()}"
        )
    found = add("lawful-basis", _lawful_basis, "on what ground recordings are kept; which have none")
    found.add_argument(
        "id", metavar="ID", nargs="?", default="", help="a call's id, or its first letters; default: sums"
    )
    found.add_argument("--missing", action="store_true", help="list recordings without one, or with unproven consent")
    found.add_argument("--json", action="store_true", help="one array, or with ID one object")
    words = "what an account did; incidents and their 72 hours (GDPR Art. 33, 34)"
    group = commands.add_parser("incident", help=words, description=words, allow_abbrev=False)
    _add_incident(group.add_subparsers(title="actions", metavar="ACTION", required=True), add, time)


def _add_incident(actions: Any, add: Any, time: Callable[[str], int]) -> None:
    scope = add("scope", _scope, "what an account heard, copied and did, and whom it concerns", actions)
    scope.add_argument("--json", action="store_true", help="one object")
    begin = add("open", _incident_open, "write down what happened, and start the clock", actions)
    begin.add_argument("title", metavar="TITLE", help="what happened, in a few words")
    begin.add_argument("--known", type=time, metavar="TIME", help="when it became known, UTC; default: now")
    for one in (scope, begin):
        words = "an account: a user, or a token's name"
        one.add_argument("--actor", default="", required=one is scope, metavar="NAME", help=words)
        one.add_argument("--since", type=time, metavar="TIME", help="what it did then or later, UTC; default: ever")
        one.add_argument("--until", type=time, metavar="TIME", help="and before; default: now")
    note = add("note", _incident_note, "write down what was done", actions)
    note.add_argument("--told", action="store_true", help="the authority was told: the clock stops")
    close = add("close", _incident_close, "it is over; say what came of it", actions)
    for one in (note, close):
        one.add_argument("id", metavar="INCIDENT", help="its id, or its first letters")
    for one in (begin, note, close):
        one.add_argument("--text", required=one is not begin, default="", metavar="TEXT", help="for who reads it later")
        one.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    listed = add("list", _incident_list, "list incidents that are open", actions)
    listed.add_argument("--all", action="store_true", help="those that were closed as well")
    listed.add_argument("--json", action="store_true", help="one array")
    show = add("show", _incident_show, "show all that was written of an incident", actions)
    show.add_argument("id", metavar="INCIDENT", help="its id, or its first letters")
    show.add_argument("--json", action="store_true", help="one object")


def _add_report(command: argparse.ArgumentParser, time: Callable[[str], int]) -> None:
    words = f"{', '.join(REGIMES)}; default: all"
    command.add_argument("regimes", metavar="REGIME", nargs="*", type=_regime, help=words)
    command.add_argument("--since", type=time, metavar="TIME", help="from then on: 2026-01-31[T12:00], UTC")
    command.add_argument("--until", type=time, metavar="TIME", help="before; default: now")
    command.add_argument("-o", "--output", default="", metavar="FILE", help="FILE.html, or FILE.pdf to print")
    command.add_argument("--force", action="store_true", help="replace the file when there is one")
    command.add_argument("--json", action="store_true", help="one object")


def _add_coverage(command: argparse.ArgumentParser) -> None:
    command.add_argument("--day", type=_day, metavar="DAY", help="2026-01-31, by the site's clock; default: yesterday")
    command.add_argument(
        "--users", type=Path, metavar="FILE", help="who is in scope, a line each: NUMBER[,FROM[,UNTIL]]"
    )
    words = f"how long somebody in scope may be without a recording; default: {SILENT_DAYS}"
    command.add_argument("--silent-days", type=_days, default=SILENT_DAYS, metavar="N", help=words)
    command.add_argument("--json", action="store_true", help="one object")


def _report(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import report_command  # noqa: PLC0415 - here and below: only what a command needs

    names = ("regimes", "since", "until", "output", "force", "json")
    wanted = report_command.ReportOptions(**{name: getattr(options, name) for name in names})
    return report_command.run(_data(options), _config(options), wanted)


def _coverage(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import coverage_command  # noqa: PLC0415

    day = options.day or datetime.now(UTC).date() - timedelta(days=1)
    wanted = coverage_command.CoverageOptions(day, options.users, options.silent_days, options.json)
    return coverage_command.run(_data(options), _config(options), wanted)


def _inventory(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import inventory_command  # noqa: PLC0415

    return inventory_command.show(_data(options), _config(options), options.form)


def _lawful_basis(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import inventory_command  # noqa: PLC0415

    if options.id and options.missing:
        raise StoreError(
            "one recording, or those without a basis", "lawful-basis", "give ID or --missing, one of the two"
        )
    return inventory_command.lawful_bases(_data(options), options.id, options.missing, options.json)


def _scope(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import incident_command  # noqa: PLC0415

    account = incident_command.Account(options.actor, options.since, options.until)
    return incident_command.scope(_data(options), _config(options), account, options.json)


def _incident_open(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import incident_command  # noqa: PLC0415

    account = incident_command.Account(options.actor, options.since, options.until) if options.actor else None
    told = (options.title, options.text, options.known, account, options.by)
    return incident_command.begin(_data(options), _config(options), *told)


def _incident_note(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import incident_command  # noqa: PLC0415

    return incident_command.note(_data(options), options.id, options.text, options.told, options.by)


def _incident_close(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import incident_command  # noqa: PLC0415

    return incident_command.close(_data(options), options.id, options.text, options.by)


def _incident_list(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import incident_command  # noqa: PLC0415

    return incident_command.list_all(_data(options), options.all, options.json)


def _incident_show(options: argparse.Namespace) -> int:
    from vittne.appliance.compliance import incident_command  # noqa: PLC0415

    return incident_command.show(_data(options), options.id, options.json)


def _data(options: argparse.Namespace) -> Path:
    return existing_data_dir(options.data, options.config)


def _config(options: argparse.Namespace) -> Any:
    from vittne.appliance.config import load  # noqa: PLC0415

    return load(config_file(options.config))


def _regime(text: str) -> str:
    if text not in REGIMES:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is none of {', '.join(REGIMES)}")
    return text


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _days(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 3660:
        raise ValueError
    return number
