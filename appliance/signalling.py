"""The signalling that a recording holds, read back: messages in order of time, and events beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vittne.appliance.frames import split_signal
from vittne.appliance.opened import OpenedRecording
from vittne.appliance.playback import told
from vittne.appliance.seal import records
from vittne.appliance.store.times import rfc3339
from vittne.capture.errors import Malformed
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.sdp import Media

_NOT_SIGNALLED = ("imported", "media")  # what heads the files of an imported recording


@dataclass(frozen=True, slots=True)
class Signal:
    """One SIP message as it was recorded. message is None when it cannot be read any more."""

    at_ns: int
    transport: str
    source: str
    destination: str
    message: Message | None
    again: bool  # sent before, from the same place to the same


@dataclass(frozen=True, slots=True)
class Happening:
    """An event of the recording: hold, return from it."""

    at_ns: int
    what: str
    by: str


@dataclass(slots=True)
class Signalling:
    """Both, in order of time."""

    signals: list[Signal]
    happenings: list[Happening]


def read_signalling(opened: OpenedRecording) -> Signalling:
    """Read a recording's messages and events. Raises StoreError."""
    found: list[tuple[int, bytes]] = []
    happenings: list[Happening] = []
    for _, plain, rows in opened.read():
        for row in np.flatnonzero(rows.type == records.SIP).tolist():
            start = int(rows.offset[row])
            found.append((int(rows.at_ns[row]), plain[start : start + int(rows.length[row])]))
        for _, at_ns, said in told(plain, rows, records.EVENT):
            if said.get("event") in _NOT_SIGNALLED:
                continue
            happenings.append(Happening(at_ns, str(said.get("event", "")), str(said.get("by", ""))))
    found.sort(key=lambda one: one[0])
    happenings.sort(key=lambda one: one.at_ns)
    return Signalling(_signals(found), happenings)


def _signals(found: Sequence[tuple[int, bytes]]) -> list[Signal]:
    seen: set[bytes] = set()
    signals = []
    for at_ns, body in found:
        said, raw = split_signal(body)
        message = parse(raw)
        signals.append(
            Signal(
                at_ns,
                str(said.get("transport", "")),
                str(said.get("source", "")),
                str(said.get("destination", "")),
                None if isinstance(message, Malformed) else message,
                body in seen,
            )
        )
        seen.add(body)
    return signals


def title(message: Message | None) -> str:
    """Return what a message is, as engineers say it: INVITE, 180 Ringing, 200 OK (BYE)."""
    if message is None:
        return "unreadable message"
    if message.is_request:
        return message.method
    said = f"{message.status} {message.reason}".strip()
    return said if message.method == "INVITE" else f"{said} ({message.method})"


def descriptions(message: Message | None) -> list[str]:
    """Return each media line of a message's session description in short; none when it has none."""
    session = message.sdp() if message is not None else None
    if session is None or isinstance(session, Malformed):
        return []
    return [_media(media) for media in session.media]


def _media(media: Media) -> str:
    if media.is_rejected:
        return f"{media.kind} refused"
    where = f"[{media.address}]" if ":" in media.address else media.address
    names = " ".join(format_.encoding for format_ in media.payloads.values()) or " ".join(media.formats)
    words = [media.kind, f"{where}:{media.port}", names, media.direction]
    if "SAVP" in media.protocol.upper():
        words.append("SRTP")
    if media.is_held:
        words.append("(hold)")
    return " ".join(words)


def as_json(signal: Signal, first_ns: int) -> dict[str, Any]:
    """Return a message as `explain --json` shows it."""
    message = signal.message
    shown: dict[str, Any] = {
        "at": rfc3339(signal.at_ns // 1000),
        "offset_s": (signal.at_ns - first_ns) / 1e9,
        "transport": signal.transport,
        "source": signal.source,
        "destination": signal.destination,
        "title": title(message),
        "repeated": signal.again,
    }
    if message is not None:
        shown |= {
            "method": message.method,
            "status": message.status or None,
            "call_id": message.call_id,
            "cseq": message.cseq,
            "sdp": descriptions(message),
        }
    return shown
