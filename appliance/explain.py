"""`vittne explain`: a call's signalling as a ladder, with its media in it, and the table of its streams."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vittne.appliance.ladder import Arrow, Participant, Remark, Row, draw, status_colour
from vittne.appliance.opened import open_recording
from vittne.appliance.show import json_array, stream_table
from vittne.appliance.signalling import Signal, Signalling, as_json, descriptions, read_signalling, title
from vittne.appliance.store.rows import CallRow, StreamRow
from vittne.appliance.terminal import BOLD, FAINT, clean, duration, painted, terminal_width

_PASSED_ON_NS: Final = 2_000_000_000


def explain(data_dir: Path, call: CallRow, as_json_: bool = False) -> int:
    """Print a call's ladder and streams; return the exit status. Raises StoreError."""
    with open_recording(data_dir, call.folder, call.id) as opened:
        found = read_signalling(opened)
        problems = opened.problems
    first = _first(found, call)
    if as_json_:
        sys.stdout.writelines(json_array(as_json(signal, first) for signal in found.signals))
    else:
        sys.stdout.write("\n".join(explained(call, found, terminal_width())) + "\n")
    for problem in problems:
        print(clean(f"warning: {problem}"), file=sys.stderr)
    return 0


def explained(call: CallRow, found: Signalling, width: int) -> list[str]:
    """Return the lines about a call."""
    outcome = call.outcome or "goes on"
    head = f"{call.caller} → {call.callee}  {duration(call.duration_s)}  {outcome} {' '.join(call.outcome_reasons)}"
    lines = [painted(clean(head.rstrip(), width), BOLD)]
    names = ["Call-ID"] if len(call.call_ids) == 1 else [_tag(n) for n in range(len(call.call_ids))]
    lines += [painted(clean(f"{name} {one}", width), FAINT) for name, one in zip(names, call.call_ids, strict=True)]
    by_port = needs_ports(found.signals)
    participants = participants_of(found.signals, by_port)
    lines += ["", *draw(participants, _rows(call, found, participants, by_port), width)]
    streams = stream_table(call.streams, width)
    return [*lines, "", painted("streams", BOLD), *streams] if streams else lines


def _rows(call: CallRow, found: Signalling, participants: Sequence[Participant], by_port: bool) -> list[Row]:
    first = _first(found, call)
    columns = {participant.address: n for n, participant in enumerate(participants)}
    rows: list[Row] = [_message(signal, first, columns, by_port, call.call_ids) for signal in found.signals]
    rows += [Remark((one.at_ns - first) / 1e9, f"{one.what} by {one.by}") for one in found.happenings]
    rows += [_stream(stream, first, {} if by_port else columns) for stream in call.streams]
    return sorted(rows, key=lambda row: row.at_s)


def _message(signal: Signal, first: int, columns: dict[str, int], by_port: bool, call_ids: Sequence[str]) -> Arrow:
    message = signal.message
    label = title(message) + (" again" if signal.again else "")
    if message is not None and len(call_ids) > 1 and message.call_id in call_ids:
        label = f"{_tag(call_ids.index(message.call_id))} {label}"
    return Arrow(
        (signal.at_ns - first) / 1e9,
        columns[column_of(signal.source, by_port)],
        columns[column_of(signal.destination, by_port)],
        label,
        colour=status_colour(message.status) if message is not None else "",
        below=() if signal.again else tuple(descriptions(message)),
    )


def _stream(stream: StreamRow, first: int, columns: dict[str, int]) -> Row:
    at_s = stream.first_at_us / 1e6 - first / 1e9
    length = duration((stream.last_at_us - stream.first_at_us) / 1e6)
    words = f"RTP {stream.codec} {stream.packets} in {length}"
    source, target = (columns.get(column_of(where, False)) for where in (stream.source, stream.destination))
    if source is None or target is None or source == target:
        return Remark(at_s, f"{stream.source} ═▶ {stream.destination}  {words}", "")
    return Arrow(at_s, source, target, words, kind="media")


def participants_of(signals: Sequence[Signal], by_port: bool) -> list[Participant]:
    """Return who took part in the signalling, in order of appearance, with roles by who invited whom."""
    order: dict[str, None] = {}
    inviting: dict[str, int] = {}
    invited: dict[str, int] = {}
    for signal in signals:
        source, target = column_of(signal.source, by_port), column_of(signal.destination, by_port)
        order |= {source: None, target: None}
        message = signal.message
        if message is not None and message.is_request and message.method == "INVITE" and not message.to.tag:
            inviting.setdefault(source, signal.at_ns)
            invited.setdefault(target, signal.at_ns)
    return [Participant(address, _role(inviting.get(address), invited.get(address))) for address in order]


def _role(inviting: int | None, invited: int | None) -> str:
    """Return a participant's role by when it first invited and was first invited, ns.

    Who passes an invitation on at once is in between; who invites somebody later transfers.
    """
    if inviting is None or invited is None:
        return "caller" if inviting is not None else "callee" if invited is not None else ""
    if 0 <= inviting - invited <= _PASSED_ON_NS:
        return "between"
    return "caller" if inviting < invited else "callee"


def needs_ports(signals: Sequence[Signal]) -> bool:
    """Say whether addresses alone do not tell who speaks with whom: several on one host."""
    return any(column_of(signal.source, False) == column_of(signal.destination, False) for signal in signals)


def column_of(where: str, by_port: bool) -> str:
    return where if by_port else where.rpartition(":")[0]


def _first(found: Signalling, call: CallRow) -> int:
    return min((signal.at_ns for signal in found.signals), default=call.started_us * 1000)


def _tag(number: int) -> str:
    return f"[{number + 1}]"
