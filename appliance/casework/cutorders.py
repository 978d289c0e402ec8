"""What the process that cuts is told and tells: a line of JSON each.

    in   CutJob; then an Answered for each Asked
    out  Asked: a key of the recording, or an operation that only the one writer may do; at the end Told

The process reads and writes the recording; it has no key but those that it asks for, one recording's.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from vittne.appliance.casework.orders import Refused

LINE_LIMIT = 8 << 20
PartyCut = Literal["both", "caller", "callee"]


class CutJob(BaseModel):
    """What is to go. Times: ns UTC, the end left out. reason: "" only says what would go."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    recording: str
    from_ns: int
    to_ns: int
    party: PartyCut
    by: str = ""
    reason: str = ""


class Asked(BaseModel):
    """Something that the process cannot do: key (of a part's number), or an operation with its order."""

    key: int | None = None
    operation: str = ""
    order: dict[str, Any] = Field(default_factory=dict)


class Answered(BaseModel):
    """key: base64. said: what the steps of an operation said."""

    key: str = Field(default="", repr=False)
    said: list[str] = Field(default_factory=list)
    refused: Refused | None = None


class StreamGoes(BaseModel):
    """What goes of one voice. Times: RFC 3339."""

    party: str
    packets: int
    from_at: str
    to_at: str


class PlanTold(BaseModel):
    """What would go, or went. related: recordings that may have the same voices."""

    from_at: str
    to_at: str
    party: str
    milliseconds: int
    packets: int
    reports: int
    streams: list[StreamGoes]
    related: list[str]


class Told(BaseModel):
    """The end. version: of the recording that is in place now; 0: nothing was changed."""

    plan: PlanTold | None = None
    version: int = 0
    refused: Refused | None = None


class FromChild(BaseModel):
    """One line that comes out."""

    asked: Asked | None = None
    told: Told | None = None
