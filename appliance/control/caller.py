"""Who asks for something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TERMINAL: Final = "terminal"
API: Final = "api"
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Caller:
    """name: of a user or a token, for people; via: TERMINAL, API, or SYSTEM for what the program does by itself."""

    name: str
    via: str = TERMINAL


VITTNE: Final = Caller("vittne", SYSTEM)
