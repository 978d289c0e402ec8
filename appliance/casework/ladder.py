"""A recording's signalling as data: who spoke with whom, message by message, for a page to draw."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel

from vittne.appliance.access.showing import Of
from vittne.appliance.explain import column_of, needs_ports, participants_of
from vittne.appliance.signalling import Signal, Signalling, as_json
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.capture.sip.message import NameAddr

MESSAGES = 5000  # shown of one recording


class LadderParticipant(BaseModel):
    """A column."""

    address: Annotated[str, Of("signalling")]
    role: str


class LadderMessage(BaseModel):
    """A message. source, target: columns; sdp: its media lines in short. The ends of `from` and `to` are parties."""

    at: str
    offset_s: float
    source: int
    target: int
    transport: str
    title: Annotated[str, Of("signalling")]
    method: str
    status: int | None
    is_repeated: bool
    call_id: Annotated[str, Of("signalling")]
    cseq: int | None
    sdp: Annotated[list[str], Of("signalling")]
    user_agent: Annotated[str, Of("signalling")]
    caller: Annotated[str, Of("party")]
    callee: Annotated[str, Of("party")]


class LadderHappening(BaseModel):
    """Something beside the messages: put on hold, taken back."""

    at: str
    offset_s: float
    what: str
    by: str


class Ladder(BaseModel):
    """All of it. problems: what could not be read, in words; left_out: messages beyond those shown."""

    participants: list[LadderParticipant]
    messages: list[LadderMessage]
    happenings: list[LadderHappening]
    problems: list[str]
    left_out: int


def ladder_of(call: CallRow, found: Signalling, problems: list[str]) -> Ladder:
    """Return a call's ladder."""
    by_port = needs_ports(found.signals)
    columns = participants_of(found.signals, by_port)
    at = {one.address: n for n, one in enumerate(columns)}
    first = min((signal.at_ns for signal in found.signals), default=call.started_us * 1000)
    shown = found.signals[:MESSAGES]
    return Ladder(
        participants=[LadderParticipant(address=one.address, role=one.role) for one in columns],
        messages=[_message(one, first, at, by_port) for one in shown],
        happenings=[
            LadderHappening(at=rfc3339(one.at_ns // 1000), offset_s=(one.at_ns - first) / 1e9, what=one.what, by=one.by)
            for one in found.happenings[:MESSAGES]
        ],
        problems=problems,
        left_out=len(found.signals) - len(shown),
    )


def _message(signal: Signal, first_ns: int, at: dict[str, int], by_port: bool) -> LadderMessage:
    told: dict[str, Any] = as_json(signal, first_ns)
    message = signal.message
    return LadderMessage(
        at=told["at"],
        offset_s=told["offset_s"],
        source=at[column_of(signal.source, by_port)],
        target=at[column_of(signal.destination, by_port)],
        transport=signal.transport,
        title=told["title"],
        method=str(told.get("method") or ""),
        status=told.get("status"),
        is_repeated=signal.again,
        call_id=str(told.get("call_id") or ""),
        cseq=told.get("cseq"),
        sdp=list(told.get("sdp") or ()),
        user_agent=_user_agent(signal),
        caller=_who(message.from_) if message is not None else "",
        callee=_who(message.to) if message is not None else "",
    )


def _who(one: NameAddr) -> str:
    return f"{one.display} <{one.uri}>" if one.display else one.uri


def _user_agent(signal: Signal) -> str:
    message = signal.message
    if message is None:
        return ""
    return message.get("user-agent") or message.get("server") or ""
