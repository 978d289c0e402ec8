"""What the parent asks of a worker, done on the worker's calls. Runs in the worker's second thread."""

from __future__ import annotations

from vittne.appliance.protocol import Command
from vittne.capture import gating, pausing
from vittne.capture.pausing import Answer
from vittne.capture.pipeline import Pipeline
from vittne.capture.selecting import select_calls


def do(pipeline: Pipeline, command: Command) -> list[Answer]:
    """Do a command; return what it came to, one answer a pause."""
    at, mono = command.asked_at, command.asked_mono
    if command.what == "pause":
        assert command.order is not None
        return [pausing.pause(pipeline, command.order)]
    if command.what == "find":
        calls = select_calls(pipeline.book, command.select, pipeline.addresses)
        return [Answer(pausing.FOUND, calls=[pausing.describe_call(call) for call in calls])]
    if command.what == "gate":
        assert command.decision is not None
        return [gating.gate(pipeline, command.select, command.decision, command.trigger, command.by, at, mono)]
    if command.what == "resume" and not command.pause_id:
        pauses = pausing.pauses_on(pipeline, command.select, command.only)
        return [pausing.resume(pipeline, one.id, at, mono, command.by) for one in pauses]
    if command.what == "resume":
        return [pausing.resume(pipeline, command.pause_id, at, mono, command.by)]
    if command.what == "extend":
        return [pausing.extend(pipeline, command.pause_id, at, mono, command.lease_ns)]
    return [pausing.status(pipeline, command.pause_id)]
