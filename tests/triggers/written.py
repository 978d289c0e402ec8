"""Transcripts as bytes, and settings and secrets to go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from vittne.appliance.triggers.settings import AmiSettings, EslSettings

TRANSCRIPTS: Final = Path(__file__).parent / "transcripts"
SECOND: Final = 1_000_000_000
START: Final = 1_764_000_000 * SECOND  # what the transcripts' clocks show first
SECRET: Final = "correct-horse"


def ami_bytes(name: str) -> bytes:
    """Return a transcript as Asterisk sends it."""
    return "".join(f"{line}\r\n" for line in _lines(name)).encode()


def esl_bytes(name: str) -> bytes:
    """Return a transcript as FreeSWITCH sends it."""
    blocks = "".join(f"{line}\n" for line in _lines(name)).split("-----\n")
    return b"".join(esl_event(block) if block.startswith("Event-Name") else block.encode() for block in blocks)


def esl_event(text: str) -> bytes:
    """Return an event as a message of the socket."""
    body = text.encode()
    return f"Content-Length: {len(body)}\nContent-Type: text/event-plain\n\n".encode() + body


def crlf(text: str) -> bytes:
    """Return packets that a test wrote with LF, and blank lines between them, as they are on the wire."""
    return "".join(f"{line.strip()}\r\n" for line in text.strip().splitlines()).encode() + b"\r\n"


def ami_settings(**values: Any) -> AmiSettings:
    given = {"name": "pbx", "host": "127.0.0.1", "username": "vittne", "secret_file": "unread", **values}
    return AmiSettings.model_validate(given)


def esl_settings(**values: Any) -> EslSettings:
    return EslSettings.model_validate({"name": "fs", "host": "127.0.0.1", "secret_file": "unread", **values})


def _lines(name: str) -> list[str]:
    text = (TRANSCRIPTS / f"{name}.txt").read_text()
    return [line for line in text.splitlines() if not line.startswith("#")]
