#!/usr/bin/env python3
"""People at a console, as their browsers ask: each logs in, hears news, and does something every one to three seconds.

The password comes on the standard input. Prints one JSON object: of each kind of thing how often, p50 and p95 in ms,
how many news came, and how many answers were none of 2xx. Run by bench_console_load.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import ssl
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

API: Final = "https://127.0.0.1:8443/api/v1"
SITE: Final = "https://127.0.0.1:8443"
PACE_S: Final = 0.4
_SECOND_BYTES: Final = 32_000  # of WAV, both sides


@dataclass
class Seen:
    """What all of them waited, s, by kind, and what went wrong."""

    waited: dict[str, list[float]] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    news: int = 0

    def figures(self) -> dict[str, Any]:
        """Return them as they are printed."""
        found: dict[str, Any] = {"wrong_answers": sum(self.wrong.values()), "wrong": dict(self.wrong)}
        for kind, times in sorted(self.waited.items()):
            ordered = [round(one * 1000) for one in sorted(times)]
            found[f"{kind}_times"] = len(ordered)
            found[f"{kind}_p50_ms"] = ordered[len(ordered) // 2]
            found[f"{kind}_p95_ms"] = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        return {**found, "news": self.news}


class Browser:
    """One of them."""

    def __init__(self, number: int, session: aiohttp.ClientSession, seen: Seen, heard: str) -> None:
        self._name = f"user-{number}"
        self._session = session
        self._seen = seen
        self._heard = heard
        self._dice = random.Random(number)
        self._headers: dict[str, str] = {}

    async def be(self, password: str, begin_s: float, until_s: float) -> None:
        """Log in then, hear news and look until the end."""
        await asyncio.sleep(begin_s - time.monotonic())
        await self._log_in(password, until_s)
        listening = asyncio.create_task(self._hear_news())
        await self._look(until_s)
        if listening.done():
            self._seen.wrong["news ended"] += 1
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)

    async def _log_in(self, password: str, until_s: float) -> None:
        """Log in, once more where too many do."""
        body = {"name": self._name, "password": password}
        begun = time.perf_counter()
        while time.monotonic() < until_s:
            async with self._session.post(f"{API}/session", json=body) as found:
                told = await found.json()
                if found.status == 201:
                    cookie = found.headers["Set-Cookie"].partition(";")[0]
                    self._headers = {"Cookie": cookie, "X-CSRF-Token": told["csrf"]}
                    break
                self._seen.wrong[f"login {found.status}"] += 1
            await asyncio.sleep(1)
        self._seen.waited.setdefault("login", []).append(time.perf_counter() - begun)

    async def _hear_news(self) -> None:
        """Hear news until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None)
        async with self._session.get(f"{API}/events", headers=self._headers, timeout=timeout) as found:
            async for line in found.content:
                self._seen.news += line.startswith(b"event:")

    async def _look(self, until_s: float) -> None:
        """Do what people do until then."""
        await self._get("now_page", f"{SITE}/now")
        kinds: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            *[("now_parts", self._parts)] * 4,
            *[("search", self._search)] * 3,
            *[("sound", self._sound)] * 2,
            ("recordings_page", lambda: self._get("recordings_page", f"{SITE}/recordings")),
            ("live", lambda: self._get("live", f"{API}/live")),
        ]
        while time.monotonic() < until_s:
            await asyncio.sleep(self._dice.uniform(1, 3))
            await self._dice.choice(kinds)[1]()

    async def _parts(self) -> None:
        await self._get("now_calls", f"{SITE}/now/calls")
        await self._get("now_health", f"{SITE}/now/health")

    async def _search(self) -> None:
        what = self._dice.choice(["+4930", f"+4930{self._dice.randrange(1000):03}", "alice", "berg", "zzyzx", "2041"])
        await self._get("search", f"{API}/recordings", params={"q": what})

    async def _sound(self) -> None:
        first = self._dice.randrange(20) * _SECOND_BYTES
        headers = {"Range": f"bytes={first}-{first + 2 * _SECOND_BYTES - 1}"}
        await self._get("sound", f"{API}/recordings/{self._heard}/audio", headers=headers)

    async def _get(self, kind: str, address: str, headers: dict[str, str] | None = None, **options: Any) -> None:
        begun = time.perf_counter()
        try:
            async with self._session.get(
                address, headers={**self._headers, **(headers or {})}, allow_redirects=False, **options
            ) as found:
                await found.read()
                if found.status not in (200, 206):
                    self._seen.wrong[f"{kind} {found.status}"] += 1
        except (aiohttp.ClientError, TimeoutError) as error:
            self._seen.wrong[f"{kind} {type(error).__name__}"] += 1
        self._seen.waited.setdefault(kind, []).append(time.perf_counter() - begun)


async def browse(given: argparse.Namespace, password: str) -> Seen:
    """Have all of them look; return what they waited."""
    trust = ssl.create_default_context(cafile=str(given.data / "tls" / "certificate.pem"))
    seen = Seen()
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        browsers = [Browser(n, session, seen, given.heard) for n in range(given.browsers)]
        now_s = time.monotonic()
        until_s = now_s + given.browsers * PACE_S + given.seconds
        await asyncio.gather(*(one.be(password, now_s + n * PACE_S, until_s) for n, one in enumerate(browsers)))
    return seen


def main() -> None:
    """Look, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--heard", required=True, help="the recording that is listened to")
    parser.add_argument("--browsers", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    password = sys.stdin.readline().rstrip("\n")
    print(json.dumps(asyncio.run(browse(parser.parse_args(), password)).figures()))


if __name__ == "__main__":
    main()
