"""Checkpoints to syslog (RFC 5424): UDP (RFC 5426), TCP (RFC 6587, octet counting), TLS (RFC 5425), /dev/log."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from contextlib import suppress
from typing import Final

from vittne.appliance.seal.note import checkpoint_line
from vittne.appliance.store.errors import explain
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.witness.settings import SyslogSettings
from vittne.appliance.witness.target import Published

_PRIORITY: Final = 13 * 8 + 6  # log audit, informational
_PROGRAM: Final = "vittne"
_CLOSE_S: Final = 5.0


class SyslogTarget:
    """One syslog server. Syslog confirms nothing: what the network swallows is not noticed, but over TLS and TCP."""

    def __init__(self, settings: SyslogSettings) -> None:
        self._settings = settings

    async def send(self, published: Published) -> None:
        """Send one line."""
        words = checkpoint_line(published.note)
        if self._settings.transport == "local":
            self._send_local(words)
            return
        message = rfc5424(words, at_us=now_us())
        if self._settings.transport == "udp":
            await self._send_datagram(message)
        else:
            await self._send_stream(b"%d %s" % (len(message), message))

    def _send_local(self, words: str) -> None:
        path = self._settings.socket
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.connect(str(path))
                channel.send(f"<{_PRIORITY}>{_PROGRAM}[{os.getpid()}]: {words}".encode())
        except OSError as error:
            raise explain(error, "write to the local syslog", path) from error

    async def _send_datagram(self, message: bytes) -> None:
        address = str(self._settings.host), self._settings.port_in_force
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
        try:
            transport.sendto(message)
        finally:
            transport.close()

    async def _send_stream(self, frame: bytes) -> None:
        settings = self._settings
        tls = ssl.create_default_context(cafile=settings.ca_file) if settings.transport == "tls" else None
        _, writer = await asyncio.open_connection(settings.host, settings.port_in_force, ssl=tls)
        try:
            writer.write(frame)
            await writer.drain()
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await writer.wait_closed()


def rfc5424(words: str, at_us: int, host: str | None = None) -> bytes:
    """Return a message of RFC 5424 section 6, without structured data. host: this machine's name if not given."""
    name = re.sub(r"[^!-~]", "", socket.gethostname() if host is None else host)[:255] or "-"
    return f"<{_PRIORITY}>1 {rfc3339(at_us)} {name} {_PROGRAM} {os.getpid()} checkpoint - {words}".encode()
