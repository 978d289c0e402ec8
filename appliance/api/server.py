"""The server in the recorder's program: it starts when it can, and never stands in the way of recording.

It shares the parent's event loop (DESIGN 3), so what a stranger may cost is bounded: connections, the time of a
handshake, of a silent connection, of a body (bodies.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from vittne.appliance.access.settings import AccessSettings
from vittne.appliance.api.app import Add, Services, add_headers, build_app
from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.api.problems import PLAIN, Problem
from vittne.appliance.api.reader import READER, Reader
from vittne.appliance.api.routes import Route
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, files_of, utc_now
from vittne.appliance.log import fault
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()

CONNECTIONS: Final = 256
_HANDSHAKE_S: Final = 10.0
_SILENT_S: Final = 75.0  # before a request, and between two
_FINISH_S: Final = 5.0  # for requests that are being answered when we stop
_REFRESH_S: Final = 60.0  # how often the certificate's files are looked at
_NO_IPV6: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class ApiError(StoreError):
    """The API cannot be served."""


class ApiServer:
    """Serves an application over TLS on some addresses of this machine, between start() and stop()."""

    def __init__(
        self,
        app: web.Application,
        listen: Sequence[str],
        port: int,
        certificate: ServerCertificate,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self._app = app
        self._sockets = sockets
        self._listen = listen
        self._port = port
        self._certificate = certificate
        # What aiohttp would log holds the bytes that it could not read: those may be an address with a token.
        self._quiet = logging.Logger("vittne.api", logging.CRITICAL + 1)
        self._runner: web.AppRunner | None = None
        self._servers: list[asyncio.Server] = []
        self._watching: asyncio.Task[None] | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens, with the port that the system chose when 0 was asked for."""
        return [sock.getsockname()[:2] for server in self._servers for sock in server.sockets]

    @property
    def certificate(self) -> ServerCertificate:
        """Who it is."""
        return self._certificate

    async def start(self) -> None:
        """Begin to serve, on all addresses or none. Raises ApiError."""
        self._runner = web.AppRunner(self._app, shutdown_timeout=_FINISH_S)
        try:
            await self._runner.setup()
            for sock in self._sockets:
                self._servers.append(await self._serve(sock=sock))
            for address in () if self._sockets else self._listen:
                await self._open(address)
            if not self._servers:
                raise ApiError("there is no address to listen on", ", ".join(self._listen), "mend api.listen")
        except BaseException:
            await self.stop()
            raise
        self._watching = asyncio.create_task(self._watch())
        self._certificate.tell("the API's certificate")
        log.info("the API listens", addresses=[f"{host} port {port}" for host, port in self.addresses])

    async def stop(self) -> None:
        """Take no more requests, finish those that are being answered, close everything."""
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None
        for server in self._servers:
            server.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._servers.clear()

    async def _open(self, address: str) -> None:
        try:
            server = await self._serve(host=address, port=self._port, reuse_address=True)
        except OSError as error:
            if address == "::1" and error.errno in _NO_IPV6:
                return
            raise _cannot_listen(error, address, self._port) from error
        self._servers.append(server)

    async def _serve(self, **where: Any) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        context = self._certificate.context
        return await loop.create_server(self._connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S, **where)

    def _connection(self) -> asyncio.Protocol:
        assert self._runner is not None
        manager = self._runner.server
        if manager is None or len(manager.connections) >= CONNECTIONS:
            return _Refused()
        return _Connection(
            manager,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_SILENT_S,
            logger=self._quiet,
            access_log=self._quiet,  # app.py writes the lines
            auto_decompress=False,  # bodies.py refuses them
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                self._certificate.refresh(utc_now())
            except Exception as error:  # the outermost loop: it looks again in a minute
                log.error("the API's certificate could not be looked at", reason=fault(error))


class _Refused(asyncio.Protocol):
    """A connection too many: it is closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()


class _Connection(web.RequestHandler):
    """A connection on which bytes that are no HTTP get a problem document too."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached the application. message is not used: it repeats what came."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun")
        request_id = uuid.uuid4().hex
        log.warning("what came is no HTTP", source=request.remote or "", status=status, request_id=request_id)
        response = Problem(status, PLAIN, HTTPStatus(status).phrase, "no HTTP request that can be read").answer(
            request_id
        )
        add_headers(response, request_id)
        response.force_close()
        return response


def _cannot_listen(error: OSError, address: str, port: int) -> ApiError:
    where = f"{address} port {port}"
    match error.errno:
        case errno.EADDRINUSE:
            return ApiError("the API's port is in use", where, "stop who has it, or set api.port")
        case errno.EADDRNOTAVAIL:
            return ApiError("this machine has no such address", where, "mend api.listen")
        case errno.EACCES:
            return ApiError("the API may not use this port", where, "set api.port to one above 1023")
    return ApiError(f"the API cannot listen ({error.strerror or error})", where, "mend api.listen or api.port")


async def start_api(
    data: Path,
    settings: ApiSettings,
    routes: Iterable[Route] = (),
    fill: Callable[[web.Application], None] = lambda _: None,
    access: AccessSettings | None = None,
    more: Add = lambda app, access: None,
    sockets: Sequence[socket.socket] = (),
) -> ApiServer | None:
    """Start the API; None where it is switched off or cannot start: that is told in the log, and recording goes on.

    The catalogue must be of this program's version (the recorder's own start sees to it). fill: puts what
    handlers need into the application. sockets: that listen already, instead of settings.listen.
    """
    if not settings.enabled:
        log.info("the API is switched off")
        return None
    try:
        certificate = ServerCertificate(files_of(data, settings), utc_now())
        database = ApiDatabase(data)
        reader = Reader(data)
        app = build_app(Services(database, reader.catalogue, settings, access or AccessSettings()), routes, more)
        app.on_cleanup.append(_closing(database, reader))
        app[READER] = reader
        fill(app)
        server = ApiServer(app, settings.listen, settings.port, certificate, sockets)
        await server.start()
    except StoreError as error:
        log.error("the API could not start; recording goes on without it", reason=str(error))
        return None
    except Exception as error:  # a fault of ours, and no reason not to record
        log.error("the API could not start; recording goes on without it", reason=fault(error))
        return None
    return server


def _closing(*opened: ApiDatabase | Reader) -> Callable[[web.Application], Awaitable[None]]:
    async def close(_: web.Application) -> None:
        for one in opened:
            one.close()

    return close
