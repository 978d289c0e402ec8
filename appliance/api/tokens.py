"""Tokens of the API: who may do what, from where, until when.

    vtn_<id>_<secret>      id: 12 hex digits, public; secret: 256 random bits in base64url

Only the SHA-256 of the secret is kept. A secret of 256 bits cannot be guessed, so a slow password hash would
only cost time. The server reads the row anew for each request: a token that was revoked is refused at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.tables import tokens
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import clean

NAME_LIMIT: Final = 100
NETWORKS_LIMIT: Final = 32
DAY_US: Final = 24 * 3600 * 1_000_000
_USED_EVERY_US: Final = 60 * 1_000_000  # how fine last_used_us is
# 43 letters of base64url hold 258 bits: the last letter has two bits that must be zero.
_TOKEN: Final = re.compile(r"vtn_([0-9a-f]{12})_([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NoSuchToken(StoreError):
    """No token, or more than one, has an id that begins as asked."""


class TokenError(StoreError):
    """A token that cannot be made as it was asked for."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token. Times are microseconds UTC; None: never.

    maker: id of the user whose rights it has, as they are when it is used, and with whom it ends; "": a service's.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    networks: tuple[Network, ...]  # sources that may use it; empty: all
    created_us: int
    expires_us: int | None
    last_used_us: int | None = None
    revoked_us: int | None = None
    maker: str = ""

    def state(self, now_us: int) -> str:
        """Return revoked, expired or active."""
        if self.revoked_us is not None:
            return "revoked"
        return "expired" if self.expires_us is not None and now_us >= self.expires_us else "active"

    def allows_source(self, address: Address | None) -> bool:
        """Say whether a request may come from address; None is one that could not be read."""
        if not self.networks:
            return True
        return address is not None and any(address in network for network in self.networks)

    def as_json(self, now_us: int) -> dict[str, Any]:
        """Return the token as `vittne token list --json` shows it."""
        times = {"created_at": self.created_us, "expires_at": self.expires_us}
        times |= {"last_used_at": self.last_used_us, "revoked_at": self.revoked_us}
        shown = {name: rfc3339(at) if at is not None else None for name, at in times.items()}
        networks = [str(network) for network in self.networks]
        return {
            "id": self.id,
            "name": self.name,
            "state": self.state(now_us),
            "scopes": list(self.scopes),
            "networks": networks,
            "maker": self.maker,
            **shown,
        }


def checked_name(name: str) -> str:
    """Return a token's name. Raises TokenError."""
    if not 0 < len(name.strip()) <= NAME_LIMIT or not name.isprintable():
        raise TokenError("this is no name", clean(name, 60), f"1 to {NAME_LIMIT} letters that can be seen")
    return name.strip()


def checked_networks(networks: Sequence[str]) -> list[Network]:
    """Return networks that a token may come from. Raises TokenError."""
    if len(networks) > NETWORKS_LIMIT:
        raise TokenError("too many networks", "--from", f"at most {NETWORKS_LIMIT}")
    found = []
    for text in networks:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise TokenError(f"this is no network ({clean(error, 100)})", "--from", "such as 10.0.0.0/24") from None
    return found


def split(text: str) -> tuple[str, bytes] | None:
    """Return a token's id and the hash of its secret; None when text has not the form of a token."""
    found = _TOKEN.fullmatch(text)
    return (found[1], _hash(found[2])) if found else None


def _hash(secret: str) -> bytes:
    return hashlib.sha256(base64.urlsafe_b64decode(secret + "=")).digest()


def _new() -> tuple[str, str]:
    return secrets.token_hex(6), base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()


class Tokens:
    """The table of tokens. Every method is one transaction. Raises StoreError."""

    def __init__(self, database: ApiDatabase) -> None:
        self._database = database
        self._noted: dict[str, int] = {}  # id to the last_used_us written; no longer than the table

    def create(
        self,
        name: str,
        scopes: Iterable[str],
        now_us: int,
        expires_us: int | None,
        networks: Sequence[Network] = (),
        maker: str = "",
    ) -> tuple[Token, str]:
        """Make a token; return it and its text, which nobody can say again."""
        chosen = tuple(scope for scope in SCOPES if scope in set(scopes))
        assert chosen, "a token that may do nothing"
        key, secret = _new()
        token = Token(key, name, chosen, tuple(networks), now_us, expires_us, maker=maker)
        with self._database.writing() as connection:
            connection.execute(insert(tokens).values({**_values(token), "secret_sha256": _hash(secret).hex()}))
        return token, f"vtn_{key}_{secret}"

    def all(self) -> list[Token]:
        """Return all tokens, the oldest first."""
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(select(tokens).order_by(tokens.c.created_us))]

    def find(self, key: str, secret_sha256: bytes) -> Token | None:
        """Return the token with this id and secret, whatever its state; None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.id == key)).first()
        kept = bytes.fromhex(row.secret_sha256) if row is not None else bytes(32)
        is_equal = hmac.compare_digest(kept, secret_sha256)  # done for an unknown id too
        return _token(row) if row is not None and is_equal else None

    def begins(self, prefix: str) -> Token:
        """Return the token whose id begins so. Raises NoSuchToken."""
        begins = tokens.c.id.startswith(prefix, autoescape=True)
        with self._database.reading() as connection:
            found = connection.execute(select(tokens).where(begins).limit(2)).all() if prefix else []
        if len(found) != 1:
            what = "several tokens have such an id" if found else "no token has this id"
            raise NoSuchToken(what, self._database.path, "`vittne token list` shows the ids")
        return _token(found[0])

    def revoke(self, key: str, now_us: int) -> Token:
        """Refuse a token from now on, and return it. Raises NoSuchToken. One that was revoked stays as it is."""
        with self._database.writing() as connection:
            still = (tokens.c.id == key) & tokens.c.revoked_us.is_(None)
            connection.execute(update(tokens).where(still).values(revoked_us=now_us))
        return self.begins(key)

    def is_to_note(self, token: Token, now_us: int) -> bool:
        """Say whether to write that a token was used: at most once a minute, whether it succeeds or not."""
        last = self._noted.get(token.id, token.last_used_us or 0)
        if 0 <= now_us - last < _USED_EVERY_US:
            return False
        self._noted[token.id] = now_us
        return True

    def note_use(self, token: Token, now_us: int) -> None:
        """Write that a token was used. It waits for who else writes."""
        with self._database.writing() as connection:
            connection.execute(update(tokens).where(tokens.c.id == token.id).values(last_used_us=now_us))


def _values(token: Token) -> dict[str, Any]:
    values = {name: getattr(token, name) for name in Token.__slots__}
    values["scopes"] = list(token.scopes)
    values["networks"] = [str(network) for network in token.networks]
    return values


def _token(row: Row[Any]) -> Token:
    values = {name: row._mapping[name] for name in Token.__slots__}
    values["scopes"] = tuple(row.scopes)
    values["networks"] = tuple(ipaddress.ip_network(network) for network in row.networks)
    return Token(**values)
