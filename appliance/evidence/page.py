"""report.html: a recording told for reading. One file, no scripts, nothing loaded; all text from elsewhere escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from vittne.appliance.evidence.log import Entry
from vittne.appliance.seal.manifest import Manifest
from vittne.appliance.store.audit import AuditRow
from vittne.appliance.store.rows import CallRow
from vittne.appliance.terminal import clean

_HEAD: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Recording {id}</title>
<style>
body {{ font: 15px/1.5 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222; background: #fff }}
table {{ border-collapse: collapse; margin: .5em 0 }}
td, th {{ border: 1px solid #ccc; padding: .2em .6em; text-align: left; vertical-align: top; overflow-wrap: anywhere }}
h2 {{ margin-top: 1.5em }} code {{ overflow-wrap: anywhere }}
</style></head><body>
"""
_CLOSING: Final = """<p>This page is for reading. What proves it is beside it: run <code>python3 -I verify.py</code> or
the commands in <code>VERIFY.txt</code>.</p>
</body></html>
"""
_LIMIT: Final = 2000
_PAUSES: Final = ("effective_from", "effective_to", "trigger", "by", "packets", "incomplete_until", "ended_by", "id")
_CUTS: Final = ("version", "from", "to", "party", "packets", "cut_at", "by", "reason")
_ABOUT: Final = {
    "caller": "caller",
    "callee": "callee",
    "started_at": "started",
    "answered_at": "answered",
    "ended_at": "ended",
    "duration_s": "seconds from answer to end",
}
_PARTIES: Final = ("seat", "uri", "name", "from", "to")


def page(
    call: CallRow,
    manifest: Manifest,
    entries: Sequence[Entry],
    audit: Sequence[AuditRow],
    is_sealed: bool,
    ledger: str,
) -> bytes:
    """Return the page. is_sealed: what it says of the call comes from the recording, else from the list of calls."""
    shown = call.as_json()
    about = [(words, shown[name]) for name, words in _ABOUT.items()]
    about += [("outcome", ", ".join([call.outcome, *call.outcome_reasons])), ("call-id", " ".join(call.call_ids))]
    if manifest.meta_sha256 and is_sealed:
        source = "This is sealed in the recording; the signed manifest holds its hash."
    else:
        source = "This is what the list of calls says: it is not read from what was sealed, and has no proof."
    blocks = [
        _HEAD.format(id=_text(call.id)),
        f"<h1>Recording {_text(call.id)}</h1>",
        _pairs(about),
        f"<p>{source}</p>",
        _table("Parties", _PARTIES, call.parties),
        _table("Pauses: of these times nothing is stored", _PAUSES, _dicts(call, "pauses"), "No pauses."),
        _table("Cut out afterwards", _CUTS, _dicts(call, "cuts"), "Nothing."),
        _table(
            "Gaps that the manifest names", ("from", "to", "reason"), [gap.as_json() for gap in manifest.gaps], "None."
        ),
        _streams(manifest),
        "<h2>Proof</h2>",
        _pairs(_proof(manifest, ledger)),
        _table("What the ledger says", ("entry", "at", "event"), [_entry(one) for one in entries]),
        _table(
            "Who looked at it",
            ("at", "kind", "actor", "via", "entry"),
            [row.as_json() for row in audit],
            "Nobody that the audit trail knows of.",
        ),
        _CLOSING,
    ]
    return "\n".join(blocks).encode()


def _proof(manifest: Manifest, ledger: str) -> list[tuple[str, Any]]:
    if manifest.imported:
        came = [(f"imported: {name.replace('_', ' ')}", value) for name, value in manifest.imported.items()]
        came = [("origin", "IMPORTED from a file of another system: nothing of it was captured here"), *came]
    else:
        came = []
    state = {
        "sealed": "sealed: it ended as it should",
        "crash": "crash: the recorder was interrupted, and finished it at its next start",
    }
    parts = ((part.file, f"{part.size_bytes} bytes, SHA-256 {part.sha256}") for part in manifest.parts)
    return [("state", state[manifest.state]), ("version", manifest.version), ("ledger", ledger), *parts, *came]


def _entry(one: Entry) -> dict[str, Any]:
    return {"entry": one.index, "at": one.event.get("at"), "event": one.event.get("t")}


def _streams(manifest: Manifest) -> str:
    columns = ("n", "codec", "packets", "stored", "lost")
    return _table("Streams: packets seen, stored, lost", columns, [one.as_json() for one in manifest.streams])


def _dicts(call: CallRow, name: str) -> list[Any]:
    found = call.details.get(name)
    return found if isinstance(found, list) else []


def _pairs(pairs: Iterable[tuple[str, Any]]) -> str:
    rows = (f"<tr><th>{_text(name)}</th><td>{_text(value)}</td></tr>" for name, value in pairs)
    return f"<table>{''.join(rows)}</table>"


def _table(title: str, columns: Sequence[str], rows: Iterable[Any], nothing: str = "") -> str:
    told = [row for row in rows if isinstance(row, dict)]
    head = f"<h2>{_text(title)}</h2>"
    if not told:
        return f"{head}<p>{_text(nothing)}</p>" if nothing else ""
    names = "".join(f"<th>{_text(name.replace('_', ' '))}</th>" for name in columns)
    lines = ("".join(f"<td>{_text(row.get(name))}</td>" for name in columns) for row in told)
    return f"{head}<table><tr>{names}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _text(value: Any) -> str:
    return escape("" if value is None else clean(value, _LIMIT))
