"""What a worker is told of a reference announcement: by what it is known, and what hearing it means.

Its samples are in `DIR/announcements/<hash>.s16`: little-endian int16, 8000 Hz, mono; the hash is their SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Purpose = Literal["notice", "consent", "other"]


@dataclass(frozen=True, slots=True)
class ReferenceHandle:
    """One version of an announcement that counts now.

    purpose: "notice" tells a party, "consent" asks for a key, "other" is recognised and decides nothing.
    required: seconds within the samples that must be heard whole for `full`; empty: all its speech. agree, refuse:
    digits of a consent prompt, within within_s after its end. sites: where it is played; empty: everywhere.
    """

    hash: str
    name: str
    purpose: Purpose
    language: str = ""  # BCP 47, "" unknown
    required: tuple[tuple[float, float], ...] = ()
    agree: str = ""
    refuse: str = ""
    within_s: float = 0.0
    sites: tuple[str, ...] = ()
    version: int = 1
