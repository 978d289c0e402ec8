"""What can be set about logging in: the section [access] of the configuration."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AccessSettings(BaseModel):
    """How long somebody stays logged in, in minutes and hours."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    idle_min: int = Field(default=30, ge=1, le=24 * 60)
    longest_h: int = Field(default=12, ge=1, le=24 * 7)
