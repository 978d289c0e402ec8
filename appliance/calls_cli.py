"""Options of `vittne list`, `show`, `streams`, `explain` and `play`."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from vittne.appliance.cli_values import Add, a_count, a_time, call_of, catalogue_of, data_of, print_lines
from vittne.appliance.life_cli import add_purpose, add_review_reason
from vittne.appliance.verdicts.cli import WORDS

PARTIES: Final = ("caller", "callee", "both")


def add_calls(add: Add) -> None:
    """Add the commands."""
    _add_list(add("list", _list, "list calls"))
    add_id(add("show", _show, "show everything about a call")).add_argument("--json", action="store_true")


def add_looks(add: Add) -> None:
    """Add the commands that play a call, or show how it went."""
    add_audio(add_id(add("play", _play, "play a call on this machine's sound card")))
    _add_explain(add("explain", _explain, "show a call's signalling as a ladder, and its streams"))


def add_streams(add: Add) -> None:
    """Add the command."""
    add("streams", _streams, "list RTP that no signalling explains").add_argument("--json", action="store_true")


def add_id(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add which call."""
    command.add_argument("id", metavar="ID", help="a call's id, or its first letters")
    return command


def _add_list(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one array, an element a call")
    command.add_argument("--all", action="store_true", help="calls that were never answered as well")
    add_search(command)
    command.add_argument("--announced", choices=WORDS, default="", help="by the newest verdict")
    command.add_argument("--canary", action="store_true", help="only canary calls, which else are left out")
    command.add_argument("--quarantined", action="store_true", help="only what lies in quarantine")
    command.add_argument("--limit", type=a_count, metavar="N", help="the newest N")


def add_search(command: argparse.ArgumentParser) -> None:
    """Add what calls are searched by."""
    command.add_argument("--since", type=a_time, metavar="TIME", help="started then or later: 2026-01-31[T12:00], UTC")
    command.add_argument("--until", type=a_time, metavar="TIME", help="started before")
    command.add_argument("--number", default="", metavar="TEXT", help="in caller or callee")
    command.add_argument("--outcome", default="", metavar="OUTCOME", help="recorded, partial, no-media ...")
    command.add_argument("--call-id", default="", metavar="CALL-ID", help="a SIP Call-ID")
    command.add_argument("--codec", default="", metavar="NAME", help="used in the call")


def add_audio(command: argparse.ArgumentParser) -> None:
    """Add whose voice, from when, and what for."""
    command.add_argument("--party", choices=PARTIES, default="both", help="default: both, caller left, callee right")
    command.add_argument(
        "--early-media", action="store_true", help="begin with what was heard before the answer, not at the answer"
    )
    add_purpose(command)
    add_review_reason(command)


def _add_explain(command: argparse.ArgumentParser) -> None:
    add_id(command)
    command.add_argument("--json", action="store_true", help="the messages as one array")
    command.add_argument("--wireshark", action="store_true", help="Wireshark's dissection of the call's packets")


def _list(options: argparse.Namespace) -> int:
    from vittne.appliance import show  # noqa: PLC0415
    from vittne.appliance.store.catalogue import Search  # noqa: PLC0415
    from vittne.appliance.store.corrections import corrected_json, corrections_of, marked  # noqa: PLC0415

    search = Search(
        unanswered=options.all,
        since_us=options.since,
        until_us=options.until,
        number=options.number,
        outcome=options.outcome,
        call_id=options.call_id,
        codec=options.codec,
        announced=options.announced,
        quarantined=options.quarantined,
        canary=options.canary,
        limit=options.limit,
    )
    asked = ("since", "until", "number", "outcome", "call_id", "codec", "announced")
    query = {name: value for name in asked if (value := getattr(options, name)) not in (None, "")}
    with catalogue_of(data_of(options)) as catalogue:
        if query:
            from vittne.appliance.searching import enter_search  # noqa: PLC0415

            enter_search(data_of(options), "calls", query, catalogue.count_calls(search))
        found = catalogue.list_calls(search)
        made = corrections_of(catalogue)
        if options.json:
            sys.stdout.writelines(show.json_array(corrected_json(row, made.get(row.id, ())) for row in found))
        else:
            print_lines(show.list_lines([marked(row, made.get(row.id, ())) for row in found]))
    return 0


def _show(options: argparse.Namespace) -> int:
    from vittne.appliance import show  # noqa: PLC0415
    from vittne.appliance.store.corrections import corrected_json, corrections_of, marked  # noqa: PLC0415

    with catalogue_of(data_of(options)) as catalogue:
        row = catalogue.get(options.id)
        made = corrections_of(catalogue, [row.id]).get(row.id, [])
    if options.json:
        sys.stdout.write(show.json_object(corrected_json(row, made)))
    else:
        print_lines(show.show_lines(marked(row, made)))
    return 0


def _streams(options: argparse.Namespace) -> int:
    from vittne.appliance import show  # noqa: PLC0415

    with catalogue_of(data_of(options)) as catalogue:
        found = catalogue.unsignalled()
    if options.json:
        sys.stdout.writelines(show.json_array(stream.as_json() for stream in found))
    else:
        print_lines(show.stream_table(found) or ["no RTP without signalling"])
    return 0


def _play(options: argparse.Namespace) -> int:
    from vittne.appliance import listen  # noqa: PLC0415

    data = data_of(options)
    from_answer = not options.early_media
    return listen.play(data, call_of(data, options.id), options.party, from_answer, options.purpose, options.review)


def _explain(options: argparse.Namespace) -> int:
    from vittne.appliance import explain  # noqa: PLC0415
    from vittne.appliance.looks import refuse  # noqa: PLC0415

    data = data_of(options)
    row = call_of(data, options.id)
    # what lies in quarantine is what was said: signalling may be read, packets of sound may not
    refuse(row, "", review="" if options.wireshark else "signalling")
    if options.wireshark:
        from vittne.appliance import wireshark  # noqa: PLC0415

        return wireshark.dissect(data, row)
    return explain.explain(data, row, options.json)
