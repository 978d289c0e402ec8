"""What a vCon says beside its sound: dialogs, tags, what it was made from, and what Vittne wrote into its own."""

from __future__ import annotations

import json
from typing import Any, Final

from vittne.appliance.vcon.people import flat, text

TAGS: Final = "tags"
CALL: Final = "vittne-call"
_PROOF: Final = ("recording", "manifest", "ledger", "entry", "entries", "root")
_TOLD: Final = {"vittne-pauses": "pauses", "vittne-cuts": "cuts", "vittne-gaps": "gaps"}
_RELATIONS: Final = ("redacted", "amended", "appended", "group")


def told_dialog(place: int, dialog: dict[str, Any]) -> dict[str, Any]:
    """Return what is shown of a dialog: no body of it."""
    names = ("type", "start", "mediatype", "disposition", "filename", "url")
    roles = ("transferee", "transferor", "transfer_target", "transfer-target", "original", "consultation", "originator")
    return {
        "dialog": place,
        **{name: text(dialog[name]) for name in names if text(dialog.get(name))},
        **{name: flat(dialog[name])[:8] for name in roles if flat(dialog.get(name))},
        "parties": flat(dialog.get("parties"))[:100],
    }


def related(vcon: dict[str, Any]) -> list[dict[str, str]]:
    """Return the vCons that this one was made from, or belongs to."""
    found = []
    for how in _RELATIONS:
        told = vcon.get(how)
        for one in (told if isinstance(told, list) else [told])[:32]:
            if isinstance(one, dict) and text(one.get("uuid")):
                found.append({"how": how, "uuid": text(one["uuid"]).lower()})
    return found


def ours(vcon: dict[str, Any]) -> dict[str, Any]:
    """Return what one that Vittne made says of pauses, cuts, gaps and proof: its maker's words, not this archive's."""
    found: dict[str, Any] = {}
    for one in dicts(vcon, "attachments")[:1000]:
        purpose, body = one.get("purpose"), one.get("body")
        if purpose == "vittne-proof" and isinstance(body, dict):
            found["proof"] = {name: body[name] for name in _PROOF if isinstance(body.get(name), str | int)}
        elif purpose in _TOLD and isinstance(body, list):
            flat_ones = [_scalars(part) for part in body[:1000] if isinstance(part, dict)]
            found[_TOLD[str(purpose)]] = flat_ones
    return found


def _scalars(value: dict[str, Any]) -> dict[str, Any]:
    return {text(name): text(one) if isinstance(one, str) else one for name, one in value.items() if _is_scalar(one)}


def _is_scalar(value: Any) -> bool:
    """A float has no canonical form here."""
    return isinstance(value, str) or (isinstance(value, int) and abs(value) < 1 << 53)


def call_times(vcon: dict[str, Any]) -> dict[str, Any]:
    """Return what one that Vittne made says of its call's times; nothing when it is another's."""
    bodies = [one.get("body") for one in dicts(vcon, "attachments") if one.get("purpose") == CALL]
    return next((body for body in bodies if isinstance(body, dict)), {})


def tags_of(vcon: dict[str, Any]) -> list[str]:
    """Return tags: of an attachment called so, a list of texts, also as JSON in a text."""
    found: list[str] = []
    for one in dicts(vcon, "attachments"):
        body = one.get("body")
        if TAGS not in (one.get("purpose"), one.get("type")):
            continue
        try:
            body = json.loads(body) if isinstance(body, str) else body
        except (ValueError, RecursionError):
            continue
        found += [text(tag) for tag in (body if isinstance(body, list) else ()) if text(tag)]
    return found


def dicts(vcon: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the objects of a vCon's section."""
    some = vcon.get(name)
    return [one for one in some if isinstance(one, dict)] if isinstance(some, list) else []
