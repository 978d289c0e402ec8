"""What a token may allow. A closed set: a route names one of these, and nothing else exists.

Apart from tokens.py so that the command line can name them without loading a database.
"""

from __future__ import annotations

from typing import Final

PAUSE: Final = "pause"
PAUSE_ANY: Final = "pause:any"
READ: Final = "read"
ADMIN: Final = "admin"
CONSENT: Final = "consent"

SCOPES: Final = {
    PAUSE: "stop and go on with storing a call",
    CONSENT: "say what a caller agreed to, or refused",
    PAUSE_ANY: "end pauses that others asked for; goes with pause",
    READ: "see calls, their state and that of the recorder",
    ADMIN: "change what the recorder does and who may use it",
}
