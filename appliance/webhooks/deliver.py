"""Telling webhooks: news become deliveries on disk, deliveries are tried, and tried again for a day.

Where a server does not answer with 2xx, the next try comes after a while, each time a longer one, by chance a little
sooner or later. What was tried for a day is given up, and stays to be seen and sent again by hand.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import secrets
import ssl
from collections import deque
from dataclasses import replace
from functools import partial
from typing import Any, Final

import aiohttp
import structlog

from vittne.appliance.access.users import UserTable
from vittne.appliance.control.server import Doer, at_once
from vittne.appliance.events.bus import News
from vittne.appliance.log import fault
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.version import VERSION
from vittne.appliance.webhooks.payload import TokenOf, event_of, owner_of, told_to
from vittne.appliance.webhooks.settings import WebhooksConfig
from vittne.appliance.webhooks.signing import headers_of, opened
from vittne.appliance.webhooks.table import KEPT_US, Delivery, Webhook, WebhookTable
from vittne.appliance.webhooks.target import NotAllowed, RefusedAddress, check_url, socket_for

log = structlog.get_logger()

SECOND_US: Final = 1_000_000
# After each try that failed, in s: the last one comes some 24 hours after the first.
DELAYS_S: Final = (5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800, 28_800)
_JITTER: Final = 0.2
EACH_AT_ONCE: Final = 4  # of one webhook: a slow one must not hold up the others
_AT_ONCE: Final = 200  # connections: EACH_AT_ONCE for as many webhooks as there may be
_LOOK_S: Final = 2.0
_TIDY_S: Final = 3600.0
_ANSWER_BYTES: Final = 4096
_WAITING: Final = 10_000  # news that are not on disk yet
_GONE: Final = 410


class Deliverer:
    """Listens to the bus and tells webhooks."""

    def __init__(
        self, registrar: Registrar, config: WebhooksConfig, token_of: TokenOf = lambda _: None, do: Doer = at_once
    ) -> None:
        """do: has something written where nobody else writes meanwhile."""
        self._registrar = registrar
        self._config = config
        self._table = WebhookTable(registrar.catalogue)
        self._users = UserTable(registrar.catalogue)
        self.token_of = token_of
        self._do = do
        self._networks = [ipaddress.ip_network(one) for one in config.networks]
        self._news: deque[tuple[int, str, dict[str, Any]]] = deque()
        self._wake = asyncio.Event()
        self.lost = 0  # news that nobody could be told of: too many came at once
        self.waiting = 0
        self.dead = 0
        self._busy: dict[str, asyncio.Task[None]] = {}  # by delivery
        self._ended: set[str] = set()  # deliveries, since what is due was asked for last

    def hear(self, news: News) -> None:
        """Take news; quick, and raises nothing."""
        found = event_of(news)
        if found is None:
            return
        if len(self._news) >= _WAITING:
            self._news.popleft()
            self.lost += 1
        self._news.append((news.at_us, *found))
        self._wake.set()

    def queues(self) -> dict[str, int]:
        """Return what waits."""
        return {"webhooks": self.waiting + len(self._news), "webhooks given up": self.dead}

    async def run(self) -> None:
        """Tell until cancelled."""
        tidied_s = -_TIDY_S
        async with aiohttp.ClientSession(
            connector=self._connector(), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=False
        ) as session:
            try:
                while True:
                    try:
                        async with asyncio.timeout(_LOOK_S):
                            await self._wake.wait()
                    except TimeoutError:
                        pass
                    self._wake.clear()
                    now_s = asyncio.get_running_loop().time()
                    if now_s - tidied_s >= _TIDY_S:
                        tidied_s = now_s
                        await self._do(self._table.forget_done, now_us() - KEPT_US)
                    await self.begin(session)
                    await self._count()
            finally:  # what was being told is told once more at the next start
                for task in list(self._busy.values()):
                    task.cancel()
                await asyncio.gather(*self._busy.values(), return_exceptions=True)

    async def turn(self, session: aiohttp.ClientSession) -> None:
        """Write what is new, try what is due, and wait for what becomes of it. Raises StoreError."""
        await asyncio.gather(*await self.begin(session))
        await self._count()

    async def begin(self, session: aiohttp.ClientSession) -> list[asyncio.Task[None]]:
        """Write what is new, begin to try what is due: of each webhook a few at once. Raises StoreError."""
        hooks = {one.id: one for one in await asyncio.to_thread(self._table.all)}
        await self._keep(list(hooks.values()))
        self._ended.clear()
        due = await asyncio.to_thread(self._table.due, now_us(), EACH_AT_ONCE) if hooks else []
        begun = []
        for one in due:  # those that are being tried are among the first of their webhook: no more than so many are
            if one.id not in self._busy and one.id not in self._ended:  # what ended meanwhile was still due as we read
                task = asyncio.create_task(self._try(session, hooks.get(one.webhook), one))
                self._busy[one.id] = task
                task.add_done_callback(partial(self._done, one.id))
                begun.append(task)
        return begun

    def _done(self, delivery: str, task: asyncio.Task[None]) -> None:
        self._busy.pop(delivery, None)
        self._ended.add(delivery)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):  # the catalogue: it is looked at again in a moment
            log.error("a webhook's delivery could not be noted", reason=fault(error))
        else:
            self._wake.set()  # there may be more for who has answered

    async def _count(self) -> None:
        counts = await asyncio.to_thread(self._table.counts)
        self.waiting = sum(states.get("waiting", 0) for states in counts.values())
        self.dead = sum(states.get("dead", 0) for states in counts.values())

    async def _keep(self, hooks: list[Webhook]) -> None:
        news = list(self._news)
        told = [
            Delivery(f"msg_{secrets.token_hex(12)}", hook.id, event, body, at_us, next_us=at_us)
            for at_us, event, body in news
            for hook in hooks
            if event in hook.events and hook.disabled_us is None
        ]
        if told:
            await self._do(self._table.add, told)
        for _ in news:
            self._news.popleft()

    async def _try(self, session: aiohttp.ClientSession, hook: Webhook | None, delivery: Delivery) -> None:
        if hook is None or (hook.disabled_us is not None and delivery.event != "test"):
            await self._do(self._table.drop, delivery.id)
            return
        try:
            body = await asyncio.to_thread(self._body, hook, delivery)
            if body is None:
                await self._do(self._table.drop, delivery.id)
                return
            secret = await asyncio.to_thread(opened, self._registrar.data_dir, hook.id, hook.secret)
        except StoreError as error:
            await self._failed(hook, delivery, None, error.what)
            return
        status, words = await self._send(session, hook, delivery, secret, body)
        if status is not None and 200 <= status < 300:
            at = now_us()
            attempts = delivery.attempts + 1
            done = replace(delivery, state="delivered", attempts=attempts, next_us=None, last_status=status, done_us=at)
            await self._do(self._table.note, replace(done, last_error=""))
        else:
            await self._failed(hook, delivery, status, words)

    def _body(self, hook: Webhook, delivery: Delivery) -> bytes | None:
        owner = owner_of(hook, self._users, self.token_of)
        if owner is None:
            return None
        data = told_to(owner, delivery.event, delivery.body, self._registrar.catalogue, now_us())
        if data is None:
            return None
        told = {"type": delivery.event, "timestamp": rfc3339(delivery.created_us), "data": data}
        return json.dumps(told, separators=(",", ":")).encode()

    async def _send(
        self, session: aiohttp.ClientSession, hook: Webhook, delivery: Delivery, secret: str, body: bytes
    ) -> tuple[int | None, str]:
        """Return the status of the answer, and words of ours where there is none. What was answered is not kept."""
        headers = headers_of(secret, delivery.id, now_us() // SECOND_US, body)
        headers |= {"Content-Type": "application/json", "User-Agent": f"vittne/{VERSION}"}
        timeout = aiohttp.ClientTimeout(total=self._config.timeout_s)
        try:
            check_url(hook.url, self._networks, self._config.plain_http)
            async with session.post(
                hook.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                await answer.content.read(_ANSWER_BYTES)
                return answer.status, f"the server answered {answer.status}"
        except NotAllowed as error:
            return None, error.where
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return None, _words(error)

    async def _failed(self, hook: Webhook, delivery: Delivery, status: int | None, words: str) -> None:
        attempts = delivery.attempts + 1
        at = now_us()
        tried = replace(delivery, attempts=attempts, last_status=status, last_error=words[:200])
        if attempts > len(DELAYS_S) or status == _GONE or delivery.event == "test":
            await self._do(self._table.note, replace(tried, state="dead", next_us=None, done_us=at))
            if delivery.event != "test":
                log.error("alarm: a webhook's deliveries were given up", name=hook.name, reason=words[:200])
            return
        delay_s = DELAYS_S[attempts - 1] * (1 + _JITTER * (2 * secrets.SystemRandom().random() - 1))
        await self._do(self._table.note, replace(tried, next_us=at + int(delay_s * SECOND_US)))

    def _connector(self) -> aiohttp.TCPConnector:
        networks = self._networks
        context = ssl.create_default_context(cafile=str(self._config.ca) if self._config.ca else None)
        if self._config.ca is not None:
            context.load_default_certs()
        # The socket is made here for the very address that is connected to; a name is looked up for each connection.
        return aiohttp.TCPConnector(
            ssl=context,
            socket_factory=lambda info: socket_for(info, networks),
            use_dns_cache=False,
            force_close=True,
            limit=_AT_ONCE,
        )


def _words(error: BaseException) -> str:
    """Return what went wrong, in words that name no address of the inside."""
    chain: list[BaseException] = [error, *filter(None, (error.__cause__, getattr(error, "os_error", None)))]
    if any(isinstance(one, RefusedAddress) for one in chain):
        return "the name has an address that webhooks may not go to"
    known: tuple[tuple[type[BaseException], str], ...] = (
        (aiohttp.ClientConnectorCertificateError, "the server's certificate is not trusted"),
        (aiohttp.ClientConnectorDNSError, "the server's name has no address"),
        (aiohttp.ClientSSLError, "no TLS connection came about"),
        (TimeoutError, "no answer in time"),
        (aiohttp.ClientConnectorError, "no connection came about"),
    )
    return next((words for kind, words in known if isinstance(error, kind)), type(error).__name__)
