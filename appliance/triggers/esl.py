"""FreeSWITCH's event socket: its messages, the login, and the connection that follows a PBX.

In event_socket.conf.xml the socket listens where the recorder reaches it, and an apply-inbound-acl lets nobody
else in. The socket knows no TLS and takes its password as plain text: on another machine, stunnel or a tunnel
belongs in front of it. With a user of the directory instead of the socket's own password (user = "name@domain"),
these suffice:

    <param name="esl-password" value="..."/>
    <param name="esl-allowed-events" value="CHANNEL_CREATE ... HEARTBEAT CUSTOM vittne::pause vittne::resume"/>
    <param name="esl-allowed-api" value="uuid_getvar"/>

where the first list is all of esl_follower.EVENTS. DTMF is not asked for.

Source: developer.signalwire.com/freeswitch (mod_event_socket, The Inbound Event Socket) and
src/mod/event_handlers/mod_event_socket/mod_event_socket.c of FreeSWITCH (August 2026). No FreeSWITCH is in
Debian 12: none was run here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from vittne.appliance.triggers.esl_follower import EVENTS, EslFollower, Event
from vittne.appliance.triggers.lines import Lines, TooLong
from vittne.appliance.triggers.link import Link, LinkLost, LinkRefused, Said, Tell, Timing
from vittne.appliance.triggers.model import spoken
from vittne.appliance.triggers.settings import EslSettings, read_secret

MAX_LINE: Final = 16 * 1024
MAX_HEADERS: Final = 64  # of a message; those of the event in it are in its body
MAX_BODY: Final = 1 << 20
MAX_FIELDS: Final = 2048  # of an event: a channel can have hundreds of variables
MAX_SKIP: Final = 16 << 20  # what the socket itself allows; more is no message but a stream out of step


@dataclass(frozen=True, slots=True)
class EslMessage:
    """A message: its headers by name in lower case, and its body; of an event, that one's own headers and body."""

    headers: dict[str, str]
    body: bytes = b""
    event: Event | None = None
    text: str = ""

    @property
    def kind(self) -> str:
        return self.headers.get("content-type", "").lower()


class EslParser:
    """Cuts what comes into messages. What does not fit in is left out and counted by reason."""

    def __init__(self) -> None:
        self._lines = Lines(MAX_LINE)
        self._headers: dict[str, str] = {}
        self._is_head = True
        self._expected = 0
        self.is_out_of_step = False  # where the next message begins can be told no longer
        self.malformed: Counter[str] = Counter()

    def feed(self, data: bytes) -> list[EslMessage]:
        """Return the messages that are complete now. Nothing more comes once is_out_of_step."""
        messages: list[EslMessage] = []
        self._lines.push(data)
        while not self.is_out_of_step:
            if self._is_head:
                line = self._lines.line()
                if line is None:
                    break
                messages += self._head(line)
                continue
            body = self._lines.take(self._expected)
            if body is None:
                break
            messages.append(self._message(body))
        return messages

    def _head(self, line: bytes | TooLong) -> list[EslMessage]:
        if isinstance(line, TooLong):
            self.malformed["line too long"] += 1
        elif line:
            self._field(line)
        elif self._headers:
            return self._end_of_head()
        return []

    def _field(self, line: bytes) -> None:
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if not colon:
            self.malformed["no header"] += 1
        elif len(self._headers) >= MAX_HEADERS:
            self.malformed["too many headers"] += 1
        else:
            self._headers[name.strip().lower()] = value.strip()

    def _end_of_head(self) -> list[EslMessage]:
        length = _length(self._headers.get("content-length", "0"))
        if length is None or length > MAX_SKIP:
            self.malformed["no such length"] += 1
            self.is_out_of_step = True
            return []
        if length > MAX_BODY:
            self.malformed["body too large"] += 1
            self._lines.skip(length)
            self._headers = {}
            return []
        if length:
            self._is_head, self._expected = False, length
            return []
        return [self._message(b"")]

    def _message(self, body: bytes) -> EslMessage:
        headers, self._headers = self._headers, {}
        self._is_head = True
        if headers.get("content-type", "").lower() != "text/event-plain":
            return EslMessage(headers, body)
        head, _, rest = body.partition(b"\n\n")
        event = self._event(head.split(b"\n"))
        length = _length(event.get("content-length", "0")) or 0
        return EslMessage(headers, body, event, rest[:length].decode("utf-8", "replace"))

    def _event(self, lines: Iterable[bytes]) -> Event:
        event: Event = {}
        for line in lines:
            name, colon, value = line.decode("utf-8", "replace").partition(":")
            if not colon:
                self.malformed["no event header"] += bool(line.strip())
            elif len(event) >= MAX_FIELDS or len(line) > MAX_LINE:
                self.malformed["event too large"] += 1
            else:
                event.setdefault(name.strip().lower(), unquote(value.strip(), errors="replace"))
        return event


class EslSession:
    """One connection: auth, subscription, then events."""

    def __init__(self, settings: EslSettings, secret: str, follower: EslFollower) -> None:
        self._settings = settings
        self._secret = secret
        self._follower = follower
        self._step = "auth"  # then events, then following
        self.parser = EslParser()

    @property
    def is_following(self) -> bool:
        return self._step == "following"

    def feed(self, data: bytes, at_ns: int) -> Said:
        """Take in what came. Raises LinkRefused, LinkLost."""
        said = Said()
        for message in self.parser.feed(data):
            if message.event is not None:
                said.events += 1
                said.triggers += self._follower.feed(message.event, at_ns, message.text)
            else:
                said.answer += self._answer(message)
        if self.parser.is_out_of_step:
            raise LinkLost("what FreeSWITCH sends cannot be followed", self._settings.name, "look at its version")
        said.answer += b"".join(_ask(*asked) for asked in self._follower.asks())
        return said

    def ping(self) -> bytes:
        # It has no ping. Asking again for what is subscribed already changes nothing and is answered.
        return b"event plain HEARTBEAT\n\n"

    def _answer(self, message: EslMessage) -> bytes:
        match message.kind:
            case "auth/request":
                return self._auth()
            case "command/reply" if not self.is_following:
                return self._replied(message.headers.get("reply-text", ""))
            case "text/rude-rejection":
                raise LinkRefused("FreeSWITCH lets us not in", self._settings.name, "check apply-inbound-acl")
            case "text/disconnect-notice":
                raise LinkLost("FreeSWITCH ends the connection", self._settings.name, "look at its log")
        return b""

    def _auth(self) -> bytes:
        user = self._settings.user
        return (f"userauth {user}:{self._secret}" if user else f"auth {self._secret}").encode() + b"\n\n"

    def _replied(self, reply: str) -> bytes:
        if not reply.startswith("+OK"):
            what = "login" if self._step == "auth" else "subscription"
            raise LinkRefused(
                f"FreeSWITCH refuses the {what} ({spoken(reply) or 'no reason given'})",
                self._settings.name,
                "check secret_file" if self._step == "auth" else "check esl-allowed-events",
            )
        if self._step == "events":
            self._step = "following"
            return b""
        self._step = "events"
        names = self._settings.custom_events
        return f"event plain {' '.join((*EVENTS, 'CUSTOM', *names.pause, *names.resume))}\n\n".encode()


def esl_link(settings: EslSettings, tell: Tell, timing: Timing | None = None) -> Link:
    """Return the connection to follow this PBX by; its run() never ends."""
    follower = EslFollower(settings)

    def session() -> EslSession:
        follower.clear()
        return EslSession(settings, read_secret(settings.secret_file), follower)

    return Link(settings, settings.port, session, tell, follower.channels.call_ids, timing)


def _ask(id: str, variable: str) -> bytes:
    # In the background: its answer is an event that names the question, so none can be taken for another.
    return f"bgapi uuid_getvar {id} {variable}\nJob-UUID: vittne-{id}-{variable}\n\n".encode()


def _length(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else None
