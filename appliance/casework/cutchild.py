"""The process that cuts a recording, or says what a cut would take.

    python -m vittne.appliance.casework.cutchild

Keys come one by one from who started it, and so does every operation of the one writer: it does by itself only what
`vittne cut` does by itself, read the recording and write its new version beside it (cut.py).
"""

from __future__ import annotations

import base64
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from vittne.appliance.casework.cutorders import (
    LINE_LIMIT,
    Answered,
    Asked,
    CutJob,
    FromChild,
    PlanTold,
    StreamGoes,
    Told,
)
from vittne.appliance.casework.orders import Refused
from vittne.appliance.control.operation import Operation, Order
from vittne.appliance.cut import SETTLE_CUTS, CutOrder, Settle, cut
from vittne.appliance.cutplan import CutPlan, Span
from vittne.appliance.cutready import call_to_cut, plan_of, refuse_wrong
from vittne.appliance.opened import OpenedRecording, bring_back_missing, folder_of, part_numbers
from vittne.appliance.seal.capsule import CapsuleRefused, Kept
from vittne.appliance.seal.manifest import BadManifest
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339

_NS_IN_MS: Final = 1_000_000


class Parent:
    """Who started this process, asked over its own lines."""

    def __init__(self, given: BinaryIO, out: BinaryIO) -> None:
        self._given = given
        self._out = out

    def ask(self, asked: Asked) -> Answered:
        """Return an answer. Raises StoreError: what was refused."""
        self.say(FromChild(asked=asked))
        line = self._given.readline(LINE_LIMIT)
        if not line:
            raise BrokenPipeError("whoever asked has gone")
        found = Answered.model_validate_json(line)
        if found.refused is not None:
            raise StoreError(found.refused.what, found.refused.where, found.refused.next_step)
        return found

    def do(self, operation: Operation[Any], order: Order) -> Iterator[str]:
        """Have an operation done."""
        yield from self.ask(Asked(operation=operation.name, order=order.model_dump(mode="json"))).said

    def say(self, line: FromChild) -> None:
        """Write a line."""
        self._out.write(line.model_dump_json().encode() + b"\n")
        self._out.flush()


class ParentsKeys:
    """Opens keys of one recording, by asking."""

    def __init__(self, parent: Parent, recording: str) -> None:
        self._parent = parent
        self._recording = recording

    def data_key(self, kept: Kept, recording_id: str, part_no: int) -> bytes:
        """Return a data key. Raises CapsuleRefused, StoreError."""
        del kept
        if recording_id != self._recording:
            raise CapsuleRefused("this key is another recording's")
        return self.key(part_no)

    def key(self, part_no: int) -> bytes:
        """Return the key of a part. Raises StoreError."""
        return base64.b64decode(self._parent.ask(Asked(key=part_no)).key)


def main() -> int:
    """Do one job; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not speak into the answer
    job = CutJob.model_validate_json(sys.stdin.buffer.readline(LINE_LIMIT))
    parent = Parent(sys.stdin.buffer, out)
    try:
        told = _done(job, parent)
    except StoreError as error:
        told = Told(refused=Refused(what=error.what, where=str(error.where), next_step=error.next_step))
    except BadManifest as error:
        told = Told(refused=Refused(what=f"the manifest {error}", where=job.recording, next_step="verify it"))
    parent.say(FromChild(told=told))
    return 0


def _done(job: CutJob, parent: Parent) -> Told:
    data, keys = Path(job.data), ParentsKeys(parent, job.recording)
    span = Span(job.from_ns, job.to_ns, job.party)
    call = call_to_cut(data, job.recording)
    if not job.reason:
        bring_back_missing(data, data / call.folder)
        return Told(plan=_told(call, _plan(data, call, span, keys)))
    list(parent.do(SETTLE_CUTS, Settle()))
    call = call_to_cut(data, job.recording)
    refuse_wrong(data, call, keys)
    plan = _plan(data, call, span, keys)
    manifest = cut(data, parent.do, keys, call, CutOrder(job.by, job.reason, plan))
    return Told(plan=_told(call, plan), version=manifest.version)


def _plan(data: Path, call: CallRow, span: Span, keys: ParentsKeys) -> CutPlan:
    folder = folder_of(data, call.folder, call.id)
    with OpenedRecording(folder, {n: keys.key(n) for n in part_numbers(folder)}) as opened:
        return plan_of(opened, span, call.id)


def _told(call: CallRow, plan: CutPlan) -> PlanTold:
    span = plan.span
    begin = max(span.from_ns, call.started_us * 1000)
    end = span.to_ns if call.ended_us is None else min(span.to_ns, call.ended_us * 1000)
    return PlanTold(
        from_at=rfc3339(span.from_ns // 1000),
        to_at=rfc3339(span.to_ns // 1000),
        party=span.party,
        milliseconds=max(end - begin, 0) // _NS_IN_MS,
        packets=plan.packets,
        reports=plan.reports,
        streams=[
            StreamGoes(
                party=one.party,
                packets=one.packets,
                from_at=rfc3339(one.from_ns // 1000),
                to_at=rfc3339(one.to_ns // 1000),
            )
            for one in plan.streams
        ],
        related=[str(one) for one in call.details.get("related", ())],
    )


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # whoever asked has gone
        sys.exit(main())
