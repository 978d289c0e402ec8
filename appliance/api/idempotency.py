"""Idempotency-Key: who sends a request again because the answer got lost gets that answer, and nothing is done twice.

    same token, key and request     the answer that was given, for 24 h; Idempotent-Replayed: true
    same key, another request       422
    the first one still runs        409

Kept in the catalogue: SHA-256 of key and request, and the answer in clear. So no answer that holds a secret may go
through here. Only success is kept: an error means that nothing was done, so the request may be tried again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import structlog
from aiohttp import web
from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from vittne.appliance.api.auth import principal_of
from vittne.appliance.api.bodies import read_body
from vittne.appliance.api.database import ApiDatabase
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.store.tables import answers

log = structlog.get_logger()

Away = Callable[[Callable[[], Any]], Awaitable[Any]]  # has something done in a thread

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
KEPT_US: Final = 24 * 3600 * 1_000_000
BODY_LIMIT: Final = 65_536  # bytes of an answer that is kept
PER_TOKEN: Final = 20_000  # keys; over it the oldest are forgotten before their time
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    content_type: str
    body: bytes


class Before(Enum):
    """What became of a key, where there is no answer to repeat."""

    NEVER = "never seen: it is ours now, marked as running"
    OTHER = "it came with another request"
    RUNNING = "the first request is being worked on"
    LOST = "the first request was begun; how it ended is not known"


@dataclass(frozen=True, slots=True)
class Claim:
    """One key of one token, and the request that came with it."""

    token: str
    key_sha256: str
    request_sha256: str


class Answers:
    """The table of keys and answers. Every method is one transaction. Raises StoreError."""

    def __init__(self, database: ApiDatabase, now_us: Callable[[], int], per_token: int = PER_TOKEN) -> None:
        self._database = database
        self._now_us = now_us
        self._per_token = per_token
        self._run = secrets.token_hex(8)  # what is running under another one was cut off

    def begin(self, claim: Claim, repeatable: bool) -> Kept | Before:
        """Return the answer given before, or mark the key as running. repeatable: what was LOST is begun again."""
        with self._database.writing() as connection:
            self._forget(connection, claim.token)
            row = connection.execute(select(answers).where(_is(claim))).first()
            if row is None:
                connection.execute(insert(answers).values(self._fresh(claim)))
                return Before.NEVER
            if row.request_sha256 != claim.request_sha256:
                return Before.OTHER
            if row.status is not None:
                return Kept(row.status, row.content_type, row.body)
            if row.run == self._run:
                return Before.RUNNING
            if not repeatable:
                return Before.LOST
            connection.execute(update(answers).where(_is(claim)).values(run=self._run))
            return Before.NEVER

    def finish(self, claim: Claim, kept: Kept) -> None:
        """Keep the answer of a key that runs."""
        values = {"status": kept.status, "content_type": kept.content_type, "body": kept.body}
        with self._database.writing() as connection:
            connection.execute(update(answers).where(_is(claim)).values(values))

    def release(self, claim: Claim) -> None:
        """Forget a key whose request did nothing."""
        with self._database.writing() as connection:
            connection.execute(delete(answers).where(_is(claim)))

    def lose(self, claim: Claim) -> None:
        """Note that how a request ended is not known."""
        with self._database.writing() as connection:
            connection.execute(update(answers).where(_is(claim)).values(run=""))

    def _fresh(self, claim: Claim) -> dict[str, object]:
        return {
            "token": claim.token,
            "key_sha256": claim.key_sha256,
            "request_sha256": claim.request_sha256,
            "run": self._run,
            "created_us": self._now_us(),
            "content_type": "",
            "body": b"",
        }

    def _forget(self, connection: Connection, token: str) -> None:
        connection.execute(delete(answers).where(answers.c.created_us <= self._now_us() - KEPT_US))
        mine = answers.c.token == token
        over = connection.execute(select(func.count()).where(mine)).scalar_one() + 1 - self._per_token
        if over > 0:
            oldest = select(answers.c.key_sha256).where(mine, answers.c.status.is_not(None))
            some = oldest.order_by(answers.c.created_us).limit(over)
            connection.execute(delete(answers).where(mine, answers.c.key_sha256.in_(some)))


def _is(claim: Claim) -> ColumnElement[bool]:
    return (answers.c.token == claim.token) & (answers.c.key_sha256 == claim.key_sha256)


ANSWERS: Final = web.AppKey("vittne.answers", Answers)


async def once(
    request: web.Request, work: Callable[[], Awaitable[web.Response]], repeatable: bool = False
) -> web.Response:
    """Do the work of a request, or return the answer that it was given before. Raises Problem.

    Without an Idempotency-Key the work is simply done. repeatable: doing it twice is the same as doing it once (a
    pause), so when a crash or a fault hides how it ended it is done again; else that is a 409.
    """
    claim = await _claim(request)
    if claim is None:
        return await work()
    kept, away = request.app[ANSWERS], request.app[READER].access
    match await _begun(kept, away, claim, repeatable):
        case Kept(status, content_type, body):
            return web.Response(body=body, status=status, content_type=content_type, headers={REPLAYED: "true"})
        case Before.NEVER:
            return await _worked(kept, away, claim, work, repeatable)
        case before:
            raise _refused(before)


async def _begun(kept: Answers, away: Away, claim: Claim, repeatable: bool) -> Kept | Before:
    """Mark a key as running, away from the loop: a disk that is slow stops nobody. Cancelled, it marks nothing."""
    begun = asyncio.ensure_future(away(lambda: kept.begin(claim, repeatable)))
    try:
        return await asyncio.shield(begun)
    except asyncio.CancelledError:
        if await begun is Before.NEVER:
            await away(lambda: kept.release(claim))
        raise


async def _worked(
    kept: Answers, away: Away, claim: Claim, work: Callable[[], Awaitable[web.Response]], repeatable: bool
) -> web.Response:
    ended: Callable[[Claim], None] = kept.release if repeatable else kept.lose
    try:
        found = await work()
        body = found.body if isinstance(found.body, bytes) else b""
        if found.status >= 400:
            ended = kept.release
        elif len(body) <= BODY_LIMIT:
            told = Kept(found.status, found.content_type, body)
            await asyncio.shield(away(lambda: kept.finish(claim, told)))
            ended = _nothing
        else:
            log.error("an answer is too large to be kept for its Idempotency-Key", size_bytes=len(body))
        return found
    except (Problem, web.HTTPException):
        ended = kept.release
        raise
    finally:
        if ended is not _nothing:
            await asyncio.shield(away(lambda: ended(claim)))  # what was begun is ended, whoever goes away meanwhile


def _nothing(_: Claim) -> None:
    pass


async def _claim(request: web.Request) -> Claim | None:
    given = request.headers.getall(HEADER, [])
    if not given:
        return None
    # The draft (draft-ietf-httpapi-idempotency-key-header) wants the key in double quotes; most clients send none.
    key = given[0].strip()
    key = key[1:-1] if len(key) > 2 and key[0] == key[-1] == '"' else key
    if len(given) > 1 or not _KEY.fullmatch(key):
        detail = "one key of 1 to 255 visible ASCII letters, new for each thing to do, such as a UUID"
        raise Problem(400, "/problems/bad-idempotency-key", "The Idempotency-Key is not one", detail)
    query = sorted((name, value) for name, value in request.query.items() if name != "token")
    head = repr((request.method, request.path, query)).encode()
    body = await read_body(request)
    whole = hashlib.sha256(hashlib.sha256(head).digest() + hashlib.sha256(body).digest())
    return Claim(principal_of(request).id, hashlib.sha256(key.encode()).hexdigest(), whole.hexdigest())


def _refused(before: Before) -> Problem:
    match before:
        case Before.OTHER:
            detail = "each thing to do needs a key of its own"
            return Problem(422, "/problems/idempotency-key-reused", "This key came with another request", detail)
        case Before.RUNNING:
            title = "The first request with this key is still running"
            return Problem(409, "/problems/still-running", title, "ask again", {"Retry-After": "1"})
        case _:
            title = "How the first request with this key ended is not known"
            detail = "it was cut off; look what it did, then use a new key"
            return Problem(409, "/problems/outcome-unknown", title, detail)
