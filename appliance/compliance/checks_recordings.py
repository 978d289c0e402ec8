"""Checks of recordings: whether all are there, sealed, and readable only with their keys; what is known of the host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from vittne.appliance.compliance.coverage import BY_RULE, ERASED, GOES_ON, MISSING, SEALED, lost_packets, standstill
from vittne.appliance.compliance.finding import MET, NO_DATA, NOT_MET, Finding, many, met_if
from vittne.appliance.compliance.looking import Looking
from vittne.appliance.scrub.cycle import read_state
from vittne.appliance.seal import events
from vittne.appliance.store.lock import LOCK_FILE
from vittne.appliance.store.rows import RECORDING
from vittne.appliance.store.times import rfc3339

_SCRUB_OLD_US: Final = 92 * 86_400_000_000  # a quarter: longer than any cycle should take
_NAMED: Final = 3
_DOWN_SHARE: Final = 1000  # who did not record for more than one part in so many did not record everything


def covered(at: Looking) -> Finding:
    """Every answered call has a sealed recording, or a rule says why not."""
    total = at.coverage.total
    outside = [*_stood(at), *_lost(at)]
    if not total.calls:
        return Finding(NO_DATA, ("no call was answered in this time", *outside))
    states = total.states
    words = (
        f"{many(total.calls, 'call')} answered ({many(total.dialogs, 'dialog')}): {states[SEALED]} with a recording "
        f"that is in the ledger and on the disk, {states[BY_RULE]} not kept by a rule, {states[ERASED]} erased since, "
        f"{states[GOES_ON]} going on, {states[MISSING]} missing"
    )
    outcomes = ", ".join(f"{name} {count}" for name, count in sorted(total.outcomes.items()))
    missing = [f"missing: {one.id[:8]} at {rfc3339(one.at_us)[:19]}: {one.reason}" for one in at.coverage.missing]
    more = f"and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    stood = _stood_us(at) * _DOWN_SHARE > at.until_us - at.since_us
    return met_if(not (missing or stood), words, f"outcomes: {outcomes}", *missing[:_NAMED], more, *outside)


def scrubbed(at: Looking) -> Finding:
    """The archive was read through lately, every hash computed anew, and nothing was damaged."""
    state = read_state(at.data)
    known = sorted({str(one.get("rec") or "the ledger") for one in at.ledger.of(events.DAMAGED)})
    damage = f"damage in the ledger in this time: {', '.join(known[:_NAMED])}" if known else ""
    if state.last is None:
        return met_if(False, "the archive was not read through to its end yet", damage)
    last = state.last
    words = f"the last full cycle ended at {rfc3339(last.finished_us)[:19]}: {many(last.recordings, 'recording')}, "
    words += f"{last.bytes} bytes, {len(last.damaged)} damaged"
    is_old = at.now_us - last.finished_us > _SCRUB_OLD_US
    old = "that is more than a quarter of a year ago" if is_old else ""
    return met_if(not (last.damaged or state.now.damaged or is_old), words, old, damage)


def unreadable(at: Looking) -> Finding:
    """No recording lies on the disk in clear: looked at by the first bytes of every part, and for other files."""
    stored = at.stored
    if not stored.parts:
        return Finding(NO_DATA, ("there is no sealed part on the disk",))
    plain = [f"not sealed: {name}" for name in stored.plain]
    words = (
        f"{many(stored.parts, 'part')} in {many(stored.folders, 'recording')}, each begins as AES-256-GCM (FLOE) does"
    )
    return met_if(not plain, words if not plain else f"{many(stored.parts, 'part')} looked at", *plain[:_NAMED])


def indexed(at: Looking) -> Finding:
    """The catalogue and the folders on the disk name the same recordings."""
    named = {folder for _, state, folder in at.catalogue.folders() if state != RECORDING}
    there = {str(path.parent.relative_to(at.data)) for path in (at.data / "recordings").glob("*/*/*/*/manifest.json")}
    there = {one for one in there if Path(one).name not in at.ledger.erased}
    if not named | there:
        return Finding(NO_DATA, ("there is no recording",))
    lost, unknown = sorted(named - there), sorted(there - named)
    return met_if(
        not (lost or unknown),
        f"{many(len(named), 'recording')} in the catalogue, {len(there)} on the disk",
        f"not on the disk: {', '.join(lost[:_NAMED])}" if lost else "",
        f"not in the catalogue: {', '.join(unknown[:_NAMED])}" if unknown else "",
        "`vittne rebuild` writes the catalogue anew from the recordings alone",
    )


def memory(at: Looking) -> Finding:
    """What is not to reach a disk cannot be swapped or dumped out of the recorder's memory."""
    try:
        pid = int(json.loads((at.data / LOCK_FILE).read_text())["pid"])
        status = _status(Path(f"/proc/{pid}/status").read_text())
        limits = Path(f"/proc/{pid}/limits").read_text()
    except (OSError, ValueError, KeyError, TypeError):
        return Finding(NO_DATA, ("no recorder runs here now whose memory could be looked at", _swap()))
    core = next((line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size")), "?")
    swapped = status.get("VmSwap", "0 kB")
    good = swapped == "0 kB" and core == "0"
    words = f"process {pid}: {swapped} in swap, {status.get('VmLck', '?')} locked, core dumps up to {core} bytes"
    return met_if(good, words, _swap())


def gaps(at: Looking) -> Finding:
    """Failures of recording are noticed and written down."""
    crashes, stops = at.ledger.counts[events.CRASH], at.ledger.counts[events.STOP]
    starts = at.ledger.counts[events.START]
    words = (
        f"{many(starts, 'start')}, {many(stops, 'orderly stop')} and {many(crashes, 'crash', 'crashes')} in the ledger"
    )
    if not starts:
        return Finding(NO_DATA, ("no run of the recorder began in this time", *_stood(at)))
    return Finding(MET if not crashes else NOT_MET, (words, *_stood(at), *_lost(at)))


def _spans(at: Looking) -> list[tuple[int, int]]:
    return standstill(at.runs, at.since_us, min(at.until_us, at.now_us))


def _stood_us(at: Looking) -> int:
    return sum(end - begin for begin, end in _spans(at))


def _stood(at: Looking) -> list[str]:
    spans = _spans(at)
    if not spans:
        return []
    hours = sum(end - begin for begin, end in spans) / 3.6e9
    last = f"the last from {rfc3339(spans[-1][0])[:19]} to {rfc3339(spans[-1][1])[:19]}"
    words = f"in {many(len(spans), 'span')} ({hours:.1f} h, {last}) no recorder is known to have run"
    return [f"{words}: calls then are in no sum"]


def _lost(at: Looking) -> list[str]:
    lost = lost_packets(at.runs, at.since_us, at.until_us)
    words = ", ".join(f"{layer} {number}" for layer, number in lost.items())
    return [f"packets not looked at, in the runs of this time, by layer: {words}"] if lost else []


def _swap() -> str:
    try:
        areas = len(Path("/proc/swaps").read_text().splitlines()) - 1
    except OSError:
        return "whether this machine swaps is not known"
    return f"this machine has {many(max(areas, 0), 'swap area')}"


def _status(text: str) -> dict[str, str]:
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in text.splitlines())}
