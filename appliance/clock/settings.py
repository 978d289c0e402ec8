"""What can be set about the clock: the section [clock]."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ClockConfig(BaseModel):
    """The section [clock]. RTS 25 (2017/574) allows voice trading a second from UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_error_ms: float = Field(default=1000.0, ge=0.001, le=60_000)
