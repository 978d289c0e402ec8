"""The copy for the person (Art. 15(3), 20): a file a recording, his own voice only, and a page that lists them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Final

from vittne.appliance.looks import Purpose
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.subjects.finding import Found
from vittne.appliance.subjects.numbers import user_of
from vittne.appliance.terminal import clean, duration

Done = Callable[[Found, str, str], None]  # what, "done" or "refused", words
Write = Callable[[Found, "CopyOptions", str], None]  # what, how, to which new file. Raises StoreError
INDEX: Final = "index.html"
_SHOWN: Final = 3  # digits of somebody else's number
_HIDDEN: Final = "sip:anonymous@anonymous.invalid"  # RFC 3323 section 4.1.1.3
_UNKNOWN: Final = "It does not follow from the signalling on which side of the call the person is heard."
_SHARED: Final = "Others are heard on the same side as well, and have rights of their own (Art. 15(4) GDPR)."


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """kind: of vittne export. with_others: both sides, and others on the person's side; their rights were weighed."""

    kind: str = "flac"
    with_others: bool = False
    purpose: Purpose = ""


@dataclass(frozen=True, slots=True)
class _Line:
    found: Found
    name: str
    refused: str


def write_copy(
    data: Path, found: Sequence[Found], folder: Path, options: CopyOptions, tell: Done, write: Write | None = None
) -> int:
    """Write a new folder; return how many recordings are in it. Raises StoreError.

    tell: is called after each, so that what was handed out is entered even when a later one fails. write: writes one
    file; default: as `vittne export` does.
    """
    write = write or partial(_write, data)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise explain(error, "make the folder", folder) from error
    lines = []
    for one in found:
        name = f"{rfc3339(one.call.started_us)[:19].replace(':', '')}_{one.call.id[:8]}.{_suffix(options.kind)}"
        refused = _why_not(one, options)
        if not refused:
            try:
                write(one, options, str(folder / name))
            except StoreError as error:
                refused = f"{error.what[:1].upper()}{error.what[1:]}."
        tell(one, "refused" if refused else "done", refused)
        lines.append(_Line(one, name, refused))
    _write_page(folder / INDEX, page(lines))
    return sum(1 for line in lines if not line.refused)


def masked(call: CallRow, party: str) -> CallRow:
    """Return a call as the person may see it: nobody but him is named."""
    own = {"caller": 0, "callee": 1}.get(party)
    parties = [
        one if isinstance(one, dict) and one.get("seat") == own else {**one, "uri": _HIDDEN, "name": ""}
        for one in call.parties
        if isinstance(one, dict)
    ]
    details = {name: call.details[name] for name in ("pauses", "cuts", "gaps", "voices") if name in call.details}
    return replace(
        call,
        caller=call.caller if own == 0 else _HIDDEN,
        callee=call.callee if own == 1 else _HIDDEN,
        parties=tuple(parties),
        details=details,
        tags=(),
    )


def page(lines: Sequence[_Line]) -> str:
    """Return the page, in plain HTML that asks nobody for anything."""
    heads = ("Date (UTC)", "Length", "You", "With", "Kept until", "Ground", "Recording")
    rows = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in _cells(line))}</tr>" for line in lines)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Recordings</title>\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<style>body{font:16px sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:left;vertical-align:top;"
        "border-bottom:1px solid #ccc}</style></head>\n<body><h1>Recordings of you</h1>\n"
        "<p>Of calls with others you get what you said yourself; their numbers are shortened.</p>\n"
        f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>\n{rows}\n</table></body></html>\n"
    )


def _why_not(found: Found, options: CopyOptions) -> str:
    if options.with_others:
        return ""
    if found.party not in ("caller", "callee"):
        return _UNKNOWN
    return _SHARED if found.shared else ""


def _write(data: Path, found: Found, options: CopyOptions, output: str) -> None:
    party = heard_of(found, options)
    if options.kind == "vcon":
        from vittne.appliance.vcon.export import VconOptions, export_vcon  # noqa: PLC0415 - only what is asked for

        call = found.call if options.with_others else masked(found.call, party)
        export_vcon(data, call, VconOptions(party, with_audio=True), output, force=False)
        return
    from vittne.appliance.export import export  # noqa: PLC0415

    export(data, found.call, options.kind, output, party, True, False, options.purpose)


def heard_of(found: Found, options: CopyOptions) -> str:
    """Return whose voice is in the copy."""
    return "both" if options.with_others else found.party


def _cells(line: _Line) -> list[str]:
    call, party = line.found.call, line.found.party
    you = {"caller": "called", "callee": "were called"}.get(party, "took part")
    other = {"caller": call.callee, "callee": call.caller}.get(party, "")
    basis: Any = call.basis
    ground = ", ".join(str(basis[name]) for name in ("lawful_basis", "purpose") if basis.get(name))
    until = "no end was set" if call.expires_us is None else rfc3339(call.expires_us)[:10]
    said = [
        rfc3339(call.started_us)[:19].replace("T", " "),
        duration(call.duration_s),
        you,
        _short(other),
        until,
        ground or "none was set",
    ]
    there = f'<a href="{escape(line.name)}">{escape(line.name)}</a>'
    return [*(escape(clean(one)) for one in said), escape(line.refused) if line.refused else there]


def _short(uri: str) -> str:
    user = user_of(uri)
    return f"•••{user[-_SHOWN:]}" if len(user) > _SHOWN else "•••" if user else ""


def _suffix(kind: str) -> str:
    return "vcon.json" if kind == "vcon" else kind


def _write_page(path: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise explain(error, "write the page", path) from error
