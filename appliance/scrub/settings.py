"""[scrub]: how often the archive is read through, and what that may cost."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ScrubSettings(BaseModel):
    """every_days: from the end of a cycle to the begin of the next one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = True
    mb_per_s: float = Field(default=20.0, ge=0.1, le=10_000)
    every_days: float = Field(default=7.0, ge=0, le=366)
