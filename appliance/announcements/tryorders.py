"""What the process that tries an announcement is told and tells: lines of JSON.

    in   TryOrder, then for stored calls one TryCall a call, each once the one before is answered
    out  TryLine: a call or a file that was searched, or why nothing can be

Keys and samples go over its standard input, never into arguments or environment.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Where = Literal["calls", "capture", "sound"]
LINE_LIMIT = 8 << 20


class TryOrder(BaseModel):
    """What to look for, and where. samples: base64 of int16 at 8000 Hz. fd: of what was uploaded; -1 for calls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    samples: str = Field(repr=False)
    required: tuple[tuple[float, float], ...]
    where: Where
    window_s: float
    fd: int = -1
    file: str = ""


class TryCall(BaseModel):
    """A recording to search. keys: of its parts, base64, in the order in which parts are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording: str
    keys: dict[int, str] = Field(repr=False)


class TryLine(BaseModel):
    """tried: as Tried.as_json() has it. refused: why there is nothing at all; further: what helps."""

    tried: dict[str, Any] | None = None
    refused: str = ""
    further: str = ""
