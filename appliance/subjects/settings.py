"""The section [subjects]: requests of persons."""

from __future__ import annotations

from pydantic import Field

from vittne.appliance.wordsconfig import Section


class SubjectsConfig(Section):
    """keep_days: how long a closed case knows whom it was about. country: ISO 3166, of numbers without +."""

    keep_days: int = Field(default=90, ge=0, le=3650)
    country: str = Field(default="", pattern=r"^([A-Z]{2})?$")
