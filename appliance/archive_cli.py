"""Options of `vittne verify`, `cut`, `scrub`, `audit` and `rebuild`."""

from __future__ import annotations

import argparse

from vittne.appliance.calls_cli import PARTIES, add_id
from vittne.appliance.cli_values import Add, a_count, a_time, data_of
from vittne.appliance.life_cli import policy_of
from vittne.appliance.store.errors import StoreError


def add_verify(add: Add) -> None:
    """Add the command."""
    _add_verify(add("verify", _verify, "check that recordings are whole, unaltered and all there"))


def add_cut(add: Add) -> None:
    """Add the command."""
    _add_cut(add("cut", _cut, "cut a span out of a stored recording, because a pause came too late"))


def add_scrub(add: Add) -> None:
    """Add the command."""
    _add_scrub(add("scrub", _scrub, "read the archive through, or say what the last time found"))


def add_trail(add: Add) -> None:
    """Add `audit` and `rebuild`."""
    _add_audit(add("audit", _audit, "who looked at what, and who changed what"))
    rebuild = add("rebuild", _rebuild, "write the catalogue anew from the recordings")
    rebuild.add_argument("--check", action="store_true", help="only say where the two differ")


def _add_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("id", metavar="ID", nargs="?", help="a call's id, or its first letters")
    command.add_argument("--all", action="store_true", help="all recordings, and that none is missing or too many")
    command.add_argument("--json", action="store_true", help="one array, an element a recording")


def _add_cut(command: argparse.ArgumentParser) -> None:
    add_id(command)
    time_ = "RFC 3339 with its zone, or seconds from the answer, such as +12.5"
    command.add_argument("--from", required=True, dest="begin", metavar="TIME", help=f"begin of the span: {time_}")
    command.add_argument("--to", required=True, dest="end", metavar="TIME", help="end of the span, the same way")
    command.add_argument("--reason", required=True, metavar="TEXT", help="why; sealed in the recording")
    command.add_argument("--party", choices=PARTIES, default="both", help="whose voice goes; default: both")
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    command.add_argument("--yes", action="store_true", help="do it; without, only show what would go")


def _add_audit(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", type=a_time, metavar="TIME", help="then or later, UTC")
    command.add_argument("--until", type=a_time, metavar="TIME", help="before")
    command.add_argument("--actor", default="", metavar="NAME", help="who")
    command.add_argument("--recording", default="", metavar="ID", help="of which; the whole id")
    command.add_argument("--kind", action="append", default=[], metavar="KIND", help="play, export ...; several times")
    command.add_argument("--limit", type=a_count, metavar="N", help="the newest N")
    command.add_argument("--json", action="store_true", help="one array")
    command.add_argument("--check", action="store_true", help="hold every row against the ledger")


def _add_scrub(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one object")
    command.add_argument("--now", action="store_true", help="go on to the end of the cycle, here")
    command.add_argument("--mb-per-s", type=float, default=0.0, metavar="N", help="with --now; default: all there is")


def _verify(options: argparse.Namespace) -> int:
    from vittne.appliance import verify_command  # noqa: PLC0415

    if bool(options.id) == options.all:
        raise StoreError("nothing to verify", "verify", "give an ID, or --all")
    return verify_command.run(data_of(options), options.id, options.json)


def _cut(options: argparse.Namespace) -> int:
    from vittne.appliance import cut_command  # noqa: PLC0415

    names = ("id", "begin", "end", "party", "reason", "by", "yes")
    wanted = cut_command.CutOptions(**{name: getattr(options, name) for name in names})
    return cut_command.run(data_of(options), wanted, policy_of(options))


def _scrub(options: argparse.Namespace) -> int:
    from vittne.appliance.scrub import command  # noqa: PLC0415

    data = data_of(options)
    return command.now(data, options.mb_per_s) if options.now else command.show(data, options.json)


def _audit(options: argparse.Namespace) -> int:
    from vittne.appliance import audit_command  # noqa: PLC0415
    from vittne.appliance.store.audit import AuditSearch  # noqa: PLC0415

    data = data_of(options)
    if options.check:
        return audit_command.check(data)
    kinds = tuple(options.kind)
    search = AuditSearch(options.since, options.until, options.actor, options.recording, kinds, options.limit)
    return audit_command.show(data, search, options.json)


def _rebuild(options: argparse.Namespace) -> int:
    from vittne.appliance import rebuild_command  # noqa: PLC0415

    data = data_of(options)
    return rebuild_command.check(data) if options.check else rebuild_command.run(data)
