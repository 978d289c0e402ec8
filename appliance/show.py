"""`vittne list`, `show` and `streams`: what the catalogue knows, as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from vittne.appliance.store.rows import RECORDING, CallRow, StreamRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import (
    BOLD,
    FAINT,
    GREEN,
    RED,
    YELLOW,
    Cell,
    Column,
    clean,
    duration,
    painted,
    table,
)
from vittne.appliance.vcon.showing import imported_lines
from vittne.appliance.verdicts.words import announcement_lines, heard_lines

_ID_SHOWN: Final = 8  # of an id's 36 letters; more where two calls begin alike
_NOT_VOICE: Final = frozenset({"TELEPHONE-EVENT", "CN", "UNKNOWN"})
_GOOD: Final = frozenset({"recorded"})
_BAD: Final = frozenset({"no-disk", "capture-loss"})


def json_array(elements: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of one JSON array, an element a line, `[]` when there is none."""
    opened = False
    for element in elements:
        yield f"{',' if opened else '['}\n{json.dumps(element)}"
        opened = True
    yield "\n]\n" if opened else "[]\n"


def json_object(value: dict[str, Any]) -> str:
    """Return one JSON object for reading."""
    return json.dumps(value, indent=2) + "\n"


def list_lines(rows: Sequence[CallRow], width: int | None = None) -> list[str]:
    """Return the table of calls."""
    if not rows:
        return ["no calls"]
    columns = (
        Column("id"),
        Column("started (UTC)", least=16),
        Column("caller", least=11),
        Column("callee", least=11),
        Column("duration", right=True),
        Column("outcome", least=8),
        Column("codecs", least=6, spare=1),
        Column("MOS", right=True, spare=2),
    )
    shown = _id_width([row.id for row in rows])
    lines = table(columns, [_call_cells(row, shown) for row in rows], width)
    return [*lines, painted(f"{len(rows)} calls", FAINT)]


def show_lines(row: CallRow, width: int | None = None) -> list[str]:
    """Return everything about one call."""
    shown = row.as_json()
    said = [
        ("id", row.id),
        ("caller", _who(row.caller)),
        ("callee", _who(row.callee)),
        ("started", _moment(shown["started_at"])),
        ("answered", _moment(shown["answered_at"]) or "never"),
        ("ended", _moment(shown["ended_at"]) or "goes on"),
        ("duration", duration(row.duration_s)),
        ("end", row.end_reason),
        ("outcome", _outcome(row)),
        ("call-id", " ".join(row.call_ids)),
        ("flags", ", ".join(str(flag) for flag in row.details.get("flags", ()))),
        ("rule", str((row.details.get("recording_rule") or {}).get("rule", ""))),
        ("class", row.retention_class),
        ("folder", row.folder or "nothing is kept"),
        ("announced", row.announced),
        ("quarantine", f"since {_moment(shown['quarantined_at'])}" if shown["quarantined_at"] else ""),
        ("restricted", _moment(shown["restricted_at"])),
        ("erased", _moment(shown["erased_at"])),
        ("size", f"{row.size_bytes:,} bytes" if row.size_bytes else ""),
    ]
    lines = [f"{painted(f'{name:10}', FAINT)} {clean(value)}" for name, value in said if value]
    for title, found in (
        ("parties", _parties(row, width)),
        ("streams", stream_table(row.streams, width)),
        ("announcement", announcement_lines(row)),
        ("heard", heard_lines(row)),
        ("pauses", _pauses(row, width)),
        ("cuts", _cuts(row, width)),
        ("imported", imported_lines(row)),
        ("dialogs", _dialogs(row, width)),
        ("links", [f"{clean(_link(link))}" for link in row.details.get("links", ())]),
    ):
        if found:
            lines += ["", painted(title, BOLD), *found]
    return lines


def stream_table(streams: Sequence[StreamRow], width: int | None = None) -> list[str]:
    """Return the table of streams; empty when there are none."""
    if not streams:
        return []
    columns = [
        Column("party"),
        Column("codec", least=4),
        Column("pt", right=True, spare=3),
        Column("ssrc", spare=1),
        Column("source", least=21),
        Column("destination", least=21),
        Column("packets", right=True),
        Column("stored", right=True, spare=4),
        Column("lost", right=True),
        Column("late", right=True, spare=5),
        Column("jitter", right=True, spare=2),
        Column("ptime", right=True, spare=6),
        Column("MOS", right=True),
        Column("dropped", least=7, spare=7),
    ]
    if not any(stream.dropped for stream in streams):
        columns = columns[:-1]
    return table(columns, [_stream_cells(stream)[: len(columns)] for stream in streams], width)


def _stream_cells(stream: StreamRow) -> list[str | Cell]:
    dropped = " ".join(f"{reason}:{count}" for reason, count in stream.dropped.items() if count)
    return [
        stream.party or "?",
        _codec(stream),
        str(stream.payload_type),
        f"{stream.ssrc:08X}",
        stream.source,
        stream.destination,
        str(stream.packets),
        str(stream.stored),
        Cell(str(stream.lost), YELLOW if stream.lost else ""),
        Cell(str(stream.late), YELLOW if stream.late else ""),
        f"{stream.jitter_ms:.1f}",
        "" if stream.ptime_ms is None else f"{stream.ptime_ms:g}",
        "" if stream.mos is None else f"{stream.mos:.1f}",
        dropped,
    ]


def _call_cells(row: CallRow, id_width: int) -> list[str | Cell]:
    scores = [stream.mos for stream in row.streams if stream.mos is not None and stream.codec.upper() not in _NOT_VOICE]
    return [
        row.id[:id_width],
        _moment(rfc3339(row.started_us))[:19],
        _who(row.caller),
        _who(row.callee),
        duration(row.duration_s),
        Cell(_outcome(row), _colour(row)),
        _codecs(row),
        f"{min(scores):.1f}" if scores else "",
    ]


def _codec(stream: StreamRow) -> str:
    """Return a codec's name, with its clock where that is not telephony's usual one."""
    return stream.codec if stream.clock_rate == 8000 else f"{stream.codec}/{stream.clock_rate}"


def _codecs(row: CallRow) -> str:
    found = {stream.codec: None for stream in row.streams if stream.codec.upper() not in _NOT_VOICE}
    return "/".join(found)


def _outcome(row: CallRow) -> str:
    if row.state == RECORDING:
        return "goes on"
    also = {"restricted": row.restricted_us, "quarantine": row.quarantined_us}
    reasons = ", ".join([*row.outcome_reasons, *(word for word, at in also.items() if at is not None)])
    return f"{row.outcome} ({reasons})" if reasons else row.outcome


def _colour(row: CallRow) -> str:
    if row.outcome in _BAD:
        return RED
    return GREEN if row.outcome in _GOOD or row.state == RECORDING else YELLOW


def _who(uri: str) -> str:
    """Return a URI as people name it: the scheme that nearly all have is left out."""
    return clean(uri.removeprefix("sips:").removeprefix("sip:").removeprefix("tel:")) or "?"


def _moment(at: str | None) -> str:
    return "" if at is None else at.replace("T", " ").removesuffix("Z")[:23]


def _id_width(ids: Sequence[str]) -> int:
    """Return how many letters tell all ids apart."""
    width = _ID_SHOWN
    while width < 36 and len({one[:width] for one in ids}) < len(ids):
        width += 4
    return width


def _pauses(row: CallRow, width: int | None) -> list[str]:
    """Return the table of a call's pauses: what is missing, and who wanted it."""
    pauses = [pause for pause in row.details.get("pauses", ()) if isinstance(pause, dict)]
    if not pauses:
        return []
    columns = [
        Column("from"),
        Column("to"),
        Column("seconds", right=True),
        Column("packets", right=True),
        Column("asked by", least=8),
        Column("ended by", least=8),
        Column("reason", least=6, spare=1),
        Column("pause", least=8, spare=2),
    ]
    return table(columns, [_pause_cells(pause) for pause in pauses], width)


def _pause_cells(pause: dict[str, Any]) -> list[str | Cell]:
    late = pause.get("incomplete_until")
    return [
        Cell(_moment(pause.get("effective_from")), YELLOW if late else ""),
        _moment(pause.get("effective_to")),
        f"{pause.get('milliseconds', 0) / 1000:.1f}",
        str(pause.get("packets", 0)),
        f"{pause.get('trigger', '')} {pause.get('by', '')}",
        str(pause.get("ended_by", "")),
        str(pause.get("reason", "")) + (f" (written until {_moment(late)})" if late else ""),
        str(pause.get("id", ""))[:8],
    ]


def _cuts(row: CallRow, width: int | None) -> list[str]:
    """Return the table of what was cut out of a recording afterwards."""
    cuts = [one for one in row.details.get("cuts", ()) if isinstance(one, dict)]
    if not cuts:
        return []
    columns = [
        Column("version", right=True),
        Column("from"),
        Column("to"),
        Column("party"),
        Column("packets", right=True),
        Column("cut at"),
        Column("by", least=8),
        Column("reason", least=6),
    ]
    return table(columns, [_cut_cells(one) for one in cuts], width)


def _cut_cells(one: dict[str, Any]) -> list[str | Cell]:
    moments = [_moment(one.get(name)) for name in ("from", "to", "cut_at")]
    told = [str(one.get(name, "")) for name in ("version", "party", "packets", "by", "reason")]
    return [told[0], *moments[:2], told[1], told[2], moments[2], told[3], told[4]]


def _parties(row: CallRow, width: int | None) -> list[str]:
    parties = [party for party in row.parties if isinstance(party, dict)]
    if not parties:
        return []
    names = ("caller", "callee")
    cells: list[list[str | Cell]] = []
    for party in parties:
        seat = party.get("seat", 0)
        cells.append(
            [
                names[seat] if seat in (0, 1) else f"voice {seat + 1}" if isinstance(seat, int) else "?",
                _who(str(party.get("uri", ""))),
                str(party.get("name", "")),
                _moment(party.get("from")),
                _moment(party.get("to")),
            ]
        )
    columns = (Column("seat"), Column("who", least=12), Column("name", least=6), Column("from"), Column("to"))
    return table(columns, cells, width)


def _dialogs(row: CallRow, width: int | None) -> list[str]:
    dialogs = [dialog for dialog in row.details.get("dialogs", ()) if isinstance(dialog, dict)]
    if not dialogs:
        return []
    columns = (
        Column("call-id", least=12),
        Column("caller", least=8),
        Column("callee", least=8),
        Column("started"),
        Column("end", least=8),
        Column("over"),
        Column("flags", least=6),
    )
    return table(columns, [_dialog_cells(dialog) for dialog in dialogs], width)


def _dialog_cells(dialog: dict[str, Any]) -> list[str | Cell]:
    flags = ["joined midway"] if dialog.get("joined_midway") else []
    forks = dialog.get("forks")
    if isinstance(forks, int) and forks > 1:
        flags.append(f"{forks} forks")
    return [
        str(dialog.get("call_id", "")),
        _who(str(dialog.get("caller", ""))),
        _who(str(dialog.get("callee", ""))),
        _moment(dialog.get("started_at")),
        " ".join(str(dialog[name]) for name in ("end_reason", "status") if dialog.get(name)),
        str(dialog.get("transport", "")),
        ", ".join(flags),
    ]


def _link(link: Any) -> str:
    if not isinstance(link, dict):
        return str(link)
    return f"{link.get('call_id')} with {link.get('other')}: {link.get('evidence')} ({link.get('confidence')})"
