"""A small telephone for the test call: SIP over UDP and two media sockets (RFC 3261, RFC 3264, RFC 3550)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from dataclasses import dataclass
from typing import Final

from vittne.appliance.testvoice import Voice
from vittne.capture.errors import Malformed
from vittne.capture.sip.message import Message, parse
from vittne.capture.sip.sdp import Session

_ANSWER_S: Final = 2.0  # loopback answers at once, or not at all
_PORT_TRIES: Final = 100


class CallFailed(ConnectionError):
    """The test call did not come about; the text says what was missing."""


Address = tuple[str, int]


class Inbox(asyncio.DatagramProtocol):
    """What came in, in order, each with its sender."""

    def __init__(self) -> None:
        self.datagrams: asyncio.Queue[tuple[bytes, Address]] = asyncio.Queue()

    def datagram_received(self, data: bytes, address: Address) -> None:
        self.datagrams.put_nowait((data, address))


@dataclass(frozen=True, slots=True)
class Socket:
    """A UDP socket on this machine."""

    transport: asyncio.DatagramTransport
    inbox: Inbox

    @property
    def port(self) -> int:
        return int(self.transport.get_extra_info("sockname")[1])

    def send(self, data: bytes, address: Address) -> None:
        self.transport.sendto(data, address)


async def open_socket(host: str, port: int = 0) -> Socket:
    """Bind a socket; port 0 takes any. Raises OSError."""
    loop = asyncio.get_running_loop()
    return Socket(*await loop.create_datagram_endpoint(Inbox, local_addr=(host, port)))


class UserAgent:
    """One telephone: a socket for SIP, two for media, one voice."""

    def __init__(self, user: str, party: str, host: str) -> None:
        self.user = user
        self.host = host
        self.tag = secrets.token_hex(4)
        self.voice = Voice(party, f"{user}@{host}")
        self._peer: Session | None = None

    async def open(self) -> None:
        """Open the sockets; RTP on an even port, RTCP on the next (RFC 3550 section 11)."""
        self.sip = await open_socket(self.host)
        for _ in range(_PORT_TRIES):
            self.rtp = await open_socket(self.host)
            if self.rtp.port % 2 == 0:
                with contextlib.suppress(OSError):
                    self.rtcp = await open_socket(self.host, self.rtp.port + 1)
                    return
            self.rtp.transport.close()
        raise CallFailed("no two free UDP ports in a row for RTP and RTCP")

    def close(self) -> None:
        for name in ("sip", "rtp", "rtcp"):
            if socket := getattr(self, name, None):
                socket.transport.close()

    @property
    def address(self) -> Address:
        return self.host, self.sip.port

    @property
    def uri(self) -> str:
        return f"sip:{self.user}@{self.host}:{self.sip.port}"

    def session(self) -> bytes:
        """Return the session description: both laws are offered, A-law first; the answer is the same."""
        lines = (
            "v=0",
            f"o={self.user} {secrets.randbits(31)} 1 IN IP4 {self.host}",
            "s=test call",
            f"c=IN IP4 {self.host}",
            "t=0 0",
            f"m=audio {self.rtp.port} RTP/AVP 8 0",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:0 PCMU/8000",
            "a=ptime:20",
            "a=sendrecv",
        )
        return "".join(f"{line}\r\n" for line in lines).encode()

    async def hear(self, wanted: str) -> tuple[Message, Address]:
        """Return the next message and its sender; it must be `wanted`: a method, or a status as digits."""
        try:
            data, sender = await asyncio.wait_for(self.sip.inbox.datagrams.get(), _ANSWER_S)
        except TimeoutError:
            raise CallFailed(f"{self.user}: {wanted} did not come within {_ANSWER_S:g} s") from None
        message = parse(data)
        if isinstance(message, Malformed):
            raise CallFailed(f"{self.user}: instead of {wanted} came what is no SIP message: {message.reason}")
        came = message.method if message.is_request else str(message.status)
        if came != wanted:
            raise CallFailed(f"{self.user}: instead of {wanted} came {came}")
        session = message.sdp()
        if isinstance(session, Session):
            self._peer = session
        return message, sender

    def speak(self) -> None:
        """Send the next packet of voice to where the other one's session description says."""
        self.rtp.send(self.voice.packet(), self._peer_address(0))

    def report(self, last: bool = False) -> None:
        self.rtcp.send(self.voice.report(time.time(), last), self._peer_address(1))

    def _peer_address(self, above: int) -> Address:
        if self._peer is None or not self._peer.media:
            raise CallFailed(f"{self.user}: the other side said nowhere to send voice to")
        media = self._peer.media[0]
        return media.address, media.port + above

    def answer(self, request: Message, sender: Address, status: str, body: bytes = b"") -> None:
        """Answer a request (RFC 3261 8.2.6): its own Via, From, Call-ID and CSeq, To with our tag."""
        to = request.get("to") or ""
        tagged = to if "tag=" in to or status.startswith("100") else f"{to};tag={self.tag}"
        copied = {name: request.get(name) or "" for name in ("Via", "From", "Call-ID", "CSeq")}
        headers = {**copied, "To": tagged, "Contact": f"<{self.uri}>"}
        self.sip.send(sip_message(f"SIP/2.0 {status}", headers, body), sender)


def sip_message(start_line: str, headers: dict[str, str], body: bytes) -> bytes:
    """Return a message as it is sent; a body is a session description."""
    lines = [start_line, *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
