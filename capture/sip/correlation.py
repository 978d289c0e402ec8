"""What in a SIP message says that it belongs with another one: headers that survive a B2BUA.

Sources: RFC 7989 (Session-ID), RFC 3455 section 4.6 (P-Charging-Vector), RFC 3515 (REFER),
RFC 3891 (Replaces), and the headers that vendors add, as seen in the field.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

from vittne.capture.sip.message import Message

# Each carries one value per conversation, on every leg of it.
_SAME_ON_BOTH: Final = (
    "cisco-guid",
    "x-correlation-id",
    "x-correlationid",
    "x-genesys-calluuid",
    "x-ucid",
    "av-global-session-id",
    "x-broadworks-correlation-info",
)
# Each carries the Call-ID of another leg.
_OTHER_CALL_ID: Final = ("x-cid", "x-call-id", "x-callid", "x-sbc-call-id", "x-leg-call-id")
_CORRELATING: Final = frozenset({"session-id", "p-charging-vector", *_SAME_ON_BOTH, *_OTHER_CALL_ID})
_UUID: Final = re.compile(r"[0-9a-f]{32}")
_ICID: Final = re.compile(r'icid-value="?([^";,\s]{8,200})', re.IGNORECASE)
_NIL: Final = "0" * 32
_LONGEST: Final = 256


def correlation_keys(message: Message) -> set[str]:
    """Return values that legs of one conversation share, each with the name of what carries it."""
    named = {name for name, _ in message.headers} & _CORRELATING
    if not named:
        return set()
    keys = set()
    session_id = message.get("session-id")
    if session_id:
        keys = {f"session-id {uuid}" for uuid in _UUID.findall(session_id.lower()[:_LONGEST]) if uuid != _NIL}
    vector = message.get("p-charging-vector")
    if vector:
        keys |= {f"icid {value}" for value in _ICID.findall(vector[: 4 * _LONGEST])[:1]}
    for name in _SAME_ON_BOTH + _OTHER_CALL_ID:
        value = message.get(name)
        if value and 6 <= len(value) <= _LONGEST:
            keys.add(f"{'call-id' if name in _OTHER_CALL_ID else name} {value.strip()}")
    return keys


def replaced_dialog(value: str | None) -> tuple[str, str, str] | None:
    """Return Call-ID, to-tag and from-tag of a Replaces header's value (RFC 3891 section 6.1)."""
    if not value or len(value) > 4 * _LONGEST:
        return None
    call_id, *params = value.split(";")
    tags = dict(part.strip().partition("=")[::2] for part in params)
    return call_id.strip(), tags.get("to-tag", "").strip(), tags.get("from-tag", "").strip()


def refer_target(message: Message) -> tuple[str, str] | None:
    """Return the user part that a REFER points at, and the Call-ID it wants replaced ("" for a blind transfer)."""
    value = message.get("refer-to")
    if not value or len(value) > 8 * _LONGEST:
        return None
    uri = value[value.find("<") + 1 :].partition(">")[0] if "<" in value else value
    address, _, headers = uri.partition("?")
    user = re.sub(r"^(?:sips?|tel):", "", address.strip(), flags=re.IGNORECASE).split("@")[0].split(";")[0]
    replaced = ""
    for part in headers.split("&"):
        name, _, text = part.partition("=")
        if name.lower() == "replaces":
            replaced = unquote(text).split(";")[0]
    return unquote(user), replaced
