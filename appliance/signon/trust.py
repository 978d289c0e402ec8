"""Who vouches for a source's certificate. Reading that takes 100 ms: a thread does it, and not the event loop."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from vittne.appliance.signon.identity import Away


class NoTrust(Away):
    """The file with certificates cannot be read."""


async def trust_of(ca_file: Path | None) -> ssl.SSLContext:
    """Return who is believed: those of the file and nobody else, or without one the system's. Raises NoTrust."""
    try:
        context = await asyncio.to_thread(ssl.create_default_context, cafile=ca_file)
    except (OSError, ValueError) as error:
        what = "the certificates that should vouch for it cannot be read"
        raise NoTrust(what, ca_file or "", "ca_file names a PEM file") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
