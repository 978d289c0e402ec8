"""`vittne history`: everything that became of a recording, from all places that know, in order of time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vittne.appliance.life.table import LifeTable
from vittne.appliance.show import json_object
from vittne.appliance.store.audit import AuditSearch, AuditTable
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import Cell, Column, clean, table
from vittne.appliance.verdicts.table import VerdictTable
from vittne.appliance.verdicts.words import told_words


def history_of(data: Path, prefix: str) -> dict[str, Any]:
    """Return a recording's versions, corrections, holds, requests, erasure, verdicts and trail. Raises StoreError."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        call = catalogue.get(prefix)
        life = LifeTable(catalogue)
        trail = [row.as_json() for row in AuditTable(catalogue).search(AuditSearch(recording=call.id))]
        erasure = life.erasure(call.id)
        return {
            "recording": call.id,
            "versions": _versions(call),
            "corrections": [one.as_json() for one in life.corrections(call.id)],
            "holds": [hold.as_json(0) for hold in life.holds.history(call.id)],
            "requests": [one.as_json() for one in life.requests(decided=True, recording=call.id)],
            "erasure": None
            if erasure is None
            else {
                "at": rfc3339(erasure.at_us),
                "by": erasure.by,
                "approvers": list(erasure.approvers),
                "reason": erasure.reason,
                "word": erasure.word,
                "entry": erasure.entry,
                "is_done": erasure.done_us is not None,
            },
            "verdicts": [one.as_json() for one in VerdictTable(catalogue).of(call.id)],
            "trail": trail,
        }


def _versions(call: CallRow) -> list[dict[str, Any]]:
    """Return what was sealed, and what each cut made of it."""
    first = {"version": 1, "sealed_at": None if call.ended_us is None else rfc3339(call.ended_us)}
    return [first, *(dict(one) for one in call.details.get("cuts", ()) if isinstance(one, dict))]


def run(data: Path, prefix: str, as_json: bool) -> int:
    """Show it; return the exit status."""
    found = history_of(data, prefix)
    if as_json:
        sys.stdout.write(json_object(found))
        return 0
    lines = sorted(_lines(found))
    columns = [Column("when (UTC)"), Column("what", least=8), Column("who", least=6), Column("details", least=20)]
    cells: list[list[str | Cell]] = [
        [at[:19].replace("T", " "), what, who, clean(told)] for at, what, who, told in lines
    ]
    print("\n".join([found["recording"], *(table(columns, cells) if cells else ["nothing happened to it"])]))
    return 0


def _lines(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    lines = []
    for one in found["versions"]:
        at, what = one.get("cut_at") or one.get("sealed_at") or "", f"version {one['version']}"
        lines.append((at, what, str(one.get("by", "")), str(one.get("reason", ""))))
    for one in found["corrections"]:
        told = f"{one['field']}: {one['before']!r} is shown as {one['after']!r}: {one['reason']}"
        lines.append((one["at"], f"correction {one['n']}", one["by"], told))
    for one in found["holds"]:
        lines.append((one["placed_at"], "hold placed", one["placed_by"], f"{one['label']}: {one['reason']}"))
        if one["released_at"]:
            lines.append((one["released_at"], "hold released", one["released_by"], one["release_reason"]))
    for one in found["verdicts"]:
        lines.append((one["at"], f"verdict {one['n']}: {one['announced']}", one["by"], "; ".join(told_words(one))))
    for one in found["trail"]:
        told = ", ".join(
            f"{name}: {value}" for name, value in one["details"].items() if name not in ("ledger", "decision")
        )
        decision = one["details"].get("decision", {})
        rule = f" ({decision['rule']}: {decision['outcome']})" if "rule" in decision else ""
        lines.append((one["at"], one["kind"] + rule, one["actor"], told))
    return lines
