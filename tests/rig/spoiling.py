"""A server in front of an S3 server that spoils what passes: as a bad network, a store in trouble, or a liar does."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class Spoiler:
    """mode: "", "500", "slow", "flip" (a bit of what is sent), "cut" (of what comes back). asked: requests."""

    url: str = ""
    mode: str = ""
    asked: list[str] = field(default_factory=list)
    left: int = 1 << 30  # requests that are spoilt; later ones pass


@contextmanager
def spoiling(before: str, tls: ssl.SSLContext | None = None) -> Iterator[Spoiler]:
    """Stand in front of a server; tls: over HTTPS."""
    target = urlsplit(before)
    spoiler = Spoiler()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def _pass(self) -> None:
            spoiler.asked.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            mode = spoiler.mode if spoiler.left > 0 else ""
            spoiler.left -= 1
            if mode == "slow":
                time.sleep(1.2)
            if mode == "500":
                self._answer(500, [], b"")
                return
            if mode == "flip" and self.command == "PUT" and "part-" in self.path:
                body = bytes([body[0] ^ 1]) + body[1:]
            connection = http.client.HTTPConnection(str(target.hostname), int(target.port or 0))
            connection.request(self.command, self.path, body or None, dict(self.headers))
            answer = connection.getresponse()
            data = answer.read()
            if mode == "cut" and self.command == "GET" and "part-" in self.path:
                self._answer(answer.status, answer.getheaders(), data[: len(data) // 2], len(data))
                self.close_connection = True
            else:
                self._answer(answer.status, answer.getheaders(), data)
            connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes, said: int | None = None) -> None:
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                    self.send_header(name, value)
            length = len(data) if said is None else said
            is_head = self.command == "HEAD"
            told = dict(headers).get("Content-Length", "0") if is_head else str(length)
            self.send_header("Content-Length", told)
            self.end_headers()
            if not is_head:
                self.wfile.write(data)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    spoiler.url = f"{'http' if tls is None else 'https'}://{target.hostname}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield spoiler
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
