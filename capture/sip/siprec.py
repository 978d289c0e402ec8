"""Recording sessions of others: what SIPREC says on its way to a recording server, and whose call it is about.

A recording client that pauses sends its server an offer in which all audio is inactive (RFC 7866 7.3). The
metadata (RFC 7865) names the communication session by its Session-ID, and the parties by their addresses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from vittne.capture.sip.message import Message
from vittne.capture.sip.sdp import Session as Description

_TYPES: Final = frozenset({"application/rs-metadata+xml", "application/rs-metadata"})
# Hostile text: looked through with bounds, never given to an XML parser.
_SESSION_ID: Final = re.compile(rb"<(?:[\w-]{1,32}:)?sipSessionID>([^<]{1,256})<", re.IGNORECASE)
_UUID: Final = re.compile(rb"[0-9a-f]{32}")
_PARTY: Final = re.compile(rb"\baor[ \t]*=[ \t]*[\"'](?:sips?|tel):([^@\"';]{1,128})", re.IGNORECASE)
_NIL: Final = b"0" * 32
_MOST_BYTES: Final = 1 << 17
_MOST: Final = 32


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording session is about: Session-IDs (RFC 7989) and user parts of the parties."""

    session_ids: frozenset[str]
    users: frozenset[str]


def recorded_by(message: Message) -> Recorded | None:
    """Return what a message's metadata says is recorded; None when it has none."""
    ids: set[str] = set()
    users: set[str] = set()
    parts = [part.body[:_MOST_BYTES] for part in message.parts() if part.content_type in _TYPES]
    for body in parts:
        for value in _SESSION_ID.findall(body)[:_MOST]:
            ids |= {one.decode() for one in _UUID.findall(value.lower()) if one != _NIL}
        users |= {one.decode("utf-8", "replace").strip() for one in _PARTY.findall(body)[:_MOST]}
    return Recorded(frozenset(ids), frozenset(users)) if ids or users else None


def wanted_by(message: Message) -> Literal["pause", "resume"] | None:
    """Return what an offer to a recording server says: all audio inactive is a pause; None without audio."""
    description = message.sdp()
    if not isinstance(description, Description):
        return None
    audio = [media for media in description.media if media.kind == "audio" and not media.is_rejected]
    if not audio:
        return None
    return "pause" if all(media.direction == "inactive" for media in audio) else "resume"
