"""Options of the commands about the life of recordings; what they do is in life_command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, Final

from vittne.appliance.datadir import config_file, existing_data_dir

Run = Callable[[argparse.Namespace], int]
Add = Callable[[str, Run, str], argparse.ArgumentParser]
FIELDS: Final = ("caller", "callee", "site")
PURPOSES: Final = ("consent", "legal-claims", "rights-of-others", "public-interest")


def add_life(commands: Any, where: argparse.ArgumentParser, add_search: Callable[[Any], None], time: Any) -> None:
    """Add the commands. where: the options that all have; add_search: those of `list`; time: reads one."""

    def add(name: str, run: Run, words: str, parent: Any = commands) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = parent.add_parser(
            name, help=words, description=words, parents=[where], allow_abbrev=False
        )
        found.set_defaults(command=run)
        return found

    def group(name: str, words: str) -> Any:
        found = commands.add_parser(name, help=words, description=words, allow_abbrev=False)
        return found.add_subparsers(title="actions", metavar="ACTION", required=True)

    _add_hold(group("hold", "place, list and release legal holds"), add, add_search)
    _add_retention(group("retention", "what goes when and why not; do it; keep longer"), add, time)
    _add_erase(add("erase", _erase, "erase a recording for good, or say why not; show its certificate"))
    for name, words in (
        ("restrict", "keep a recording and do not use it (GDPR Art. 18)"),
        ("unrestrict", "use it again"),
    ):
        found = _add_reason(_add_id(add(name, _restrict, words)))
        found.set_defaults(is_on=name == "restrict")
    correct = _add_reason(_add_id(add("correct", _correct, "show a field otherwise than it was recorded")))
    correct.add_argument("--set", required=True, metavar="FIELD=VALUE", help=f"one of {', '.join(FIELDS)}")
    history = _add_id(add("history", _history, "show all that became of a recording: versions, holds, looks"))
    history.add_argument("--json", action="store_true", help="one object")
    _add_request(group("request", "what waits for a second person"), add)


def _add_hold(actions: Any, add: Any, add_search: Callable[[Any], None]) -> None:
    place = add("place", _hold_place, "keep recordings from being erased: ids, or what a search finds now", actions)
    place.add_argument("--label", required=True, metavar="TEXT", help="what it is called, such as a case number")
    place.add_argument("--owner", default="", metavar="NAME", help="who answers for it; default: who places it")
    place.add_argument("--id", action="append", default=[], dest="ids", metavar="ID", help="a call; several times")
    place.add_argument("--standing", action="store_true", help="also what is recorded later and matches")
    _add_reason(place)
    add_search(place)
    found = add("list", _hold_list, "list holds", actions)
    found.add_argument("--all", action="store_true", help="those that were released as well")
    found.add_argument("--json", action="store_true", help="one array")
    show = add("show", _hold_show, "show a hold and the recordings it lies on", actions)
    show.add_argument("id", metavar="HOLD", help="its id, or its first letters")
    show.add_argument("--json", action="store_true", help="one object")
    release = _add_reason(add("release", _hold_release, "let go of a hold", actions))
    release.add_argument("id", metavar="HOLD", help="its id, or its first letters")


def _add_retention(actions: Any, add: Any, time: Any) -> None:
    plan = add("plan", _plan, "what would go, and what stays and why; nothing is changed", actions)
    run = add("run", _run_retention, "erase what is due now", actions)
    run.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    what_if = add("what-if", _plan, "what other rules would change; nothing is changed", actions)
    what_if.add_argument("file", metavar="FILE", help="a configuration with other [[retention]] rules or [[classes]]")
    for one in (plan, what_if):
        one.add_argument("--at", type=time, metavar="TIME", help="as if it were then; default: now")
        one.add_argument("--json", action="store_true", help="one object")
    show = _add_id(add("show", _retention_show, "show class, lock, end and holds of a recording", actions))
    show.add_argument("--json", action="store_true", help="one object")
    extend = _add_reason(_add_id(add("extend", _extend, "keep a recording longer, or as another class", actions)))
    new = extend.add_mutually_exclusive_group(required=True)
    new.add_argument("--until", type=time, metavar="TIME", help="2033-01-31[T12:00], UTC")
    new.add_argument("--class", default="", dest="retention_class", metavar="CLASS", help="its name")


def _add_erase(command: argparse.ArgumentParser) -> None:
    command.add_argument("id", metavar="ID", nargs="?", help="a call's id, or its first letters")
    command.add_argument(
        "--reason", default="", metavar="TEXT", help="why; must not name a party, it outlives the call"
    )
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    command.add_argument("--dry-run", action="store_true", help="only say what would happen")
    command.add_argument("--certificate", action="store_true", help="print the deletion certificate")
    command.add_argument("-o", "--output", default="-", metavar="FILE", help="where the certificate goes")
    command.add_argument("--settle", action="store_true", help="finish erasures, and redo what a backup brought back")


def _add_request(actions: Any, add: Any) -> None:
    found = add("list", _request_list, "list what waits for a second person", actions)
    found.add_argument("--all", action="store_true", help="what was decided as well")
    found.add_argument("--json", action="store_true", help="one array")
    for name, words in (("approve", "want what somebody else asked for"), ("refuse", "say no, or take one's own back")):
        one = add(name, _request_decide, words, actions)
        one.add_argument("id", metavar="REQUEST", help="its id, or its first letters")
        one.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
        one.set_defaults(is_wanted=name == "approve")


def add_purpose(command: argparse.ArgumentParser) -> None:
    """Add the option that opens what is restricted."""
    words = "what a restricted recording is needed for; entered in the trail"
    command.add_argument("--purpose", choices=PURPOSES, default="", help=words)


def add_review_reason(command: argparse.ArgumentParser) -> None:
    """Add the option that opens what lies in quarantine."""
    words = "why somebody looks at what lies in quarantine; entered in the trail"
    command.add_argument("--review", default="", metavar="REASON", help=words)


def policy_of(options: argparse.Namespace) -> Any:
    """Return what is configured about the life of recordings."""
    from vittne.appliance.config import load  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.life.settings import life_policy  # noqa: PLC0415

    config = load(config_file(options.config))
    return life_policy(config.approval, config.store, config.classes)


def _add_id(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("id", metavar="ID", help="a call's id, or its first letters")
    return command


def _add_reason(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--reason", required=True, metavar="TEXT", help="why")
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    return command


def _desk(options: argparse.Namespace) -> Any:
    from vittne.appliance.life_command import Desk  # noqa: PLC0415

    by = getattr(options, "by", "")
    return Desk(existing_data_dir(options.data, options.config), policy_of(options), by)


def _hold_place(options: argparse.Namespace) -> int:
    names = ("since", "until", "number", "outcome", "call_id", "codec")
    said = {name: value for name in names if (value := getattr(options, name, None))}
    search = {{"since": "since_us", "until": "until_us"}.get(name, name): value for name, value in said.items()}
    if search:
        search["unanswered"] = True  # an attempt is in the list as well, and may matter
    status: int = _desk(options).place(
        options.label, options.reason, options.owner, options.ids, search, options.standing
    )
    return status


def _hold_list(options: argparse.Namespace) -> int:
    status: int = _desk(options).holds(options.all, options.json)
    return status


def _hold_show(options: argparse.Namespace) -> int:
    status: int = _desk(options).hold(options.id, options.json)
    return status


def _hold_release(options: argparse.Namespace) -> int:
    status: int = _desk(options).release(options.id, options.reason)
    return status


def _plan(options: argparse.Namespace) -> int:
    status: int = _desk(options).plan(options.at, getattr(options, "file", None), options.json)
    return status


def _run_retention(options: argparse.Namespace) -> int:
    status: int = _desk(options).run_retention()
    return status


def _retention_show(options: argparse.Namespace) -> int:
    status: int = _desk(options).retention(options.id, options.json)
    return status


def _extend(options: argparse.Namespace) -> int:
    status: int = _desk(options).extend(options.id, options.until, options.retention_class, options.reason)
    return status


def _erase(options: argparse.Namespace) -> int:
    desk = _desk(options)
    status: int
    if options.settle:
        status = desk.settle()
    elif options.certificate:
        status = desk.certificate(options.id, options.output)
    elif options.dry_run:
        status = desk.dry_run(options.id)
    else:
        status = desk.erase(options.id, options.reason)
    return status


def _restrict(options: argparse.Namespace) -> int:
    status: int = _desk(options).restrict(options.id, options.reason, options.is_on)
    return status


def _correct(options: argparse.Namespace) -> int:
    field, equals, value = options.set.partition("=")
    status: int = _desk(options).correct(options.id, field if equals else "", value, options.reason)
    return status


def _history(options: argparse.Namespace) -> int:
    from vittne.appliance import history_command  # noqa: PLC0415

    return history_command.run(existing_data_dir(options.data, options.config), options.id, options.json)


def _request_list(options: argparse.Namespace) -> int:
    status: int = _desk(options).requests(options.all, options.json)
    return status


def _request_decide(options: argparse.Namespace) -> int:
    status: int = _desk(options).decide(options.id, options.is_wanted)
    return status
