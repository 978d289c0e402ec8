"""What the process is asked for, and its answer's head: one line of JSON each; behind the head come bytes.

Keys of data go over its standard input, never into arguments or environment.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

What = Literal["ladder", "verify", "evidence", "pcap", "bundle", "vcon"]
Audio = Literal["none", "flac", "wav"]
Party = Literal["both", "caller", "callee"]
LINE_LIMIT = 1 << 20


class CaseOrder(BaseModel):
    """data: the data directory. keys: of the recording's parts, base64, in the order in which parts are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: What
    data: str
    recording: str
    keys: dict[int, str] = Field(default_factory=dict, repr=False)
    audio: Audio = "none"
    party: Party = "both"


class Refused(BaseModel):
    """Why it was not done, as a StoreError says it."""

    what: str
    where: str
    next_step: str


class Head(BaseModel):
    """What begins the answer. notes: what the one who asked should know, such as what could not be read."""

    refused: Refused | None = None
    notes: list[str] = Field(default_factory=list)
