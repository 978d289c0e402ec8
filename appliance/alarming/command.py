"""`vittne alarms`: asks the recorder that runs."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from vittne.appliance.alarming.operations import LIST_ALARMS, TEST_ALARMS, ListAlarms, TestAlarms
from vittne.appliance.control.client import perform
from vittne.appliance.events.alarmlist import ALARMS
from vittne.appliance.terminal import Column, clean, table

_WAIT_S: Final = 60.0
_LOOK_S: Final = 0.5


def show(data: Path, is_all: bool, as_json: bool) -> int:
    """Print what stands, and the channels. Exit code 1 when something grave stands."""
    found = perform(data, LIST_ALARMS, ListAlarms())
    alarms = [one for one in found["alarms"] if is_all or one["stands"]]
    if as_json:
        print(json.dumps({**found, "alarms": alarms}, indent=2, ensure_ascii=False))
    else:
        _print_alarms(alarms)
        _print_channels(found["channels"])
    return int(any(one["stands"] and one["weight"] == "bad" for one in alarms))


def test(data: Path, as_json: bool) -> int:
    """Have every channel sent a test, wait for what comes of it. Exit code 1 when one does not work."""
    begun = perform(data, TEST_ALARMS, TestAlarms())
    until = time.monotonic() + _WAIT_S
    while True:
        channels = perform(data, LIST_ALARMS, ListAlarms())["channels"]
        if all((one["tried_at"] or "") >= begun["at"] and not one["sending"] for one in channels):
            break
        if time.monotonic() > until:
            break
        time.sleep(_LOOK_S)
    results = [{**one, "arrived": (one["delivered_at"] or "") >= begun["at"]} for one in channels]
    if as_json:
        print(json.dumps({"channels": results}, indent=2, ensure_ascii=False))
    elif not results:
        print("alarms go to the log and nowhere else: [[alarms.mail]], [[alarms.snmp]], `vittne webhook add`")
    for one in [] if as_json else results:
        said = "taken" if one["arrived"] else clean(one["error"]) or "no answer in a minute"
        print(f"{one['kind']:8} {clean(one['name']):20} {said}")
    return int(not results or not all(one["arrived"] for one in results))


def names(as_json: bool) -> int:
    """Print every alarm that there is."""
    kinds = [{"name": kind.name, "weight": kind.weight, "words": words} for words, kind in ALARMS.items()]
    if as_json:
        print(json.dumps(kinds, indent=2, ensure_ascii=False))
        return 0
    for one in kinds:
        print(f"{one['name']:22} {one['weight']:5} {one['words']}")
    return 0


def _print_alarms(alarms: list[dict[str, Any]]) -> None:
    if not alarms:
        print("no alarm stands", file=sys.stderr)
        return
    columns = [Column("since"), Column("weight"), Column("alarm"), Column("about", least=10), Column("over")]
    rows = [
        [
            one["first_at"][:19] + "Z",
            one["weight"],
            clean(one["words"]),
            clean(", ".join(f"{name} {value}" for name, value in one["about"].items())),
            "" if one["stands"] else (one["cleared_at"] or "after a while")[:19],
        ]
        for one in alarms
    ]
    print("\n".join(table(columns, rows)))


def _print_channels(channels: list[dict[str, Any]]) -> None:
    print(f"told: the log{'' if channels else ', and nobody else'}", file=sys.stderr)
    for one in channels:
        state = clean(one["error"]) or (f"last at {one['delivered_at'][:19]}Z" if one["delivered_at"] else "not yet")
        print(f"  {one['kind']} {clean(one['name'])}: {state}", file=sys.stderr)
