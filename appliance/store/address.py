"""Where a database is, as people write it. Light: every configuration is checked with it.

postgresql://USER@HOST[:PORT]/DATABASE             TLS, and the server proves its name, unless it is this machine
postgresql://USER@/DATABASE?host=/run/postgresql   a Unix socket
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

SCHEME: Final = "postgresql"
_PORT: Final = 5432


@dataclass(frozen=True, slots=True)
class Address:
    """What a URL says. socket: the folder of a Unix socket, instead of a host."""

    user: str
    host: str
    port: int
    database: str
    socket: str

    @property
    def is_here(self) -> bool:
        """Say whether no network is between."""
        if self.socket or self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def address_of(url: str) -> Address:
    """Return what a URL says. ValueError says what is expected.

    >>> address_of("postgresql://berlin@db.example.org/vittne").host
    'db.example.org'
    >>> address_of("postgresql://berlin@/vittne?host=/run/postgresql").socket
    '/run/postgresql'
    """
    parts = urlsplit(url)
    if parts.scheme != SCHEME or parts.fragment or not parts.username:
        raise ValueError("an address such as postgresql://USER@HOST/DATABASE is expected")
    if parts.password is not None:
        raise ValueError("no password in an address: it is shown and stored; use password_file")
    database = unquote(parts.path.removeprefix("/"))
    if not database or "/" in database:
        raise ValueError("the name of a database is expected behind the host: postgresql://USER@HOST/DATABASE")
    asked = parse_qs(parts.query, keep_blank_values=True)
    folder = asked.pop("host", [""])[0]
    if asked or bool(folder) == bool(parts.hostname) or (folder and not folder.startswith("/")):
        raise ValueError("a host, or ?host= with the folder of a Unix socket, is expected, and nothing else behind ?")
    return Address(unquote(parts.username), parts.hostname or "", parts.port or _PORT, database, folder)
