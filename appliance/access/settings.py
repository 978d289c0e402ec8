"""What can be set about logging in: the section [access] of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AccessSettings(BaseModel):
    """How long somebody stays logged in, in minutes and hours, and who needs a second factor.

    second_factor: "required" of everybody, or "for-roles" of who has one of second_factor_roles. fresh_min: how long
    after showing who one is what asks for that may be done. host: the console's name, for passkeys; "" is the one
    that the browser asked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    idle_min: int = Field(default=30, ge=1, le=24 * 60)
    longest_h: int = Field(default=12, ge=1, le=24 * 7)
    second_factor: Literal["off", "required", "for-roles"] = "off"
    second_factor_roles: tuple[str, ...] = Field(default=("administrator", "compliance"), strict=False, max_length=64)
    fresh_min: int = Field(default=10, ge=1, le=24 * 60)
    host: str = Field(default="", max_length=253, pattern=r"^[a-z0-9.-]*$")
