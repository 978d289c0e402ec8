"""Sending what is long: who reads nothing for a while is let go of, and holds nothing that few can have."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

PATIENCE_S: Final = 60.0  # without a byte being taken


class TooSlow(ConnectionError):
    """Who asked does not read."""


async def send(request: web.Request, response: web.StreamResponse, data: bytes, patience_s: float = PATIENCE_S) -> None:
    """Write some of an answer. Raises ConnectionError: who asked went away, or reads nothing; then it is closed."""
    try:
        async with asyncio.timeout(patience_s):
            await response.write(data)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise TooSlow from None
