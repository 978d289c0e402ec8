"""What can be set about listening to calls while they last: the section [live] of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LiveListenSettings(BaseModel):
    """enabled: whether anybody may at all. listeners: how many at once, each a process of its own.

    hold_ms: how long sound is held back, in which a digit that turns up, or the lead of a pause, is still taken out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = True
    listeners: int = Field(default=4, ge=1, le=64)
    hold_ms: int = Field(default=400, ge=100, le=5000)
