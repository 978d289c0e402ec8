#!/usr/bin/env python3
"""What recording loses while many people look: browsers on the console and the API, and calls over a veth pair.

`vittne record --interface` runs as it does for a customer, over a catalogue that has calls already, with its API and
console. A sender sets up G.711 calls and sends their voices at their own pace, 50 packets a second each way. Meanwhile
each browser logs in, opens the page Now and hears its news (server-sent events), and then does, one thing every one to
three seconds, what people do: the parts of Now that are loaded anew, searches, recordings, stretches of sound. Reported
are packets that were sent and are not in a recording, and how long people waited for each kind of thing.

    python benchmarks/bench_console_load.py                # 5 browsers, 100 calls, 15 s, 1 000 calls in the catalogue
    python benchmarks/bench_console_load.py --full --save  # 50 browsers, 1 000 calls, 60 s, 20 000

Sender, browsers (one process for all, with nice 5: they stand for other machines), kernel and recorder share the
machine's processors; pace_kept says how much of the calls' pace the sender came to.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import report
from bench_live import MIB, recording

HERE: Final = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from rig.namespaces import NoRoom, building  # noqa: E402

FULL: Final = {"browsers": 50, "calls": 1000, "seconds": 60.0, "rows": 20_000}
SMALL: Final = {"browsers": 5, "calls": 100, "seconds": 15.0, "rows": 1000}
PACKETS_PER_S: Final = 100  # of a call: two voices in packets of 20 ms
PASSWORD: Final = "a horse, a battery, two staples"
PACE_S: Final = 0.4  # between two logins: a password is looked at for a tenth of a second, one after the other


def fill(folder: Path, browsers: int, rows: int) -> tuple[Path, str, int]:
    """Make a data directory with a recording to hear, calls to find, and people.

    Returns it, the recording's id, and how many calls are in the catalogue.
    """
    from bench_search import calls  # noqa: PLC0415
    from recordings import record  # noqa: PLC0415
    from rig.desk import two_calls  # noqa: PLC0415

    from vittne.appliance.access import operations as access  # noqa: PLC0415
    from vittne.appliance.access.passwords import hash_password  # noqa: PLC0415
    from vittne.appliance.control.client import drain  # noqa: PLC0415
    from vittne.appliance.control.operation import Caller  # noqa: PLC0415
    from vittne.appliance.registrar import Registrar  # noqa: PLC0415

    made = record(two_calls(), folder)
    heard = made.rows()[0].id
    me, kept = Caller("bench"), hash_password(PASSWORD, "somebody")
    registrar = Registrar(made.data)
    try:
        for n in range(browsers):
            user = access.AddUser(name=f"user-{n}", roles=("supervisor",))
            drain(access.ADD_USER.do(registrar, user, me))
            password = access.SetPassword(user=user.name, password=kept)
            drain(access.SET_PASSWORD.do(registrar, password, me))
        some = [replace(row, folder="") for row in calls(rows, random.Random(7))]
        for first in range(0, rows, 500):
            registrar.catalogue.upsert_calls(some[first : first + 500])
        there = sum(count for outcome, count in registrar.catalogue.outcomes().items() if outcome)
    finally:
        registrar.close()
    return made.data, heard, there


def measure(given: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the figures of one run."""
    browsers, calls, seconds = int(given["browsers"]), int(given["calls"]), float(given["seconds"])
    data, heard, before = fill(folder, browsers, int(given["rows"]))
    talk_s = seconds + browsers * PACE_S + 5
    with building() as here:
        phones, room = here.room("phones"), here.room("recorder")
        here.cable(phones, "voices", room, "mirror")
        with recording(room, data) as recorder:
            begun = recorder.cpu()
            script = phones.python(
                str(HERE / "place_calls.py"),
                *("--interface", "voices", "--calls", str(calls), "--calls-per-s", "100"),
                *("--seconds", str(talk_s), "--rate", str(calls * PACKETS_PER_S)),
            )
            phases: dict[str, dict[str, Any]] = {}
            looked: dict[str, Any] = {}
            with phones.process(*script, stdout=subprocess.PIPE, stderr=None) as sender:
                assert sender.stdout is not None
                for line in sender.stdout:
                    told = json.loads(line)
                    phases[told["phase"]] = told
                    if told["phase"] == "signalled":
                        looked = look(room, data, heard, browsers, seconds)
            recorder.wait_for(before + phases["ready"]["calls"])
            cpu = [after - before for before, after in zip(begun, recorder.cpu(), strict=True)]
            peak = round(recorder.parent.peak() / MIB)
            said = recorder.stop()
    return {
        **counts(data, phases),
        **looked,
        "parent_cpu_s": round(cpu[0], 1),
        "worker_cpu_s": round(cpu[1], 1),
        "parent_peak_mib": peak,
        "ring_most_full": said.get("ring_most_full", -1.0),
        "loop_delay_p99_ms": said.get("loop_delay_p99_ms", -1.0),
        "loop_delay_max_ms": said.get("loop_delay_max_ms", -1.0),
    }


def look(room: Any, data: Path, heard: str, browsers: int, seconds: float) -> dict[str, Any]:
    """Have people look from the recorder's own room; return what they waited."""
    command = room.python(
        str(HERE / "browse.py"),
        *("--data", str(data), "--heard", heard, "--browsers", str(browsers), "--seconds", str(seconds)),
    )
    done = room.run("nice", "-n", "5", *command, input=PASSWORD + "\n")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def counts(data: Path, phases: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Compare what was sent with what the catalogue says."""
    from vittne.appliance.store.catalogue import Catalogue, Search  # noqa: PLC0415

    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        run = catalogue.runs()[-1]
        rows = list(catalogue.list_calls(Search(unanswered=True, since_us=run.started_us)))
    stored = sum(stream.stored for row in rows for stream in row.streams)
    sent = phases["talked"]["frames"]
    return {
        "calls": phases["ready"]["calls"],
        "recorded": sum(row.outcome == "recorded" for row in rows),
        "packets_per_s": phases["talked"]["packets_per_s"],
        "pace_kept": round(phases["talked"]["packets_per_s"] / (phases["ready"]["calls"] * PACKETS_PER_S), 2),
        "sent": sent,
        "stored": stored,
        "packets_lost": sent - stored,
        "kernel_drops": sum(run.drops.get("kernel", {}).values()),
    }


def main() -> int:
    """Measure, print, and keep if asked."""
    arguments = _arguments()
    given: dict[str, Any] = dict(FULL if arguments.full else SMALL)
    given |= {name: value for name in given if (value := getattr(arguments, name)) is not None}
    parent = arguments.folder or Path("/var/tmp")
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="vittne-console-", dir=parent))
    load = [round(one, 1) for one in os.getloadavg()]
    try:
        figures = measure(given, folder)
    except NoRoom as error:
        print(f"no network namespaces for this user here: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder)
    if arguments.save:
        report.save(report.result("console_load", given, {**figures, "load": load}, arguments.note))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):28} {value}")
    return int(figures["packets_lost"] != 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="50 browsers, 1 000 calls, 60 s, 20 000 in the catalogue")
    parser.add_argument("--browsers", type=int)
    parser.add_argument("--calls", type=int)
    parser.add_argument("--seconds", type=float, help="that people look, after the last one came")
    parser.add_argument("--rows", type=int, help="calls in the catalogue")
    parser.add_argument("--folder", type=Path, help="where it is written; a part of it, removed at the end")
    parser.add_argument("--save", action="store_true", help="add the result to results/console_load.jsonl")
    parser.add_argument("--note", default="", help="said in the saved result")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
