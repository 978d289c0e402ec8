"""[canary]: how often the recorder calls itself, where, and what must come of it."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

_INTERFACE_NAME: Final = 15  # IFNAMSIZ without its zero

Codec = Literal["pcma", "pcmu"]


class CanaryConfig(BaseModel):
    """interface: where it is sent; empty: on the first that is captured. announcement: a name that is enrolled.

    within_s: from the end of the call until its recording must be sealed, beyond hold-back and commit.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    enabled: bool = False
    every_minutes: float = Field(default=30.0, ge=1, le=7 * 24 * 60)
    interface: str = Field(default="", max_length=_INTERFACE_NAME, pattern=r"^[^/\s]*$")
    vlan: int | None = Field(default=None, ge=1, le=4094)
    codec: Codec = "pcma"
    announcement: str = Field(default="", max_length=64)
    talk_s: float = Field(default=4.0, ge=1, le=60)
    within_s: float = Field(default=30.0, ge=1, le=600)
    keep_days: int = Field(default=2, ge=1, le=31)
