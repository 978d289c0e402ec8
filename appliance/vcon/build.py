"""A call as a vCon, unsigned form: draft-ietf-vcon-vcon-core-03, section 4.

parties are the seats of the call, then the recorder, who adds the attachments. The sound is one dialog of type
recording; what is missing from it (pauses, cuts) is told in attachments, for a file of the call's true length.

**No digit leaves here.** The draft's party_history has events keydown and keyup, with the button: that would hand out
card numbers. Digits are not stored, so there are none to tell; hold and mute are not told either, and free text that
people wrote (reasons) stays here, as it may hold anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.appliance.vcon.digits import Gone, masked
from vittne.appliance.version import VERSION

SYNTAX: Final = "0.4.0"
LAWFUL_BASIS: Final = "lawful_basis"
CALL: Final = "vittne-call"
_IMPORTED_MEMBERS: Final = ("from", "uuid", "sha256", "form", "kept", "signature", "proof")
_BASIS_MEMBERS: Final = ("lawful_basis", "expiration", "purpose_grants", "proof_mechanisms", "terms_of_service")
_PAUSE_MEMBERS: Final = ("id", "trigger", "effective_from", "effective_to", "milliseconds", "packets")
_CUT_MEMBERS: Final = ("version", "from", "to", "party", "packets", "milliseconds", "cut_at")
_GAP_MEMBERS: Final = ("from", "to", "reason")
_POST_DIAL: Final = re.compile(r";(postd|pp|dtmf)=[^;>?]*", re.IGNORECASE)  # digits sent after the answer, RFC 2806
_DISPOSITIONS: Final = {
    486: "busy",
    600: "busy",
    408: "no-answer",
    480: "no-answer",
    487: "no-answer",
    503: "congestion",
}


@dataclass(frozen=True, slots=True)
class Sound:
    """The sound of a call that was made of its recording. data None: it is somewhere else. Times ns since 1970."""

    name: str
    mediatype: str
    sha512: bytes
    sha256: bytes
    from_ns: int
    to_ns: int
    party: str = "both"
    data: bytes | None = None
    url: str = ""

    @classmethod
    def read(cls, stream: BinaryIO, name: str, mediatype: str, from_ns: int, to_ns: int, party: str) -> Sound:
        """Return what a file is that is open at its beginning; nothing of it is kept."""
        sha512, sha256 = hashlib.sha512(), hashlib.sha256()
        while piece := stream.read(1 << 20):
            sha512.update(piece)
            sha256.update(piece)
        return cls(name, mediatype, sha512.digest(), sha256.digest(), from_ns, to_ns, party)


def build(call: CallRow, sound: Sound | None, proof: Mapping[str, Any], created_us: int, origin: str) -> dict[str, Any]:
    """Return the unsigned form. proof: what leads to the ledger; origin: the ledger's name."""
    parties, seats = _parties(call)
    recorder = len(parties)
    attachments = [
        _attachment(purpose, body, recorder, call)
        for purpose, body in (
            ("vittne-pauses", _chosen(_told(call, "pauses"), _PAUSE_MEMBERS)),
            ("vittne-cuts", _chosen(_told(call, "cuts"), _CUT_MEMBERS)),
            ("vittne-gaps", _chosen(_told(call, "gaps"), _GAP_MEMBERS)),
            ("vittne-proof", dict(proof)),
            ("vittne-imported", next(iter(_chosen([call.details.get("imported")], _IMPORTED_MEMBERS)), {})),
            (CALL, _times(call)),
            ("tags", [masked(tag, Gone()) for tag in call.tags]),
            (LAWFUL_BASIS, next(iter(_chosen([call.details.get(LAWFUL_BASIS)], _BASIS_MEMBERS)), {})),
        )
        if body
    ]
    has_basis = any(one["purpose"] == LAWFUL_BASIS for one in attachments)
    return {
        "vcon": SYNTAX,
        "uuid": uuid8(created_us, origin, call.id),
        "created_at": rfc3339(created_us),
        **({"extensions": [LAWFUL_BASIS]} if has_basis else {}),
        "parties": [*parties, {"name": f"vittne {VERSION}", "type": "bot"}],
        "dialog": [_dialog(call, seats, sound)],
        "analysis": [],
        "attachments": attachments,
    }


def _told(call: CallRow, name: str) -> object:
    """Return pauses, cuts or gaps: the recording's own, or what the maker of an imported one told of them."""
    imported = call.details.get("imported")
    return call.details.get(name) or (imported.get(name) if isinstance(imported, Mapping) else None)


def _times(call: CallRow) -> dict[str, Any]:
    """Return the call's own times: its sound may begin before the answer."""
    shown = call.as_json()
    told = {name: shown[name] for name in ("started_at", "answered_at", "ended_at") if shown[name]}
    return {**told, **({"end_reason": call.end_reason} if call.end_reason else {})}


def uuid8(at_us: int, origin: str, recording: str) -> str:
    """Return a UUID of version 8 as the draft wants it (4.1.2): milliseconds, then bits of SHA-1 of who made it.

    The 12 bits between come from the recording's id: two that are made in one millisecond differ.
    """
    name = int.from_bytes(hashlib.sha1(f"{origin}/{recording}".encode()).digest()[:8], "big") >> 2  # noqa: S324
    between = int.from_bytes(hashlib.sha256(recording.encode()).digest()[:2], "big") & 0xFFF
    value = (at_us // 1000 & (1 << 48) - 1) << 80 | 8 << 76 | between << 64 | 2 << 62 | name
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def content_hash(sound: Sound) -> list[str]:
    """Return the hashes of a file as section 2.4.2 writes them; SHA-512 must be there."""
    return [f"sha512-{encoded(sound.sha512)}", f"sha256-{encoded(sound.sha256)}"]


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _parties(call: CallRow) -> tuple[list[dict[str, Any]], dict[int, list[int]]]:
    """Return the parties, and who of them sat on each side: 0 left with the caller, 1 right."""
    known: Sequence[Any] = _known(call)
    if not known:
        known = [{"seat": 0, "uri": call.caller}, {"seat": 1, "uri": call.callee}]
    parties: list[dict[str, Any]] = []
    seats: dict[int, list[int]] = {0: [], 1: []}
    for one in known:
        seat = one.get("seat")
        if "seat" not in one or seat is not None:  # None: who was only named in what was imported
            seats[0 if seat == 0 else 1].append(len(parties))
        parties.append(_party(str(one["uri"]), str(one.get("name") or "")))
    return parties, seats


def _party(uri: str, name: str) -> dict[str, Any]:
    clean = _POST_DIAL.sub("", uri)
    kind = next((scheme for scheme in ("tel", "mailto", "did") if clean.startswith(f"{scheme}:")), "sip")
    return {**({kind: clean} if clean else {}), **({"name": name} if name else {})}


def _known(call: CallRow) -> list[dict[str, Any]]:
    """Return the parties that can be named."""
    imported = "imported" in call.details
    told = [one for one in call.parties if isinstance(one, dict) and (one.get("uri") or (imported and one.get("name")))]
    return [{**one, "uri": one.get("uri") or ""} for one in told]


def _dialog(call: CallRow, seats: Mapping[int, list[int]], sound: Sound | None) -> dict[str, Any]:
    everybody = [*seats[0], *seats[1]]
    if call.answered_us is None:
        disposition = _DISPOSITIONS.get(_status(call), "failed")
        start = rfc3339(call.started_us)
        return {"type": "incomplete", "start": start, "parties": everybody, "disposition": disposition}
    common: dict[str, Any] = {"type": "recording", "application": "SIP"}
    if sound is None:
        span: dict[str, Any] = {"start": rfc3339(call.answered_us)}
        if call.duration_s is not None:
            span["duration"] = call.duration_s
        return {**common, **span, "parties": everybody, "party_history": _history(call, everybody)}
    sides = {"caller": seats[0], "callee": seats[1], "both": [seats[0], seats[1]]}[sound.party]
    there: dict[str, Any] = {"url": sound.url} if sound.url else {}
    if sound.data is not None:
        there = {"body": encoded(sound.data), "encoding": "base64url"}
    return {
        **common,
        "start": rfc3339(sound.from_ns // 1000),
        "duration": round((sound.to_ns - sound.from_ns) / 1e9, 6),
        "parties": sides,
        **({"originator": 0} if sound.party == "callee" else {}),
        "mediatype": sound.mediatype,
        "filename": sound.name,
        **there,
        "content_hash": content_hash(sound),
        "party_history": _history(call, everybody),
    }


def _history(call: CallRow, everybody: Sequence[int]) -> list[dict[str, Any]]:
    """Return when each party joined and left: never a key that one pressed."""
    events = []
    for place, one in enumerate(_known(call)):
        if place not in everybody:
            continue
        for member, event in (("from", "join"), ("to", "drop")):
            if isinstance(one.get(member), str):
                events.append({"party": place, "time": one[member], "event": event})
    return sorted(events, key=lambda one: str(one["time"]))


def _attachment(purpose: str, body: Any, party: int, call: CallRow) -> dict[str, Any]:
    at_us = call.ended_us if call.ended_us is not None else call.started_us
    head = {"purpose": purpose, "start": rfc3339(at_us), "party": party, "dialog": 0}
    return {**head, "mediatype": "application/json", "encoding": "json", "body": body}


def _chosen(found: object, members: Sequence[str]) -> list[dict[str, Any]]:
    """Return objects with only the members named: what else there is may hold what somebody typed."""
    if not isinstance(found, list | tuple):
        return []
    return [{name: one[name] for name in members if name in one} for one in found if isinstance(one, dict)]


def _status(call: CallRow) -> int:
    dialogs = call.details.get("dialogs")
    for one in dialogs if isinstance(dialogs, list) else ():
        if isinstance(one, dict) and isinstance(one.get("status"), int):
            return int(one["status"])
    return 0
