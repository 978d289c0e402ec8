"""Deciding a call's gate from outside: the one way for API, PBX and whatever hears announcements.

Done at once; what it means for packets shows at the next commit. May be called from a second thread, without the lock
of pauses: RecordKeeper.decide says why that loses nothing.
"""

from __future__ import annotations

from typing import Any, Final

from vittne.capture.calls import Call
from vittne.capture.gates import REFUSED, Decided, Decision, gate_of
from vittne.capture.pausing import NO_CALL, SEVERAL, Answer, describe_call
from vittne.capture.pipeline import Pipeline
from vittne.capture.selecting import select_calls

DECIDED: Final = "decided"
NOT_GATED: Final = "not-gated"  # nothing hangs on it: the call is recorded, or left out, whatever is decided
SHUT: Final = "shut"  # it was refused, or given up, before


def gate(
    pipeline: Pipeline, select: dict[str, str], decision: Decision, trigger: str, by: str, at_ns: int, mono_ns: int
) -> Answer:
    """Decide the gate of the one call that a selection means (`recording`, `sip_call_id`, ...).

    Asked twice it is decided once. at_ns, mono_ns: of when it was decided, not of when it is told.
    """
    calls = select_calls(pipeline.book, select, pipeline.addresses)
    if not calls:
        if call_id := select.get("sip_call_id"):  # told anew, after a restart: the call is heard of again later
            pipeline.recording.expect(call_id, Decided(decision, trigger, by, at_ns, mono_ns))
        return Answer(NO_CALL)
    if len(calls) > 1:
        return Answer(SEVERAL, calls=[_described(pipeline, call) for call in calls])
    (call,) = calls
    last = call.keeping.last
    was_shut = bool(call.keeping.shut_by)
    if last is None or last.excluded or gate_of(last) == "from-start":
        return Answer(NOT_GATED, calls=[_described(pipeline, call)])
    pipeline.recording.decide(call, Decided(decision, trigger, by, at_ns, mono_ns))
    while call.merged_into is not None:
        call = call.merged_into
    state = SHUT if was_shut and decision != REFUSED else DECIDED
    return Answer(state, calls=[_described(pipeline, call)])


def _described(pipeline: Pipeline, call: Call) -> dict[str, Any]:
    ruled = call.keeping.as_json(pipeline.settings.recording.version)
    # All that go with it: nothing of them may be read any more once this is answered.
    erased = [one for one in pipeline.recording.concerned(call) if one.keeping.erases_all]
    ids = [name for one in erased for name in (one.id, *one.absorbed)]
    return {**describe_call(call), "recording_rule": ruled, "erased": ids}
