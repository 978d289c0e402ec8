"""`vittne cut`: show what cutting a span would take out of a stored recording, and with --yes take it out for good."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from vittne.appliance.control.client import login, perform
from vittne.appliance.control.operation import Do, Operation, Order
from vittne.appliance.cut import SETTLE_CUTS, CutOrder, Settle, cut
from vittne.appliance.cutplan import CutPlan, Span
from vittne.appliance.cutready import CannotCut, call_to_cut, plan_of, refuse_wrong
from vittne.appliance.life.approving import ASK_CUT
from vittne.appliance.life.asking import AskCut
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.opened import open_recording
from vittne.appliance.seal.keys import unlock
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import Column, clean, table

WAITS: Final = 3  # exit status: asked for, and a second person has to approve
_TEXT_LIMIT: Final = 200
_OFFSET: Final = re.compile(r"\+(\d{1,7})(?:\.(\d{1,9}))?")
_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CutOptions:
    """What was asked. begin, end: RFC 3339, or seconds from the answer (+12.5)."""

    id: str
    begin: str
    end: str
    party: str
    reason: str
    by: str
    yes: bool


def run(data: Path, options: CutOptions, policy: LifePolicy | None = None) -> int:
    """Show what would go, or cut it; return the exit status, 3 when a second person is needed. Raises StoreError."""
    call = call_to_cut(data, options.id)
    by, reason = _checked("--by", options.by or login()), _checked("--reason", options.reason)
    if not options.yes:
        plan = _plan(data, call, _span(call, options))
        print("\n".join([*_lines(call, plan), "nothing was changed: with --yes it is cut, and cannot be had back"]))
        return 0
    return _cut(data, options, by, reason, policy)


def _cut(data: Path, options: CutOptions, by: str, reason: str, policy: LifePolicy | None) -> int:
    key = unlock(data)
    if perform(data, SETTLE_CUTS, Settle(), by)["settled"]:
        print("cuts that had been interrupted were brought to their end", file=sys.stderr)
    call = call_to_cut(data, options.id)
    span = _span(call, options)
    refuse_wrong(data, call)
    plan = _plan(data, call, span)
    print("\n".join(_lines(call, plan)))
    asked = AskCut(recording=call.id, from_ns=span.from_ns, to_ns=span.to_ns, party=span.party)
    answer = perform(data, ASK_CUT, asked, by, policy=policy)
    if "waits" in answer:
        print(f"nothing was changed yet: a second person has to approve request {answer['waits']},", file=sys.stderr)
        print("with `vittne request approve`; then cut again with the same span, its times in UTC", file=sys.stderr)
        return WAITS
    manifest = cut(data, _asked(data, by, policy), key, call, CutOrder(by, reason, plan))
    assert manifest.cut is not None
    print(f"cut: version {manifest.version}, {manifest.cut.records} records kept, the old key is destroyed")
    return 0


def _asked(data: Path, by: str, policy: LifePolicy | None) -> Do:
    """Return what has the recorder do operations; where none runs, they are done here."""

    def do(operation: Operation[Any], order: Order) -> Iterator[str]:
        said: list[str] = []
        perform(data, operation, order, by, lambda progress: said.append(progress.words), policy)
        yield from said

    return do


def _plan(data: Path, call: CallRow, span: Span) -> CutPlan:
    with open_recording(data, call.folder, call.id) as opened:
        return plan_of(opened, span, call.id)


def _lines(call: CallRow, plan: CutPlan) -> list[str]:
    span = plan.span
    length = (span.to_ns - span.from_ns) / _NS
    columns = [Column("stream", right=True), Column("party"), Column("ssrc"), Column("packets", right=True)]
    columns += [Column("from (UTC)"), Column("to")]
    streams = [
        [str(one.number), one.party or "?", f"{one.ssrc:08X}", str(one.packets), _clock(one.from_ns), _clock(one.to_ns)]
        for one in plan.streams
    ]
    lines = [
        f"{call.id}: {clean(call.caller)} to {clean(call.callee)}",
        f"from {rfc3339(span.from_ns // 1000)} to {rfc3339(span.to_ns // 1000)}, {length:.3f} s, {span.party}",
        *(table(columns, [list(cells) for cells in streams]) if streams else ()),
        f"{plan.packets} RTP and {plan.reports} RTCP packets, parts written anew: {len(plan.parts)}; SIP stays",
    ]
    related = [str(one) for one in call.details.get("related", ())]
    if related:
        lines.append(f"the same voices may be in {', '.join(related)}: cut there as well")
    return lines


def _clock(at_ns: int) -> str:
    return rfc3339(at_ns // 1000)[11:23]


def _span(call: CallRow, options: CutOptions) -> Span:
    begin, end = _time(call, options.begin, "--from"), _time(call, options.end, "--to")
    if end <= begin:
        raise CannotCut("the span ends before it begins", options.end, "give --from, then a later --to")
    return Span(begin, end, options.party)


def _time(call: CallRow, text: str, option: str) -> int:
    """Return ns UTC."""
    offset = _OFFSET.fullmatch(text)
    if offset is not None:
        if call.answered_us is None:
            raise CannotCut("the call was never answered", text, f"give {option} as a time in UTC")
        return call.answered_us * 1000 + int(offset[1]) * _NS + int((offset[2] or "").ljust(9, "0"))
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is None:
            raise ValueError("no zone")
    except ValueError:
        next_step = "such as 2026-03-02T09:30:00.5Z, or +12.5 for seconds from the answer"
        raise CannotCut(f"{option} is no time", clean(text, 60), next_step) from None
    return int(when.astimezone(UTC).replace(microsecond=0).timestamp()) * _NS + when.microsecond * 1000


def _checked(option: str, text: str) -> str:
    if not 0 < len(text.strip()) <= _TEXT_LIMIT or not text.isprintable():
        raise CannotCut(f"{option} says nothing", clean(text, 60), f"1 to {_TEXT_LIMIT} letters that can be seen")
    return text.strip()
