"""The command line: options in, a command's exit status out. What a command does is in a module of its own.

Written with argparse: it is there at once, where typer took a third of the CPU time that a whole
`vittne list` may take. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vittne.appliance.alarming.cli import add_alarms
from vittne.appliance.announcements.cli import add_announcement
from vittne.appliance.archive_cli import add_cut, add_scrub, add_trail, add_verify
from vittne.appliance.backup.cli import add_backup
from vittne.appliance.calls_cli import add_calls, add_looks, add_search, add_streams
from vittne.appliance.canary.cli import add_canary
from vittne.appliance.cli_values import Command, a_count, a_time, data_of
from vittne.appliance.compliance_cli import add_compliance
from vittne.appliance.config_cli import add_catalogue, add_config
from vittne.appliance.copies_cli import add_copies
from vittne.appliance.datadir import DATA_VARIABLE, config_file
from vittne.appliance.doctor.cli import add_doctor
from vittne.appliance.edge.cli import add_edge
from vittne.appliance.fleet.cli import add_fleet
from vittne.appliance.keys_parser import add_keys
from vittne.appliance.ledger_cli import add_ledger
from vittne.appliance.life_cli import add_life
from vittne.appliance.review.cli import add_review
from vittne.appliance.storage.cli import add_storage
from vittne.appliance.store.errors import StoreError
from vittne.appliance.subjects.cli import add_subject
from vittne.appliance.support.cli import add_support
from vittne.appliance.time_cli import add_clock, add_stamp
from vittne.appliance.token_cli import add_token
from vittne.appliance.user_cli import add_users
from vittne.appliance.vcon.cli import add_vcon
from vittne.appliance.version import VERSION
from vittne.appliance.webhooks.cli import add_webhook


def dispatch(arguments: list[str]) -> int:
    """Run the command that arguments name. Raises StoreError; SystemExit(2) for wrong usage."""
    options = parser().parse_args(arguments)
    command: Command = options.command
    return command(options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="vittne", description="A call recorder for a mirror port that can be believed.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"vittne {VERSION}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--data", type=Path, metavar="DIR", help=f"data directory (or {DATA_VARIABLE}; default ./var)")
    where.add_argument("--config", type=Path, metavar="FILE", help="configuration (default /etc/vittne/vittne.toml)")

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=run)
        return found

    _add_record(add("record", _record, "record calls from interfaces or capture files"))
    add_calls(add)
    add_copies(add)
    add_verify(add)
    add_looks(add)
    add_cut(add)
    add_streams(add)
    add_scrub(add)
    add_backup(add, a_time, a_count)
    add_trail(add)
    words = "make, list and revoke tokens of the API"
    add_token(commands.add_parser("token", help=words, description=words, allow_abbrev=False), where)
    words = "look at the keys, protect, back up, recover and renew them"
    add_keys(commands.add_parser("keys", help=words, description=words, allow_abbrev=False), where)
    words = "what the ledger says, and proofs of it"
    add_ledger(commands.add_parser("ledger", help=words, description=words, allow_abbrev=False), where)
    _add_pauses(add("pauses", _pauses, "list the pauses that were asked for, or report on who asked"))
    add_vcon(commands, where)
    rules = add("rules", _rules, "show the rules on recording, pausing and keeping calls, or try them on captures")
    rules.add_argument("--try", nargs="+", default=[], dest="captures", metavar="FILE", help="capture files")
    rules.add_argument("--json", action="store_true", help="one array")
    words = "time stamps of third parties over the ledger"
    add_stamp(commands.add_parser("stamp", help=words, description=words, allow_abbrev=False), where)
    add_clock(add)
    add_edge(add)
    add_canary(add)
    add_doctor(add)
    add_review(commands, where)
    add_subject(commands, where, a_time)
    add_announcement(commands, where, add_search, a_time)
    add_life(commands, where, add_search, a_time)
    add_users(commands, where)
    add_webhook(commands, where)
    add_alarms(commands, where)
    add_compliance(commands, where, a_time)
    add_storage(commands, where)
    add_fleet(commands, where, a_time, a_count)
    add_support(add, a_time)
    add_config(commands)
    add_catalogue(commands, where)
    commands.add_parser("version", help="print the version").set_defaults(command=_version)
    return top


def _add_record(command: argparse.ArgumentParser) -> None:
    command.add_argument("--interface", action="append", default=[], metavar="IF", help="capture here; several times")
    command.add_argument(
        "--pcap", action="extend", nargs="+", default=[], metavar="PATH", help="capture files, directories, - for stdin"
    )
    command.add_argument("--hold-back", type=float, metavar="SECONDS", help="how long audio stays in memory only")
    command.add_argument("--test-call", action="store_true", help="place a call of our own through the interface")


def _add_pauses(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one array")
    command.add_argument("--report", action="store_true", help="by agent, by who asked and by trigger")
    command.add_argument(
        "--since", type=a_time, metavar="TIME", help="asked for then or later: 2026-01-31[T12:00], UTC"
    )
    command.add_argument("--until", type=a_time, metavar="TIME", help="asked for before")
    command.add_argument("--agent", default="", metavar="NAME", help="of this agent or extension only")


def _record(options: argparse.Namespace) -> int:
    from vittne.appliance import record_command  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.config import Config, load  # noqa: PLC0415

    given = {"data": options.data, "hold_back_s": options.hold_back, "interfaces": options.interface or None}
    file = config_file(options.config)

    def read() -> Config:
        return load(file, given)

    config = read()
    if options.interface and options.pcap:
        raise StoreError("two sources", "record", "give --interface or --pcap, one of the two")
    return record_command.run(record_command.RecordOptions(config, tuple(options.pcap), options.test_call, file, read))


def _pauses(options: argparse.Namespace) -> int:
    from vittne.appliance import pauses_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    names = ("since", "until", "agent", "report", "json")
    wanted = pauses_command.PausesOptions(**{name: getattr(options, name) for name in names})
    return pauses_command.run(data_of(options), load(config_file(options.config)).pause, wanted)


def _rules(options: argparse.Namespace) -> int:
    from vittne.appliance import rules_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    config = load(config_file(options.config))
    if options.captures:
        return rules_command.dry_run(config, options.captures, options.json)
    return rules_command.show(config, options.json)


def _version(_: argparse.Namespace) -> int:
    print(f"vittne {VERSION}")
    return 0
