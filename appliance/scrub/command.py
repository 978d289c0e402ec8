"""`vittne scrub`: how far reading through the archive is, what it found; or a whole cycle now."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from vittne.appliance.control.client import perform
from vittne.appliance.scrub.cycle import Cycle, Pace, State, read_state, scrub
from vittne.appliance.scrub.process import take_lock
from vittne.appliance.scrub.runner import ENTER_SCRUB, Found
from vittne.appliance.show import json_object
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import GREEN, RED, clean, painted


def show(data: Path, as_json: bool) -> int:
    """Print how far it is; 1 when the newest cycle found damage."""
    state = read_state(data)
    if as_json:
        sys.stdout.write(json_object({"now": _as_json(state.now), "last": state.last and _as_json(state.last)}))
    else:
        print("\n".join(_lines(state)))
    newest = state.now if state.now.damaged or state.last is None else state.last
    return 1 if newest.damaged else 0


def now(data: Path, mb_per_s: float) -> int:
    """Go through the archive to the end of the cycle; 0 when nothing is damaged."""
    lock = take_lock(data)
    if lock < 0:
        raise StoreError("somebody reads the archive through already", data, "`vittne scrub` says how far it is")
    state = read_state(data)
    for after, found in scrub(data, state, Pace(mb_per_s * 1e6).spent):
        state = after
        if found is not None:
            print(painted(f"{found.recording}: {clean(found.words, 300)}", RED))
            perform(data, ENTER_SCRUB, Found(recording=found.recording))
    done = state.last
    assert done is not None
    perform(data, ENTER_SCRUB, Found(recordings=done.recordings, bytes=done.bytes, damaged=len(done.damaged)))
    print("\n".join(_lines(state)))
    return 1 if done.damaged else 0


def _lines(state: State) -> list[str]:
    lines = []
    if state.now.started_us:
        lines.append(
            f"a cycle goes on since {rfc3339(state.now.started_us)}: {_sums(state.now)}, up to {state.now.after}"
        )
        lines += _damaged(state.now)
    if state.last is not None:
        lines.append(f"the last cycle ended at {rfc3339(state.last.finished_us)}: {_sums(state.last)}")
        lines += _damaged(state.last)
    return lines or ["the archive was not read through yet"]


def _sums(cycle: Cycle) -> str:
    return f"{cycle.recordings} recordings, {cycle.bytes} bytes, {len(cycle.damaged)} damaged"


def _damaged(cycle: Cycle) -> list[str]:
    if not cycle.damaged:
        return [painted("  nothing is damaged", GREEN)]
    return [painted(f"  {one.recording}: {clean(one.words, 300)}", RED) for one in cycle.damaged]


def _as_json(cycle: Cycle) -> dict[str, Any]:
    return {
        "started_at": rfc3339(cycle.started_us) if cycle.started_us else None,
        "finished_at": rfc3339(cycle.finished_us) if cycle.finished_us else None,
        "after": cycle.after,
        "recordings": cycle.recordings,
        "bytes": cycle.bytes,
        "damaged": [{"recording": d.recording, "words": d.words, "at": rfc3339(d.at_us)} for d in cycle.damaged],
    }
