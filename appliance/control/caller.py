"""Who asks for something."""

from __future__ import annotations

import getpass
import os
from dataclasses import dataclass
from typing import Final

TERMINAL: Final = "terminal"
API: Final = "api"
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class Caller:
    """name: of a user or a token, for people; via: TERMINAL, API, or SYSTEM for what the program does by itself.

    user: the id of who logged in; "" at a terminal, and of a token: nobody knows who holds one.
    """

    name: str
    via: str = TERMINAL
    user: str = ""


VITTNE: Final = Caller("vittne", SYSTEM)


def login() -> str:
    """Return who sits at the terminal: before sudo, if that was used."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
