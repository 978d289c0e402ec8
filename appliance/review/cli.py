"""Options of `vittne review`; what it does is in command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from vittne.appliance.datadir import config_file, existing_data_dir

OUTCOMES: Final = ("good", "improve", "breach", "not-reviewable")  # those of operations.py; a test compares
Run = Callable[[argparse.Namespace], int]


def add_review(commands: Any, where: argparse.ArgumentParser) -> None:
    """Add the command. where: the options that all have."""
    words = "sampling plans, scorecards, and what reviewers say of calls"
    top = commands.add_parser("review", help=words, description=words, allow_abbrev=False)
    actions = top.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Run, words: str, parent: Any = actions) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = parent.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        return found

    def group(name: str, words: str) -> Any:
        found = actions.add_parser(name, help=words, description=words, allow_abbrev=False)
        return found.add_subparsers(title="actions", metavar="ACTION", required=True)

    _add_plan(group("plan", "which share of which calls is reviewed"), add)
    card = group("card", "what reviewers are asked")
    put = _by(add("add", _card_add, "add a scorecard, or a new version of it", card))
    put.add_argument("file", type=Path, metavar="FILE", help="TOML: name and [[questions]]")
    add("list", _card_list, "list scorecards", card).add_argument("--json", action="store_true", help="one array")
    draw = _by(add("draw", _draw, "draw the calls of a month that is over; what is drawn stays drawn"))
    draw.add_argument("--month", required=True, metavar="MONTH", help="2026-01")
    draw.add_argument("--plan", action="append", default=[], metavar="NAME", help="only this; several times")
    queue = add("queue", _queue, "list what waits to be reviewed")
    queue.add_argument("--reviewer", default="", metavar="NAME", help="what is his")
    queue.add_argument("--all", action="store_true", help="what is done as well")
    queue.add_argument("--json", action="store_true", help="one array")
    assign = _by(_id(add("assign", _assign, "say who reviews a call")))
    assign.add_argument("--to", required=True, metavar="NAME", help="who")
    _add_score(_by(_id(add("score", _score, "enter what a reviewer says of a call"))))
    _id(add("show", _show, "show a review, with what was written")).add_argument("--json", action="store_true")
    report = add("report", _report, "coverage of plans, agents' means, what is overdue: then exit status 1")
    report.add_argument("--month", required=True, metavar="MONTH", help="2026-01")
    form = report.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", const="json", dest="form", default="", help="one object")
    form.add_argument("--csv", action="store_const", const="csv", dest="form", help="a line a review")
    add("check", _check, "do every draw again, and compare it with what was entered")


def _add_plan(actions: Any, add: Any) -> None:
    put = _by(add("add", _plan_add, "add plans, or change them", actions))
    what = put.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, metavar="FILE", help="TOML with tables [[review]]")
    what.add_argument("--configured", action="store_true", help="those of the configuration; `draw` does it as well")
    found = add("list", _plan_list, "list plans", actions)
    found.add_argument("--all", action="store_true", help="those that ended as well")
    found.add_argument("--json", action="store_true", help="one array")
    status = add("status", _report, "how far a month's plans are covered: the same as `report`", actions)
    status.add_argument("--month", required=True, metavar="MONTH", help="2026-01")
    status.add_argument("--json", action="store_const", const="json", dest="form", default="", help="one object")
    end = _by(add("end", _plan_end, "draw by a plan no more", actions))
    end.add_argument("name", metavar="NAME", help="its name")


def _add_score(command: argparse.ArgumentParser) -> None:
    command.add_argument("--card", default="", metavar="CARD", help="the scorecard; default: the plan's")
    command.add_argument(
        "--answer", action="append", default=[], metavar="QUESTION=ANSWER", help="yes, no, 0 to 5, a text, or na"
    )
    command.add_argument("--outcome", required=True, choices=OUTCOMES, help="what it comes to")
    command.add_argument("--note", default="", metavar="TEXT", help="for who reads reviews")
    command.add_argument("--coaching", default="", metavar="TEXT", help="for who trains the agent")


def _by(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    return command


def _id(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("id", metavar="ID", help="a review's or its recording's id, or its first letters")
    return command


def _desk(options: argparse.Namespace) -> Any:
    from vittne.appliance.review.command import Desk  # noqa: PLC0415 - here and below: only what a command needs

    return Desk(existing_data_dir(options.data, options.config), getattr(options, "by", ""))


def _configured(options: argparse.Namespace) -> Any:
    from vittne.appliance.config import load  # noqa: PLC0415

    return load(config_file(options.config)).review


def _plan_add(options: argparse.Namespace) -> int:
    from vittne.appliance.datadir import read_toml  # noqa: PLC0415
    from vittne.appliance.review.plans import read_plans  # noqa: PLC0415

    plans = _configured(options) if options.configured else read_plans(read_toml(options.file), options.file)
    status: int = _desk(options).add_plans(plans)
    return status


def _plan_list(options: argparse.Namespace) -> int:
    status: int = _desk(options).plans(options.all, options.json)
    return status


def _plan_end(options: argparse.Namespace) -> int:
    status: int = _desk(options).end_plan(options.name)
    return status


def _card_add(options: argparse.Namespace) -> int:
    status: int = _desk(options).add_card(options.file)
    return status


def _card_list(options: argparse.Namespace) -> int:
    status: int = _desk(options).cards(options.json)
    return status


def _draw(options: argparse.Namespace) -> int:
    status: int = _desk(options).draw(_configured(options), options.month, options.plan)
    return status


def _queue(options: argparse.Namespace) -> int:
    status: int = _desk(options).queue(options.reviewer, options.all, options.json)
    return status


def _assign(options: argparse.Namespace) -> int:
    status: int = _desk(options).assign(options.id, options.to)
    return status


def _score(options: argparse.Namespace) -> int:
    names = {"review": "id", "card": "card", "outcome": "outcome", "note": "note", "coaching": "coaching"}
    order = {name: getattr(options, key) for name, key in names.items()}
    status: int = _desk(options).score(order, options.answer)
    return status


def _show(options: argparse.Namespace) -> int:
    status: int = _desk(options).show(options.id, options.json)
    return status


def _report(options: argparse.Namespace) -> int:
    status: int = _desk(options).report(options.month, options.form)
    return status


def _check(options: argparse.Namespace) -> int:
    status: int = _desk(options).check()
    return status
