"""How often somebody may ask, and how often be wrong. The time is an argument, in seconds of any clock.

All tables have a bound; over it, whoever was not seen for longest is forgotten.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

_TABLE: Final = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed. A token: so many at once, so many a second. A source, or a name: so many failures, then waits.

    crowd: wrong passwords of one source, whatever the names: behind one address there may be a whole house.
    """

    burst: int = 400
    per_s: float = 100.0
    failures: int = 10
    crowd: int = 100
    first_wait_s: float = 1.0
    longest_wait_s: float = 300.0
    forget_s: float = 3600.0


class TokenRate:
    """A token bucket (in the sense of queueing) for each token (in ours)."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # what is left, and when

    def take(self, token_id: str, now_s: float) -> float:
        """Take one; return 0, or the seconds until there is one."""
        limits = self._limits
        left, at = self._left.pop(token_id, (float(limits.burst), now_s))
        left = min(limits.burst, left + max(0.0, now_s - at) * limits.per_s)
        wait = 0.0 if left >= 1 else (1 - left) / limits.per_s
        self._left[token_id] = (left if wait else left - 1, now_s)
        _bound(self._left)
        return wait


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float
    until_s: float
    refused: int = 0  # while it had to wait, since the last failure


class FailureBackoff:
    """Who is wrong too often waits: 1 s, 2 s, 4 s ... A source is an IPv4 address, or an IPv6 /64."""

    def __init__(self, limits: Limits, failures: int | None = None) -> None:
        """failures: so many are free; default: as the limits say."""
        self._limits = limits
        self._free = limits.failures if failures is None else failures
        self._sources: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, source: str, now_s: float) -> float:
        """Return how long this source is still refused; 0 when it may try."""
        found = self._sources.get(_network(source))
        return max(0.0, found.until_s - now_s) if found else 0.0

    def refused(self, source: str) -> None:
        """Count a request that came while its source had to wait; it does not make the wait longer."""
        found = self._sources.get(_network(source))
        if found is not None:
            found.refused += 1

    def failed(self, source: str, now_s: float) -> int:
        """Note a failure of a source that need not wait; return how many were refused since its last one."""
        limits = self._limits
        name = _network(source)
        found = self._sources.pop(name, None)
        if found is None or now_s - found.last_s > limits.forget_s:
            found = _Failures(0, now_s, 0.0)
        refused, found.refused = found.refused, 0
        found.count += 1
        found.last_s = now_s
        over = found.count - self._free
        if over >= 0:
            found.until_s = now_s + min(limits.first_wait_s * 2.0 ** min(over, 30), limits.longest_wait_s)
        self._sources[name] = found
        _bound(self._sources)
        return refused


class KnownSources:
    """From where each user logged in: what others try from elsewhere does not make them wait there."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def note(self, user: str, source: str) -> None:
        """Note that a user logged in from a source."""
        name = f"{user} {_network(source)}"
        self._known.pop(name, None)
        self._known[name] = None
        _bound(self._known)

    def knows(self, user: str, source: str) -> bool:
        """Say whether a user logged in from there."""
        return f"{user} {_network(source)}" in self._known


class OneByOne:
    """Passwords are looked at one after the other: each takes 64 MiB and 100 ms, and each failure counts for the next.

    Who finds the room full is turned away at once.
    """

    def __init__(self, room: int = 16) -> None:
        self._room = room
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[bool]:
        """Yield whether it is one's turn, once it is; False at once where too many wait."""
        if self._room <= 0:
            yield False
            return
        self._room -= 1
        try:
            async with self._turn:
                yield True
        finally:
            self._room += 1


def pair_of(source: str, name: str) -> str:
    """Return what stands for a name that is tried from a source."""
    return f"{_network(source)} {name}"


def _bound(table: OrderedDict[str, Any]) -> None:
    while len(table) > _TABLE:
        table.popitem(last=False)


def _network(source: str) -> str:
    """Return what counts as one source.

    >>> _network("192.0.2.7"), _network("2001:db8::1:2")
    ('192.0.2.7', '2001:db8::/64')
    """
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return source
    return str(address) if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
