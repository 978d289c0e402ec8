"""Which version of the detector listens: every verdict names it. Loads nothing, because a configuration needs it."""

from __future__ import annotations

from typing import Final

DETECTOR: Final = "1"
