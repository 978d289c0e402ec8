"""What was heard of a call as its details have it: with the sums of who spoke how long.

It is sealed in the recording and stands in the catalogue, and goes with both; the manifest, which nobody erases, has
no word of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vittne.appliance.hearing.talk import who_spoke
from vittne.appliance.store.times import from_rfc3339
from vittne.appliance.verdicts.heard import Heard


def details_of(heard: Heard, report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what details say was heard. report: with the times of the call, as CallRow.as_json. Sums are ms.

    Silence counts from the answer to the end. Nothing is summed up where nobody was listened to for speech.
    """
    told = heard.as_json()
    stretches = {"caller": heard.speech.caller, "callee": heard.speech.callee}
    if not any(stretches.values()):
        return told
    begin_us = from_rfc3339(report["started_at"])
    answered, ended = (
        None if report.get(name) is None else (from_rfc3339(report[name]) - begin_us) // 1000
        for name in ("answered_at", "ended_at")
    )
    after = {
        party: [(max(a, answered or 0), b) for a, b in some if b > (answered or 0)] for party, some in stretches.items()
    }
    talk = who_spoke(after, answered, ended, second=1000)
    told["talk"] = {
        "caller_ms": round(talk.talk["caller"]),
        "callee_ms": round(talk.talk["callee"]),
        "overlap_ms": round(talk.overlap),
        "silence_ms": round(talk.silence),
        "longest_silence_ms": round(talk.longest_silence),
        "turns": talk.turns,
        "interruptions": talk.interruptions,
    }
    return told
