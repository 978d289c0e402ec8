"""What the process is asked for, and its answer's head: one line of JSON each; behind the head come bytes.

Keys of data go over its standard input, never into arguments or environment.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

What = Literal["ladder", "verify", "evidence", "pcap", "bundle", "vcon", "copy"]
Kind = Literal["flac", "wav", "opus", "mp3", "vcon"]
Audio = Literal["none", "flac", "wav"]
Party = Literal["both", "caller", "callee"]
LINE_LIMIT = 4 << 20


class CopyOne(BaseModel):
    """A recording of a person's copy. party: on which side the person is heard; refused: why it is not in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording: str
    party: Literal["", "caller", "callee", "both"]
    shared: bool
    keys: dict[int, str] = Field(default_factory=dict, repr=False)
    refused: str = ""


class CaseOrder(BaseModel):
    """data: the data directory. keys: of the recording's parts, base64, in the order in which parts are read.

    copies, kind, with_others: of a person's copy. several: recordings of one bundle, without audio.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: What
    data: str
    recording: str
    keys: dict[int, str] = Field(default_factory=dict, repr=False)
    audio: Audio = "none"
    party: Party = "both"
    copies: tuple[CopyOne, ...] = ()
    several: tuple[str, ...] = ()
    kind: Kind = "flac"
    with_others: bool = False


class CopyDone(BaseModel):
    """What became of a recording of a person's copy. text: why it is not in it, in words for the person."""

    recording: str
    result: Literal["done", "refused"]
    text: str


class Refused(BaseModel):
    """Why it was not done, as a StoreError says it."""

    what: str
    where: str
    next_step: str


class Head(BaseModel):
    """What begins the answer. notes: what the one who asked should know, such as what could not be read."""

    refused: Refused | None = None
    notes: list[str] = Field(default_factory=list)
    copied: list[CopyDone] = Field(default_factory=list)
