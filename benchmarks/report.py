#!/usr/bin/env python3
"""What a benchmark says: the machine, the input, the figures; a table for people, a JSON line for results/.

Run by itself it runs every benchmark, small, and prints what they print (`make bench`).
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parent
RESULTS: Final = HERE / "results"

# What `make bench` runs, and whether it needs rooms (network namespaces).
SMALL: Final = (
    (("bench_link.py",), False),
    (("bench_seal.py", "{folder}", "50"), False),
    (("bench_ledger.py", "--folder", "{folder}"), False),
    (("bench_ring.py", "--calls", "400", "--rate", "50000", "--seconds", "3", "--hold-back", "1"), True),
    (("bench_record.py", "--folder", "{folder}"), False),
    (("bench_live.py", "--folder", "{folder}"), True),
    (("bench_pause.py",), True),
    (("bench_faults.py", "--folder", "{folder}"), True),
    (("bench_soak.py", "--seconds", "60", "--folder", "{folder}"), True),
    (("bench_inband.py",), False),
    (("bench_hearing.py",), False),
    (("bench_keys.py", "--rows", "50000", "--folder", "{folder}"), False),
    (("bench_analysis.py", "--folder", "{folder}"), False),
    (("bench_listening.py", "--folder", "{folder}"), False),
    (("bench_life.py", "--folder", "{folder}"), False),
    (("bench_announcement.py", "--quick"), False),
    (("bench_coverage.py", "--folder", "{folder}"), False),
    (("bench_search.py", "--folder", "{folder}"), False),
    (("bench_audio.py", "--folder", "{folder}"), False),
    (("bench_catalogue.py",), False),
)


def machine() -> dict[str, Any]:
    """Return what speed depends on. Nothing that names the machine or its owner."""
    return {
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(_line("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20), 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "numpy": version("numpy"),
    }


def _line(path: str, name: str) -> str:
    """Return what stands behind the colon of the first line that begins with a name; "0" if none does."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "0"


def result(bench: str, given: Mapping[str, Any], figures: Mapping[str, Any], note: str = "") -> dict[str, Any]:
    """Return one result. load_before: how many processes wanted a processor in the last minute, ours among them."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "bench": bench,
        "machine": machine(),
        "load_before": round(os.getloadavg()[0], 1),
        "input": dict(given),
        "figures": dict(figures),
        "note": note,
    }


def save(found: Mapping[str, Any]) -> None:
    """Add a result to the file of its benchmark."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{found['bench']}.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(found, separators=(",", ":")) + "\n")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as text in columns; what a row does not have stays empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name, "")) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    return "\n".join(
        "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(line))
        for line in (list(zip(line, widths, strict=True)) for line in cells)
    )


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 100 else str(value)


def has_rooms() -> bool:
    """Whether this machine lets this user have network namespaces."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from rig.namespaces import NoRoom, building  # noqa: PLC0415 - needed here only

    try:
        with building() as made:
            made.room("trial")
    except (NoRoom, OSError):
        return False
    return True


def main() -> int:
    import tempfile  # noqa: PLC0415

    failed = []
    rooms = has_rooms()
    print(json.dumps(machine()), flush=True)
    with tempfile.TemporaryDirectory(prefix="vittne-bench-", dir="/var/tmp") as folder:
        for command, needs_rooms in SMALL:
            print(f"\n{command[0]}", flush=True)
            if needs_rooms and not rooms:
                print("left out: no network namespaces for this user here")
                continue
            arguments = [word.format(folder=folder) for word in command[1:]]
            if subprocess.run([sys.executable, str(HERE / command[0]), *arguments], check=False).returncode:
                failed.append(command[0])
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
