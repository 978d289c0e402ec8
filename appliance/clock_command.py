"""`vittne clock`: how right this machine's clock is now, and how right the ledger says it was."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from vittne.appliance.clock.history import Greatest, greatest, read_clock_history
from vittne.appliance.clock.state import ClockState, sample
from vittne.appliance.config import Config
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.show import json_object
from vittne.appliance.terminal import GREEN, RED, Cell, Column, painted, table

_COLUMNS: Final = [
    Column("entered (UTC)"),
    Column("source"),
    Column("synchronised"),
    Column("offset", right=True),
    Column("at most", right=True),
    Column("worst", right=True),
    Column("why", spare=1),
]


def show(config: Config, as_json: bool) -> int:
    """Say what the clock says of itself. Exit status 1 when it may be further from UTC than allowed."""
    state = sample()
    bound_us = config.clock.max_error_ms * 1000
    is_bad = state.exceeds(bound_us)
    if as_json:
        told: dict[str, Any] = {**state.for_manifest(), "ptp_us": state.ptp_us}
        sys.stdout.write(json_object({**told, "max_error_allowed_us": round(bound_us), "ok": not is_bad}))
    else:
        print("\n".join(_lines(state, is_bad, bound_us)))
    return int(is_bad)


def history(data: Path, since_us: int | None, as_json: bool) -> int:
    """Print the clock's entries in the ledger, and the worst of them."""
    entries = read_clock_history(data, load_verifier(data / "keys"), since_us)
    worst = greatest(entries)
    if as_json:
        summary = {name: getattr(worst, name) for name in worst.__slots__}
        sys.stdout.write(json_object({"greatest": summary, "entries": entries}))
        return 0
    rows = [_row(entry) for entry in entries]
    print("\n".join([*(table(_COLUMNS, rows) if rows else []), _sum(worst)]))
    return 0


def _lines(state: ClockState, is_bad: bool, bound_us: float) -> list[str]:
    synchronised = "synchronised" if state.synchronised else "NOT synchronised: nobody keeps this clock right"
    lines = [f"source: {state.source}, {synchronised}"]
    if state.stratum is not None:
        lines.append(f"stratum: {state.stratum}")
    lines.append(f"from UTC: at most {_ms(state.max_error_us)}; {_ms(bound_us)} are allowed (clock.max_error_ms)")
    lines.append(f"known offset: {_ms(state.offset_us)}")
    lines += [f"{name}: {_ms(ahead)} ahead of this clock" for name, ahead in state.ptp_us.items()]
    lines.append(painted("too far off, or nobody knows", RED) if is_bad else painted("good", GREEN))
    return lines


def _row(entry: dict[str, Any]) -> list[str | Cell]:
    is_good = bool(entry.get("synchronised"))
    return [
        str(entry["at"])[:19].replace("T", " "),
        str(entry.get("source", "")),
        Cell("yes", GREEN) if is_good else Cell("no", RED),
        _ms(entry.get("offset_us")),
        _ms(entry.get("max_error_us")),
        _ms(entry.get("worst_error_us")),
        str(entry.get("reason", "")),
    ]


def _sum(worst: Greatest) -> str:
    if not worst.samples:
        return "the ledger has no entries about the clock in this time"
    words = f"{worst.samples} entries, {worst.unsynchronised} of them not synchronised"
    if worst.max_error_us is None:
        return words
    return f"{words}; while synchronised at most {_ms(worst.max_error_us)} from UTC, offset {_ms(worst.max_offset_us)}"


def _ms(microseconds: float | None) -> str:
    return "" if microseconds is None else f"{microseconds / 1000:.3f} ms"
