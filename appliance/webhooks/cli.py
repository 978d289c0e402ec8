"""Options of `vittne webhook`; what it does is in command.py."""

from __future__ import annotations

import argparse
from typing import Any

from vittne.appliance.cli_values import Command, data_of


def add_webhook(commands: Any, where: argparse.ArgumentParser) -> None:
    """Add the command. where: the options that all have."""
    words = "tell other programs what happens"
    group = commands.add_parser("webhook", help=words, description=words, allow_abbrev=False)
    actions = group.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = actions.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        return found

    new = add("add", _add, "add a webhook, and print its secret, once")
    new.add_argument("name", metavar="NAME")
    new.add_argument("url", metavar="URL", help="https://...")
    new.add_argument("--event", action="append", required=True, dest="events", metavar="EVENT", help="several times")
    new.add_argument("--full", action="store_true", help="with numbers and names; without, ids and times only")
    add("list", _list, "list webhooks").add_argument("--json", action="store_true", help="one array")
    for name, run, words in (
        ("enable", _enable, "switch one on"),
        ("disable", _disable, "switch one off"),
        ("secret", _secret, "give one a new secret, and print it, once"),
        ("remove", _remove, "forget one, and what it was to be told"),
        ("test", _test, "have one told something harmless"),
    ):
        add(name, run, words).add_argument("webhook", metavar="WEBHOOK", help="its id or name")
    told = add("deliveries", _deliveries, "what webhooks were told, or not")
    told.add_argument("--state", choices=("waiting", "delivered", "dead"))
    told.add_argument("--json", action="store_true", help="one array")
    add("resend", _resend, "try a delivery again").add_argument("delivery", metavar="ID", help="`webhook deliveries`")


def _add(options: argparse.Namespace) -> int:
    from vittne.appliance.config import load  # noqa: PLC0415
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    config = load(options.config).webhooks
    return command.add(data_of(options), config, options.name, options.url, options.events, options.full)


def _list(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.list_all(data_of(options), options.json)


def _enable(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.switch(data_of(options), options.webhook, is_on=True)


def _disable(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.switch(data_of(options), options.webhook, is_on=False)


def _secret(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.renew(data_of(options), options.webhook)


def _remove(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.remove(data_of(options), options.webhook)


def _test(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.again(data_of(options), webhook=options.webhook)


def _deliveries(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.deliveries(data_of(options), options.state or "", options.json)


def _resend(options: argparse.Namespace) -> int:
    from vittne.appliance.webhooks import command  # noqa: PLC0415

    return command.again(data_of(options), delivery=options.delivery)
