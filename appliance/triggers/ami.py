"""Asterisk's manager interface: its packets, the login, and the connection that follows a PBX.

In manager.conf this is enough, and nothing more should be given:

    [vittne]
    secret = ...
    deny = 0.0.0.0/0.0.0.0
    permit = 10.0.0.9/255.255.255.255
    read = call,user
    write = reporting

read: `call` for MixMonitorMute, channels, bridges and transfers, `user` for UserEvent. `dialplan` only where
calls reach a payment destination without a dial, a bridge or a transfer (an IVR on the customer's own channel):
it brings Newexten, and with VarSet also digits that the dialplan reads. Never `dtmf`. write: `reporting` for
Getvar and CoreShowChannels; `call` would do for Getvar too, and would let us hang up calls. With
`timestampevents = yes` in [general] triggers carry the PBX's own time.

The login is by Challenge and MD5: the secret never crosses the network. As plain text it is sent only when the
PBX has no Challenge and the connection is TLS or plain_login is set.

Source: docs.asterisk.org (AMI v2 Specification; actions Challenge, Login, Ping, Getvar, CoreShowChannels) and
main/manager.c of Asterisk (August 2026). No Asterisk is in Debian 12: none was run here.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Mapping
from typing import Final

from vittne.appliance.triggers.ami_follower import AmiFollower, Packet, first, kind
from vittne.appliance.triggers.lines import Lines, TooLong
from vittne.appliance.triggers.link import Link, LinkRefused, Said, Tell, Timing
from vittne.appliance.triggers.model import spoken
from vittne.appliance.triggers.settings import AmiSettings, read_secret

MAX_LINE: Final = 16 * 1024
MAX_FIELDS: Final = 512
MAX_PACKET: Final = 256 * 1024
_GREETING: Final = "Asterisk Call Manager"
_CHALLENGE: Final = "vittne-challenge"
_LOGIN: Final = "vittne-login"


class AmiParser:
    """Cuts what comes into packets. What does not fit in is left out of its packet and counted by reason."""

    def __init__(self) -> None:
        self._lines = Lines(MAX_LINE)
        self._packet: Packet = {}
        self._fields = 0
        self._bytes = 0
        self.malformed: Counter[str] = Counter()

    def feed(self, data: bytes) -> list[Packet]:
        """Return the packets that are complete now. The PBX's first line comes as {"greeting": [line]}."""
        packets = []
        self._lines.push(data)
        while (line := self._lines.line()) is not None:
            if isinstance(line, TooLong):
                self.malformed["line too long"] += 1
            elif not line:
                packets += self._end()
            elif greeting := self._greeting(line):
                packets.append(greeting)
            else:
                self._field(line)
        return packets

    def _end(self) -> list[Packet]:
        packet, self._packet = self._packet, {}
        self._fields = self._bytes = 0
        return [packet] if packet else []

    def _greeting(self, line: bytes) -> Packet | None:
        is_one = not self._packet and line.startswith(_GREETING.encode())
        return {"greeting": [line.decode("utf-8", "replace")]} if is_one else None

    def _field(self, line: bytes) -> None:
        name, colon, value = _split(line.decode("utf-8", "replace"))
        if not colon or not name:
            self.malformed["no field"] += 1
        elif self._fields >= MAX_FIELDS or self._bytes + len(line) > MAX_PACKET:
            self.malformed["packet too large"] += 1
        else:
            self._fields += 1
            self._bytes += len(line)
            self._packet.setdefault(name.lower(), []).append(value)


class AmiSession:
    """One connection: greeting, challenge, login, then events."""

    def __init__(self, settings: AmiSettings, secret: str, follower: AmiFollower) -> None:
        self._settings = settings
        self._secret = secret
        self._follower = follower
        self._is_following = False
        self._asks: deque[dict[str, str]] = deque()
        self._is_asking = False
        self.parser = AmiParser()

    @property
    def is_following(self) -> bool:
        return self._is_following

    def feed(self, data: bytes, at_ns: int) -> Said:
        """Take in what came. Raises LinkRefused."""
        said = Said()
        for packet in self.parser.feed(data):
            if not self._is_following:
                said.answer += self._log_in(packet)
                continue
            said.events += kind(packet) == "event"
            said.triggers += self._follower.feed(packet, at_ns)
            self._is_asking = self._is_asking and kind(packet) != "response"
        self._asks.extend(self._follower.asks())
        said.answer += self._next_ask()
        return said

    def _next_ask(self) -> bytes:
        # One action at a time, says the specification ("AMI Command Syntax").
        if not self._asks or self._is_asking:
            return b""
        self._is_asking = True
        return action(self._asks.popleft())

    def ping(self) -> bytes:
        return action({"Action": "Ping"})

    def _log_in(self, packet: Packet) -> bytes:
        if "greeting" in packet:
            return action({"Action": "Challenge", "ActionID": _CHALLENGE, "AuthType": "MD5"})
        is_good = first(packet, "response").lower() == "success"
        match first(packet, "actionid"):
            case id if id == _CHALLENGE:
                return self._login(first(packet, "challenge") if is_good else "")
            case id if id == _LOGIN and is_good:
                self._is_following = self._is_asking = True
                return action({"Action": "CoreShowChannels", "ActionID": "vittne-channels"})
            case id if id == _LOGIN:
                message = spoken(first(packet, "message")) or "no reason given"
                raise LinkRefused(
                    f"Asterisk refuses the login ({message})", self._settings.name, "check username and secret_file"
                )
        return b""

    def _login(self, challenge: str) -> bytes:
        login = {"Action": "Login", "ActionID": _LOGIN, "Username": self._settings.username}
        if challenge:
            return action({**login, "AuthType": "MD5", "Key": login_key(challenge, self._secret)})
        if self._settings.tls or self._settings.plain_login:
            return action({**login, "Secret": self._secret})
        raise LinkRefused(
            "Asterisk offers no challenge, and the secret is not sent readable",
            self._settings.name,
            "set tls = true, or plain_login = true where nobody can read along",
        )


def ami_link(settings: AmiSettings, tell: Tell, timing: Timing | None = None) -> Link:
    """Return the connection to follow this PBX by; its run() never ends."""
    follower = AmiFollower(settings)

    def session() -> AmiSession:
        follower.clear()
        return AmiSession(settings, read_secret(settings.secret_file), follower)

    return Link(settings, settings.port, session, tell, follower.channels.call_ids, timing)


def action(fields: Mapping[str, str]) -> bytes:
    """Return an action as it is sent. A value cannot end its line: what does is a fault of ours."""
    assert not any("\r" in text or "\n" in text for pair in fields.items() for text in pair)
    return "".join(f"{name}: {value}\r\n" for name, value in fields.items()).encode() + b"\r\n"


def login_key(challenge: str, secret: str) -> str:
    """Return the Key of a login with AuthType MD5.

    >>> login_key("911725589", "password")
    '7c6a3462ff7219ebc3c13d236a067739'
    """
    return hashlib.md5((challenge + secret).encode(), usedforsecurity=False).hexdigest()


def _split(line: str) -> tuple[str, str, str]:
    # Only this field's name can hold a colon: that of a channel named after an IPv6 address.
    at = line.find("): ") if line.lower().startswith("chanvariable(") else -1
    name, colon, value = (line[: at + 1], ":", line[at + 2 :]) if at >= 0 else line.partition(":")
    return name.strip(), colon, value.strip()
