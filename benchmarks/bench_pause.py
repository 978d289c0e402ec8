#!/usr/bin/env python3
"""How long an answer to "pause" takes while many calls are recorded, and whether the right packets are missing.

Calls are placed and recorded as bench_live.py does; while they talk, ask_pauses.py asks the API. Afterwards each
pause is held against its recording: nothing between its beginning and its end was stored, and the first
packet left out is the first one behind its beginning.

    python benchmarks/bench_pause.py [--full | --calls 2000 --rate 200000 --pauses 1000 --seconds 40] [--save]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import report
from bench_live import HERE, recording
from rig.namespaces import NoRoom, building

FULL: Final = {"calls": 2000, "rate": 200_000.0, "pauses": 1000, "seconds": 40.0}
SMALL: Final = {"calls": 200, "rate": 20_000.0, "pauses": 60, "seconds": 8.0}
TOKEN: Final = ("token", "create", "benchmark", "--scope", "pause")


def measure(calls: int, rate: float, pauses: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Return the figures of one run."""
    data = folder / "data"
    talk_s = seconds + 10
    with building() as here:
        phones, room = here.room("phones"), here.room("recorder")
        here.cable(phones, "voices", room, "mirror")
        with recording(room, data) as recorder:
            made = subprocess.run(
                room.python("-m", "vittne.appliance", *TOKEN, "--data", str(data)),
                capture_output=True,
                text=True,
                check=True,
            )
            token = next(word for word in made.stdout.split() if word.startswith("vtn_"))
            script = phones.python(
                str(HERE / "place_calls.py"),
                *("--interface", "voices", "--calls", str(calls)),
                *("--seconds", str(talk_s), "--rate", str(rate)),
            )
            # The sender stands for other machines: it may not take the recorder's processor time.
            with phones.process("nice", "-n", "10", *script, stdout=subprocess.PIPE, stderr=None) as sender:
                assert sender.stdout is not None
                for line in sender.stdout:
                    told = json.loads(line)
                    if told["phase"] == "signalled":
                        asked = ask(room, data, calls, pauses, seconds, token)
                    if told["phase"] == "ready":
                        placed = told["calls"]
            recorder.wait_for(placed)
            said = recorder.stop()
    return {"placed": placed, **asked, **held(data), "loop_delay_p99_ms": said.get("loop_delay_p99_ms", -1.0)}


def ask(room: Any, data: Path, calls: int, pauses: int, seconds: float, token: str) -> dict[str, Any]:
    command = room.python(
        str(HERE / "ask_pauses.py"),
        *("--data", str(data), "--calls", str(calls), "--pauses", str(pauses), "--seconds", str(seconds)),
    )
    found: dict[str, Any] = json.loads(room.run(*command, input=token + "\n").stdout)
    return found


def held(data: Path) -> dict[str, Any]:
    """Hold what was paused against what is stored."""
    from vittne.appliance.store.catalogue import Catalogue, Search  # noqa: PLC0415

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        rows = list(catalogue.list_calls(Search(unanswered=True)))
        run = catalogue.runs()[-1]
    told = [pause for row in rows for pause in row.details.get("pauses", ())]
    behind = [
        (moment(stream["first_at"]) - moment(pause["effective_from"])) * 1000
        for pause in told
        for stream in pause["streams"]
    ]
    lost = sum(stream.packets - stream.stored - sum(stream.dropped.values()) for row in rows for stream in row.streams)
    return {
        "pauses_in_recordings": len(told),
        "pauses_incomplete": sum(bool(pause["incomplete_until"]) for pause in told),
        "first_packet_behind_beginning_ms_max": round(max(behind, default=-1), 2),
        "first_packet_before_beginning": sum(one < 0 for one in behind),
        "packets_unaccounted": lost,
        "kernel_drops": sum(run.drops.get("kernel", {}).values()),
    }


def moment(text: str) -> float:
    """Return seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def main() -> int:
    arguments = _arguments()
    given = dict(FULL if arguments.full else SMALL)
    given |= {name: value for name in given if (value := getattr(arguments, name)) is not None}
    folder = Path(tempfile.mkdtemp(prefix="vittne-pause-", dir="/var/tmp"))
    try:
        figures = measure(int(given["calls"]), given["rate"], int(given["pauses"]), given["seconds"], folder)
    except NoRoom as error:
        print(f"no network namespaces for this user here: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    if arguments.save:
        report.save(report.result("pause", given, figures, arguments.note))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):40} {value}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--full", action="store_true", help="2 000 calls, 200 000 packets/s, 1 000 pauses in 40 s")
    parser.add_argument("--calls", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--pauses", type=int)
    parser.add_argument("--seconds", type=float, help="in which the pauses are asked for")
    parser.add_argument("--save", action="store_true", help="add the result to results/pause.jsonl")
    parser.add_argument("--note", default="", help="said in the saved result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
