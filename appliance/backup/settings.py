"""[backup]: where to, how often, what it may cost, how long copies of keys live, how old a drill may be."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class BackupSettings(BaseModel):
    """target: a directory, such as a mounted disk or share; "" for none. every_hours: from begin to begin."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    target: str = ""
    every_hours: float = Field(default=24.0, ge=0.1, le=24 * 31)
    mb_per_s: float = Field(default=50.0, ge=0.1, le=10_000)
    keep_key_copies_days: int = Field(default=30, ge=1, le=366)
    drill_days: int = Field(default=180, ge=1, le=3660)
