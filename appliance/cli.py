"""The command line: options in, a command's exit status out. What a command does is in a module of its own.

Written with argparse: it is there at once, where typer took a third of the CPU time that a whole
`vittne list` may take. Nothing heavy is imported before a command needs it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.announcements.cli import add_announcement
from vittne.appliance.backup.cli import add_backup
from vittne.appliance.compliance_cli import add_compliance
from vittne.appliance.datadir import DATA_VARIABLE, config_file, existing_data_dir
from vittne.appliance.keys_parser import add_keys
from vittne.appliance.life_cli import add_life, add_purpose, add_review_reason, policy_of
from vittne.appliance.review.cli import add_review
from vittne.appliance.store.errors import StoreError
from vittne.appliance.subjects.cli import add_subject
from vittne.appliance.user_cli import add_users
from vittne.appliance.vcon.cli import add_vcon
from vittne.appliance.verdicts.cli import WORDS
from vittne.appliance.version import VERSION

if TYPE_CHECKING:
    from vittne.appliance.store.catalogue import Catalogue
    from vittne.appliance.store.rows import CallRow

Command = Callable[[argparse.Namespace], int]

FORMATS: Final = ("wav", "flac", "opus", "mp3", "mka", "pcap", "vcon")
PARTIES: Final = ("caller", "callee", "both")
TOKEN_DAYS: Final = 90


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
    _add_list(add("list", _list, "list calls"))
    _add_id(add("show", _show, "show everything about a call")).add_argument("--json", action="store_true")
    _add_export(add("export", _export, "write a call as audio, or as packets"))
    _add_bundle(add("bundle", _bundle, "write recordings with all that a stranger needs to check them"))
    _add_verify(add("verify", _verify, "check that recordings are whole, unaltered and all there"))
    _add_audio(_add_id(add("play", _play, "play a call on this machine's sound card")))
    _add_explain(add("explain", _explain, "show a call's signalling as a ladder, and its streams"))
    _add_cut(add("cut", _cut, "cut a span out of a stored recording, because a pause came too late"))
    add("streams", _streams, "list RTP that no signalling explains").add_argument("--json", action="store_true")
    _add_scrub(add("scrub", _scrub, "read the archive through, or say what the last time found"))
    add_backup(add, _time, _count)
    _add_audit(add("audit", _audit, "who looked at what, and who changed what"))
    rebuild = add("rebuild", _rebuild, "write the catalogue anew from the recordings")
    rebuild.add_argument("--check", action="store_true", help="only say where the two differ")
    words = "make, list and revoke tokens of the API"
    _add_token(commands.add_parser("token", help=words, description=words, allow_abbrev=False), where)
    words = "look at the keys, protect, back up, recover and renew them"
    add_keys(commands.add_parser("keys", help=words, description=words, allow_abbrev=False), where)
    words = "what the ledger says, and proofs of it"
    _add_ledger(commands.add_parser("ledger", help=words, description=words, allow_abbrev=False), where)
    _add_pauses(add("pauses", _pauses, "list the pauses that were asked for, or report on who asked"))
    add_vcon(commands, where)
    rules = add("rules", _rules, "show the rules on recording, pausing and keeping calls, or try them on captures")
    rules.add_argument("--try", nargs="+", default=[], dest="captures", metavar="FILE", help="capture files")
    rules.add_argument("--json", action="store_true", help="one array")
    words = "time stamps of third parties over the ledger"
    _add_stamp(commands.add_parser("stamp", help=words, description=words, allow_abbrev=False), where)
    _add_clock(add("clock", _clock, "show how right this machine's clock is, and was"))
    add_review(commands, where)
    add_subject(commands, where, _time)
    add_announcement(commands, where, _add_search, _time)
    add_life(commands, where, _add_search, _time)
    add_users(commands, where)
    add_compliance(commands, where, _time)
    commands.add_parser("version", help="print the version").set_defaults(command=_version)
    return top


def _add_id(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("id", metavar="ID", help="a call's id, or its first letters")
    return command


def _add_record(command: argparse.ArgumentParser) -> None:
    command.add_argument("--interface", action="append", default=[], metavar="IF", help="capture here; several times")
    command.add_argument(
        "--pcap", action="extend", nargs="+", default=[], metavar="PATH", help="capture files, directories, - for stdin"
    )
    command.add_argument("--hold-back", type=float, metavar="SECONDS", help="how long audio stays in memory only")
    command.add_argument("--test-call", action="store_true", help="place a call of our own through the interface")


def _add_list(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one array, an element a call")
    command.add_argument("--all", action="store_true", help="calls that were never answered as well")
    _add_search(command)
    command.add_argument("--announced", choices=WORDS, default="", help="by the newest verdict")
    command.add_argument("--quarantined", action="store_true", help="only what lies in quarantine")
    command.add_argument("--limit", type=_count, metavar="N", help="the newest N")


def _add_search(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", type=_time, metavar="TIME", help="started then or later: 2026-01-31[T12:00], UTC")
    command.add_argument("--until", type=_time, metavar="TIME", help="started before")
    command.add_argument("--number", default="", metavar="TEXT", help="in caller or callee")
    command.add_argument("--outcome", default="", metavar="OUTCOME", help="recorded, partial, no-media ...")
    command.add_argument("--call-id", default="", metavar="CALL-ID", help="a SIP Call-ID")
    command.add_argument("--codec", default="", metavar="NAME", help="used in the call")


def _add_pauses(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one array")
    command.add_argument("--report", action="store_true", help="by agent, by who asked and by trigger")
    command.add_argument("--since", type=_time, metavar="TIME", help="asked for then or later: 2026-01-31[T12:00], UTC")
    command.add_argument("--until", type=_time, metavar="TIME", help="asked for before")
    command.add_argument("--agent", default="", metavar="NAME", help="of this agent or extension only")


def _add_audio(command: argparse.ArgumentParser) -> None:
    command.add_argument("--party", choices=PARTIES, default="both", help="default: both, caller left, callee right")
    command.add_argument(
        "--early-media", action="store_true", help="begin with what was heard before the answer, not at the answer"
    )
    add_purpose(command)
    add_review_reason(command)


def _add_export(command: argparse.ArgumentParser) -> None:
    _add_audio(_add_id(command))
    command.add_argument("--format", choices=FORMATS, default="wav", help="default: wav")
    command.add_argument("-o", "--output", required=True, metavar="FILE", help="where to; - is standard output")
    command.add_argument("--force", action="store_true", help="replace the file when there is one")
    command.add_argument("--with-audio", action="store_true", help="vcon: the sound in it, as WAV")
    command.add_argument("--audio-url", default="", metavar="URL", help="vcon: its hash, and where the sound will be")
    command.add_argument("--to", type=Path, metavar="CERTIFICATE", help="vcon: encrypt for this recipient (PEM)")
    command.add_argument("--unsigned", action="store_true", help="vcon: plain JSON, not signed")
    command.add_argument("--as-imported", action="store_true", help="vcon: the one that it was imported from, as kept")


def _add_bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument("ids", metavar="ID", nargs="+", help="calls' ids, or their first letters")
    command.add_argument("-o", "--output", required=True, metavar="WHERE", help="a new folder, or FILE.zip, FILE.tar")
    command.add_argument("--audio", choices=("flac", "wav", "none"), default="flac", help="the sound; default: flac")
    command.add_argument("--party", choices=PARTIES, default="both", help="whose voice; default: both")
    command.add_argument("--sealed", action="store_true", help="the sealed parts as well, as they are stored")
    command.add_argument(
        "--to", type=Path, metavar="CERTIFICATE", help="encrypt sound and keys for this recipient (PEM)"
    )
    command.add_argument("--checkpoint", type=Path, metavar="FILE", help="prove that the ledger begins with this one")
    command.add_argument("--force", action="store_true", help="replace a .zip or .tar file when there is one")
    add_purpose(command)
    add_review_reason(command)


def _add_verify(command: argparse.ArgumentParser) -> None:
    command.add_argument("id", metavar="ID", nargs="?", help="a call's id, or its first letters")
    command.add_argument("--all", action="store_true", help="all recordings, and that none is missing or too many")
    command.add_argument("--json", action="store_true", help="one array, an element a recording")


def _add_explain(command: argparse.ArgumentParser) -> None:
    _add_id(command)
    command.add_argument("--json", action="store_true", help="the messages as one array")
    command.add_argument("--wireshark", action="store_true", help="Wireshark's dissection of the call's packets")


def _add_cut(command: argparse.ArgumentParser) -> None:
    _add_id(command)
    time_ = "RFC 3339 with its zone, or seconds from the answer, such as +12.5"
    command.add_argument("--from", required=True, dest="begin", metavar="TIME", help=f"begin of the span: {time_}")
    command.add_argument("--to", required=True, dest="end", metavar="TIME", help="end of the span, the same way")
    command.add_argument("--reason", required=True, metavar="TEXT", help="why; sealed in the recording")
    command.add_argument("--party", choices=PARTIES, default="both", help="whose voice goes; default: both")
    command.add_argument("--by", default="", metavar="NAME", help="who; default: the user who is logged in")
    command.add_argument("--yes", action="store_true", help="do it; without, only show what would go")


def _add_audit(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", type=_time, metavar="TIME", help="then or later, UTC")
    command.add_argument("--until", type=_time, metavar="TIME", help="before")
    command.add_argument("--actor", default="", metavar="NAME", help="who")
    command.add_argument("--recording", default="", metavar="ID", help="of which; the whole id")
    command.add_argument("--kind", action="append", default=[], metavar="KIND", help="play, export ...; several times")
    command.add_argument("--limit", type=_count, metavar="N", help="the newest N")
    command.add_argument("--json", action="store_true", help="one array")
    command.add_argument("--check", action="store_true", help="hold every row against the ledger")


def _add_scrub(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="one object")
    command.add_argument("--now", action="store_true", help="go on to the end of the cycle, here")
    command.add_argument("--mb-per-s", type=float, default=0.0, metavar="N", help="with --now; default: all there is")


def _add_token(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=run)
        return found

    create = add("create", _token_create, "make a token and print it, once")
    create.add_argument("name", metavar="NAME", help="who uses it")
    create.add_argument(
        "--scope",
        action="append",
        required=True,
        choices=SCOPES,
        help="what it allows; several times: " + "; ".join(f"{scope}: {words}" for scope, words in SCOPES.items()),
    )
    until = create.add_mutually_exclusive_group()
    until.add_argument(
        "--expires-days", type=_days, default=TOKEN_DAYS, metavar="N", help=f"default: {TOKEN_DAYS}, up to 3650"
    )
    until.add_argument("--never-expires", action="store_true", help="it ends only when it is revoked")
    create.add_argument(
        "--from", action="append", default=[], dest="networks", metavar="NETWORK", help="only from here; several times"
    )
    add("list", _token_list, "list tokens").add_argument("--json", action="store_true", help="one array")
    revoke = add("revoke", _token_revoke, "refuse a token from now on")
    revoke.add_argument("id", metavar="ID", help="a token's id, or its first letters")


def _add_stamp(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, words: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=_stamp, action=name)
        return found

    for name, words in (("now", "ask for a stamp at once"), ("export", "write requests to be carried to authorities")):
        asked = add(name, words)
        asked.add_argument("--authority", action="append", default=[], metavar="NAME", help="only this; several times")
        if name == "export":
            asked.add_argument(
                "-o", "--output", type=Path, default=Path("."), metavar="DIR", help="where to; default: ."
            )
    add("import", "take an authority's answer").add_argument("file", type=Path, metavar="FILE.tsr", help="the answer")
    verify = add("verify", "check stored stamps against checkpoints, certificates and ledger")
    verify.add_argument("name", nargs="*", metavar="NAME", help="SIZE-AUTHORITY, as list shows it")
    verify.add_argument("--all", action="store_true", help="all stamps, and that none is missing")
    verify.add_argument("--ca", type=Path, metavar="FILE", help="believe these certificates (PEM), not the configured")
    for shown in (add("list", "list stamps"), add("status", "show what is due or late"), verify):
        shown.add_argument("--json", action="store_true", help="one array")


def _add_clock(command: argparse.ArgumentParser) -> None:
    command.add_argument("--history", action="store_true", help="what the ledger says of it")
    command.add_argument("--since", type=_time, metavar="TIME", help="with --history: from then on, UTC")
    command.add_argument("--json", action="store_true", help="one object")


def _add_ledger(command: argparse.ArgumentParser, where: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True)

    def add(name: str, run: Command, words: str) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=words, description=words, parents=[where], allow_abbrev=False)
        found.set_defaults(command=run)
        return found

    add("show", _ledger_show, "size, root, checkpoint and key").add_argument("--json", action="store_true")
    listed = add("list", _ledger_list, "list entries, the oldest first")
    listed.add_argument("--since", type=_time, metavar="TIME", help="entered then or later: 2026-01-31[T12:00], UTC")
    listed.add_argument("--until", type=_time, metavar="TIME", help="entered before")
    listed.add_argument("--type", default="", metavar="T", help="such as rec.seal")
    listed.add_argument("--json", action="store_true", help="one array, an element an entry")
    prove = add("prove", _ledger_prove, "prove that an entry is in the ledger, as a tlog-proof")
    which = prove.add_mutually_exclusive_group(required=True)
    which.add_argument("index", metavar="INDEX", nargs="?", type=_index, help="an entry, counted from 0")
    which.add_argument("--recording", default="", metavar="ID", help="the entry of a recording's manifest that counts")
    prove.add_argument("-o", "--output", default="", metavar="FILE", help="where to; default: standard output")
    kept = add("consistency", _ledger_consistency, "whether the ledger contains the one that somebody kept")
    kept.add_argument("checkpoint", type=Path, metavar="OLD_CHECKPOINT_FILE", help="a copy of ledger/checkpoint")
    add("check", _ledger_check, "read every entry and every tile through")


def _record(options: argparse.Namespace) -> int:
    from vittne.appliance import record_command  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.config import load  # noqa: PLC0415

    given = {"data": options.data, "hold_back_s": options.hold_back, "interfaces": options.interface or None}
    file = config_file(options.config)
    config = load(file, given)
    if options.interface and options.pcap:
        raise StoreError("two sources", "record", "give --interface or --pcap, one of the two")
    return record_command.run(record_command.RecordOptions(config, tuple(options.pcap), options.test_call, file))


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
        limit=options.limit,
    )
    with _catalogue(_data(options)) as catalogue:
        found = catalogue.list_calls(search)
        made = corrections_of(catalogue)
        if options.json:
            sys.stdout.writelines(show.json_array(corrected_json(row, made.get(row.id, ())) for row in found))
        else:
            _print(show.list_lines([marked(row, made.get(row.id, ())) for row in found]))
    return 0


def _show(options: argparse.Namespace) -> int:
    from vittne.appliance import show  # noqa: PLC0415
    from vittne.appliance.store.corrections import corrected_json, corrections_of, marked  # noqa: PLC0415

    with _catalogue(_data(options)) as catalogue:
        row = catalogue.get(options.id)
        made = corrections_of(catalogue, [row.id]).get(row.id, [])
    if options.json:
        sys.stdout.write(show.json_object(corrected_json(row, made)))
    else:
        _print(show.show_lines(marked(row, made)))
    return 0


def _streams(options: argparse.Namespace) -> int:
    from vittne.appliance import show  # noqa: PLC0415

    with _catalogue(_data(options)) as catalogue:
        found = catalogue.unsignalled()
    if options.json:
        sys.stdout.writelines(show.json_array(stream.as_json() for stream in found))
    else:
        _print(show.stream_table(found) or ["no RTP without signalling"])
    return 0


def _export(options: argparse.Namespace) -> int:
    data = _data(options)
    if options.format == "vcon":
        from vittne.appliance.vcon.export import VconOptions, export_vcon  # noqa: PLC0415

        wanted = VconOptions(
            options.party,
            options.with_audio,
            options.audio_url,
            options.to,
            options.unsigned,
            options.purpose,
            review=options.review,
            as_imported=options.as_imported,
        )
        return export_vcon(data, _call(data, options.id), wanted, options.output, options.force)
    if options.with_audio or options.audio_url or options.to or options.unsigned or options.as_imported:
        raise StoreError("that is for vCons", options.output, "give --format vcon, or leave it out")
    from vittne.appliance import export  # noqa: PLC0415

    return export.export(
        data,
        _call(data, options.id),
        options.format,
        options.output,
        options.party,
        not options.early_media,
        options.force,
        options.purpose,
        options.review,
    )


def _bundle(options: argparse.Namespace) -> int:
    from vittne.appliance import bundle_command  # noqa: PLC0415

    names = ("ids", "output", "audio", "party", "sealed", "to", "checkpoint", "force", "purpose", "review")
    wanted = bundle_command.BundleOptions(**{name: getattr(options, name) for name in names})
    return bundle_command.run(_data(options), wanted)


def _play(options: argparse.Namespace) -> int:
    from vittne.appliance import listen  # noqa: PLC0415

    data = _data(options)
    from_answer = not options.early_media
    return listen.play(data, _call(data, options.id), options.party, from_answer, options.purpose, options.review)


def _explain(options: argparse.Namespace) -> int:
    from vittne.appliance import explain  # noqa: PLC0415
    from vittne.appliance.looks import refuse  # noqa: PLC0415

    data = _data(options)
    row = _call(data, options.id)
    refuse(row, "")
    if options.wireshark:
        from vittne.appliance import wireshark  # noqa: PLC0415

        return wireshark.dissect(data, row)
    return explain.explain(data, row, options.json)


def _verify(options: argparse.Namespace) -> int:
    from vittne.appliance import verify_command  # noqa: PLC0415

    if bool(options.id) == options.all:
        raise StoreError("nothing to verify", "verify", "give an ID, or --all")
    return verify_command.run(_data(options), options.id, options.json)


def _cut(options: argparse.Namespace) -> int:
    from vittne.appliance import cut_command  # noqa: PLC0415

    names = ("id", "begin", "end", "party", "reason", "by", "yes")
    wanted = cut_command.CutOptions(**{name: getattr(options, name) for name in names})
    return cut_command.run(_data(options), wanted, policy_of(options))


def _scrub(options: argparse.Namespace) -> int:
    from vittne.appliance.scrub import command  # noqa: PLC0415

    data = _data(options)
    return command.now(data, options.mb_per_s) if options.now else command.show(data, options.json)


def _audit(options: argparse.Namespace) -> int:
    from vittne.appliance import audit_command  # noqa: PLC0415
    from vittne.appliance.store.audit import AuditSearch  # noqa: PLC0415

    data = _data(options)
    if options.check:
        return audit_command.check(data)
    kinds = tuple(options.kind)
    search = AuditSearch(options.since, options.until, options.actor, options.recording, kinds, options.limit)
    return audit_command.show(data, search, options.json)


def _rebuild(options: argparse.Namespace) -> int:
    from vittne.appliance import rebuild_command  # noqa: PLC0415

    data = _data(options)
    return rebuild_command.check(data) if options.check else rebuild_command.run(data)


def _token_create(options: argparse.Namespace) -> int:
    from vittne.appliance import token_command  # noqa: PLC0415

    days = None if options.never_expires else options.expires_days
    return token_command.create(_data(options), options.name, options.scope, days, options.networks)


def _token_list(options: argparse.Namespace) -> int:
    from vittne.appliance import token_command  # noqa: PLC0415

    return token_command.list_all(_data(options), options.json)


def _token_revoke(options: argparse.Namespace) -> int:
    from vittne.appliance import token_command  # noqa: PLC0415

    return token_command.revoke(_data(options), options.id)


def _ledger_show(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.show(_data(options), options.json)


def _ledger_list(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    listing = ledger_command.Listing(options.since, options.until, options.type, options.json)
    return ledger_command.list_entries(_data(options), listing)


def _ledger_prove(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.prove(_data(options), options.index, options.recording, options.output)


def _ledger_consistency(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.consistency(_data(options), options.checkpoint)


def _ledger_check(options: argparse.Namespace) -> int:
    from vittne.appliance import ledger_command  # noqa: PLC0415

    return ledger_command.check(_data(options))


def _pauses(options: argparse.Namespace) -> int:
    from vittne.appliance import pauses_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    names = ("since", "until", "agent", "report", "json")
    wanted = pauses_command.PausesOptions(**{name: getattr(options, name) for name in names})
    return pauses_command.run(_data(options), load(config_file(options.config)).pause, wanted)


def _rules(options: argparse.Namespace) -> int:
    from vittne.appliance import rules_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    config = load(config_file(options.config))
    if options.captures:
        return rules_command.dry_run(config, options.captures, options.json)
    return rules_command.show(config, options.json)


def _stamp(options: argparse.Namespace) -> int:
    from vittne.appliance import stamp_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    config = load(config_file(options.config))
    data = _data(options)
    match options.action:
        case "now":
            return stamp_command.now(data, config, options.authority)
        case "export":
            return stamp_command.export(data, config, options.authority, options.output)
        case "import":
            return stamp_command.take(data, config, options.file)
        case "list":
            return stamp_command.list_all(data, options.json)
        case "status":
            return stamp_command.status(data, config, options.json)
    if bool(options.name) == options.all:
        raise StoreError("nothing to verify", "stamp verify", "give a NAME, or --all")
    return stamp_command.verify(data, config, options.name, options.ca, options.json)


def _clock(options: argparse.Namespace) -> int:
    from vittne.appliance import clock_command  # noqa: PLC0415
    from vittne.appliance.config import load  # noqa: PLC0415

    if options.history:
        return clock_command.history(_data(options), options.since, options.json)
    if options.since is not None:
        raise StoreError("there is no past in the present", "clock", "give --since together with --history")
    return clock_command.show(load(config_file(options.config)), options.json)


def _version(_: argparse.Namespace) -> int:
    print(f"vittne {VERSION}")
    return 0


def _data(options: argparse.Namespace) -> Path:
    return existing_data_dir(options.data, options.config)


def _catalogue(data: Path) -> Catalogue:
    from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue  # noqa: PLC0415

    return Catalogue(data / CATALOGUE_FILE, read_only=True)


def _call(data: Path, prefix: str) -> CallRow:
    with _catalogue(data) as catalogue:
        return catalogue.get(prefix)


def _print(lines: list[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _time(text: str) -> int:
    """Return microseconds of a date or time; UTC when no zone is given."""
    from datetime import UTC, datetime  # noqa: PLC0415

    when = datetime.fromisoformat(text)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(when.timestamp() * 1_000_000)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _index(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _days(text: str) -> int:
    number = _count(text)
    if number > 3650:
        raise ValueError
    return number
