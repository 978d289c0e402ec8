"""What can be set for the record of processing (GDPR Art. 30): the section [inventory], what only people know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Words = Annotated[str, Field(min_length=1, max_length=200)]


class InventoryConfig(BaseModel):
    """The section [inventory]. recipients: who is given recordings beside those whom the trail names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    controller: str = Field(default="", max_length=200)
    contact: str = Field(default="", max_length=200)
    owner: str = Field(default="", max_length=200)
    persons: tuple[_Words, ...] = Field(
        default=("callers and called persons", "employees"), strict=False, max_length=16
    )
    recipients: tuple[_Words, ...] = Field(default=(), strict=False, max_length=64)
