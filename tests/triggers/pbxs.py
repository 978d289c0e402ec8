"""Two small PBXs that speak their protocols on loopback: no more of them than a login, answers and what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator
from typing import ClassVar

from triggers.written import SECRET, crlf, esl_event


class Pbx:
    """A server that keeps what it heard and can be told to say something, or to hang up."""

    end: ClassVar[bytes]

    def __init__(self, secret: str = SECRET) -> None:
        self.secret = secret
        self.heard: list[str] = []
        self.connections = 0
        self.is_deaf = False
        self.writer: asyncio.StreamWriter | None = None

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
        """Give the port it listens on."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.hang_up()

    def say(self, data: bytes) -> None:
        assert self.writer is not None
        self.writer.write(data)

    def hang_up(self) -> None:
        if self.writer is not None:
            self.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writer = writer
        self.is_in = False
        self.say(self.greeting())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                command = (await reader.readuntil(self.end)).decode()
                self.heard.append(command)
                if not self.is_deaf:
                    self.answer(command)

    def greeting(self) -> bytes:
        raise NotImplementedError

    def answer(self, command: str) -> None:
        raise NotImplementedError


class Asterisk(Pbx):
    """Answers as main/manager.c does."""

    end = b"\r\n\r\n"

    def __init__(self, secret: str = SECRET, call_ids: dict[str, str] | None = None) -> None:
        super().__init__(secret)
        self.call_ids = call_ids or {}

    def greeting(self) -> bytes:
        self.challenge = str(secrets.randbelow(10**9))
        return b"Asterisk Call Manager/9.0.0\r\n"

    def answer(self, command: str) -> None:
        fields = dict(line.split(": ", 1) for line in command.strip().split("\r\n"))
        self.id = f"ActionID: {fields['ActionID']}\n" if "ActionID" in fields else ""
        match fields["Action"]:
            case "Challenge":
                self._respond("Success", f"Challenge: {self.challenge}")
            case "Login" if self._is_right(fields):
                self.is_in = True
                self._respond("Success", "Message: Authentication accepted")
            case "Login":
                self._respond("Error", "Message: Authentication failed")
                self.hang_up()
            case _ if not self.is_in:
                self._respond("Error", "Message: Permission denied")
            case "Ping":
                self._respond("Success", "Ping: Pong\nTimestamp: 1764000000.000001")
            case "Getvar" if fields["Channel"] in self.call_ids:
                self._respond("Success", f"Variable: {fields['Variable']}\nValue: {self.call_ids[fields['Channel']]}")
            case "Getvar":
                self._respond("Error", "Message: No such channel")
            case "CoreShowChannels":
                self._respond("Success", "EventList: start\nMessage: Channels will follow")
                for number, name in enumerate(self.call_ids):
                    self.say(
                        crlf(f"Event: CoreShowChannel\n{self.id}Channel: {name}\nUniqueid: 1.{number}\nLinkedid: 1.0")
                    )
                self.say(crlf(f"Event: CoreShowChannelsComplete\n{self.id}EventList: Complete"))

    def _is_right(self, fields: dict[str, str]) -> bool:
        if fields.get("AuthType") == "MD5":
            return fields["Key"] == hashlib.md5((self.challenge + self.secret).encode()).hexdigest()
        return fields.get("Secret") == self.secret

    def _respond(self, response: str, rest: str) -> None:
        self.say(crlf(f"Response: {response}\n{self.id}{rest}"))


class FreeSwitch(Pbx):
    """Answers as mod_event_socket.c does."""

    end = b"\n\n"

    def __init__(self, secret: str = SECRET, call_ids: dict[str, str] | None = None) -> None:
        super().__init__(secret)
        self.call_ids = call_ids or {}

    def greeting(self) -> bytes:
        return b"Content-Type: auth/request\n\n"

    def answer(self, command: str) -> None:
        words = command.split()
        match words:
            case ["auth", secret]:
                self.is_in = secret == self.secret
                self._reply("+OK accepted" if self.is_in else "-ERR invalid")
                if not self.is_in:
                    self.hang_up()
            case _ if not self.is_in:
                self._reply("-ERR command not found")
            case ["event", "plain", *_]:
                self._reply("+OK event listener enabled plain")
            case ["bgapi", "uuid_getvar", id, variable, "Job-UUID:", job]:
                self._reply(f"+OK Job-UUID: {job}\nJob-UUID: {job}")
                known = self.call_ids.get(id) if variable == "sip_call_id" else None
                body = known or "_undef_"
                about = f"Job-UUID: {job}\nJob-Command: uuid_getvar\nJob-Command-Arg: {id}%20{variable}\n"
                self.say(esl_event(f"Event-Name: BACKGROUND_JOB\n{about}Content-Length: {len(body)}\n\n{body}"))
            case _:
                self._reply("-ERR command not found")

    def _reply(self, text: str) -> None:
        self.say(f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode())
