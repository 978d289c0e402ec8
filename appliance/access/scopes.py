"""What somebody may be allowed. A closed set: a route names one of these, and nothing else exists.

Tokens and profiles hold some of them. Apart from everything else so that the command line can name them without
loading a database.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PAUSE: Final = "pause"
PAUSE_ANY: Final = "pause:any"
CONSENT: Final = "consent"
READ: Final = "read"
LISTEN: Final = "listen"
LIVE: Final = "live"
EXPORT: Final = "export"
EDIT: Final = "edit"
HOLD: Final = "hold"
ERASE: Final = "erase"
RETENTION: Final = "retention"
SUBJECTS: Final = "subjects"
REVIEW: Final = "review"
INCIDENTS: Final = "incidents"
ANNOUNCEMENTS: Final = "announcements"
RULES: Final = "rules"
AUDIT: Final = "audit"
APPROVE: Final = "approve"
USERS: Final = "users"
SETTINGS: Final = "settings"
KEYS: Final = "keys"
FLEET: Final = "fleet"
ADMIN: Final = "admin"

SCOPES: Final = {
    PAUSE: "stop and go on with storing a call",
    CONSENT: "say what a caller agreed to, or refused",
    PAUSE_ANY: "end pauses that others asked for; goes with pause",
    READ: "see calls, recordings without their audio, and the recorder's state",
    LISTEN: "hear recordings",
    LIVE: "hear calls while they last",
    EXPORT: "take recordings away: audio, packets, evidence bundles",
    EDIT: "tags, notes and corrections",
    HOLD: "place and release legal holds",
    ERASE: "erase, cut and restrict recordings, change how long they stay",
    RETENTION: "see what will be erased and what is held, try other rules",
    SUBJECTS: "requests of persons about their data",
    REVIEW: "review calls, and see reviews",
    INCIDENTS: "write down incidents, and that the authority was told",
    ANNOUNCEMENTS: "announcements: upload, test, retire, see who was not told",
    RULES: "see rules and try them",
    AUDIT: "see who looked at and changed what, reports, the ledger",
    APPROVE: "be the second person where two are needed",
    USERS: "users, roles and tokens",
    SETTINGS: "settings that may change while it records",
    KEYS: "unlock and lock the archive, make and prove backups of keys",
    FLEET: "find the calls of all recorders that share a catalogue; goes with read",
    ADMIN: "users, settings, keys and rules together; hears nothing",
}
_TOGETHER: Final = {ADMIN: frozenset({USERS, SETTINGS, KEYS, RULES, READ})}


def expanded(scopes: Iterable[str]) -> frozenset[str]:
    """Return these scopes and those that they stand for.

    >>> sorted(expanded(["admin"]))
    ['admin', 'keys', 'read', 'rules', 'settings', 'users']
    """
    held = frozenset(scopes)
    return held.union(*(_TOGETHER[scope] for scope in held if scope in _TOGETHER))
