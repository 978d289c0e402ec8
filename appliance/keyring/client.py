"""The parent's side of the key process: start it, ask it, write what it answers.

Usable with and without a recorder:

    async with KeyProcess(data_dir, store) as keys:
        await keys.unlock(passphrase)
        key = await keys.data_key(recording_id, 0)
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from vittne.appliance.keyring import messages
from vittne.appliance.keyring.cache import KeyCache
from vittne.appliance.keyring.envelope import decoded, encoded
from vittne.appliance.keyring.errors import KeysLocked, KeysMissing
from vittne.appliance.keyring.opening import check_public
from vittne.appliance.keyring.ring import Ring, read_ring, ring_path
from vittne.appliance.seal.capsule import Bucket, CapsuleRefused, KeyStore, Row
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

_WAIT_S: Final = 120.0  # an HSM, or scrypt on a busy machine
_STOP_S: Final = 5.0

Doer = Callable[..., Awaitable[Any]]  # a function and its arguments


class KeyProcess:
    """A key process and the store of data keys. Methods may be called at the same time; it answers one by one.

    All raise KeysLocked while it is locked or dead, and StoreError.
    """

    def __init__(self, data_dir: Path, store: KeyStore, do: Doer = asyncio.to_thread) -> None:
        """do: has something written where nobody else writes meanwhile; default: in a thread."""
        self._do = do
        self._data_dir = data_dir
        self._store = store
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._turn = asyncio.Lock()
        self._cache = KeyCache()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self) -> None:
        """Start the process; it is locked."""
        ours, theirs = socket.socketpair()
        with theirs:
            # Nothing of our environment goes along: it may name files with secrets.
            kept = ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "SOFTHSM2_CONF", "OPENSSL_CONF", "OPENSSL_MODULES")
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "vittne.appliance.keyring.process",
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in kept if name in os.environ},
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)

    async def close(self) -> None:
        """End the process: it holds nothing that outlives it."""
        self._cache.clear()
        if self._writer is not None:
            self._writer.close()
        if self._process is not None:
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        self._process = self._reader = self._writer = None

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return None if self._process is None else self._process.pid

    @property
    def is_dead(self) -> bool:
        """Whether it was started and is gone."""
        return self._writer is None or (self._process is not None and self._process.returncode is not None)

    async def unlock(self, secret: bytes | None) -> dict[str, Any]:
        """Unlock with a passphrase or PIN; None for what needs none. Return {"root", "provider"}."""
        ring = read_ring(self._data_dir)
        check_public(self._data_dir, ring)
        where = str(ring_path(self._data_dir))
        told = None if secret is None else encoded(secret)
        return await self._ask({"do": "unlock", "ring": ring.text().decode(), "where": where, "secret": told})

    async def lock(self) -> bool:
        """Forget everything; say whether it was unlocked."""
        self._cache.clear()
        return bool((await self._ask({"do": "lock"}))["was_open"])

    async def take(self, ring: Ring) -> None:
        """Go on with another ring of the same root: keys that are not in it are forgotten. Raises KeysMismatch."""
        self._cache.clear()
        await self._ask({"do": "take", "ring": ring.text().decode(), "where": str(ring_path(self._data_dir))})

    async def status(self) -> dict[str, Any]:
        """Return "unlocked", "served" (data keys so far), "memory_locked", "user", "waiting" (recordings in capsules).

        While it is unlocked also "root", "provider", "epoch", "ring" (the MAC of its ring).
        """
        found = await self._ask({"do": "status"})
        return {**found, "pid": self.pid, "waiting": len(await asyncio.to_thread(self._store.waiting))}

    async def data_key(self, recording_id: str, part_no: int) -> bytes:
        """Return the data key of a part. The entry in the ledger is written before: by who asks.

        A key that was opened is kept in memory for at most five minutes. Raises KeysMissing, CapsuleRefused.
        """
        kept = await asyncio.to_thread(self._store.get, recording_id, part_no)
        if kept is None:
            self._cache.drop(recording_id, part_no)
            raise KeysMissing(f"the key of part {part_no} is gone: nobody can hear it", recording_id, "was it erased?")
        known = self._cache.get(recording_id, part_no, time.monotonic())
        if known is not None:
            return known
        told = {"do": "data_key", "rec": recording_id, "part": part_no, "kept": messages.kept_to_json(kept)}
        key = decoded((await self._ask(told))["key"])
        self._cache.put(recording_id, part_no, key, time.monotonic())
        return key

    async def adopt(self, recording_id: str, site: str, retention: str, month: str) -> int:
        """Wrap all keys of a recording under its bucket; return how many changed. See OpenKeys.adopt().

        Nothing is done while a renewal of keys goes on, or when the ring in place is newer than this process's.
        """
        made = await self._ask({"do": "new_bucket"})  # mostly not needed: then it is thrown away
        fresh = (int(made["epoch"]), decoded(made["wrapped"]))
        place, now = (site, retention, month), rfc3339(now_us())
        bucket = await self._do(self._bucket_for, place, fresh, now)
        if bucket is None:
            return 0
        found = await asyncio.to_thread(self._store.keys_of, recording_id)
        moving = [(n, kept) for n, kept in found if kept.bucket is None or kept.bucket.id != bucket.id]
        if not moving:
            return 0
        rows = [{"part": n, "kept": messages.kept_to_json(kept)} for n, kept in moving]
        told = {"do": "adopt", "rec": recording_id, "rows": rows, "bucket": messages.bucket_to_json(bucket)}
        adopted = (await self._ask(told))["rows"]
        await self._do(self._put, [(bucket.id, decoded(key), recording_id, n) for n, key in adopted])
        return len(moving)

    def _bucket_for(self, place: tuple[str, str, str], fresh: tuple[int, bytes], now: str) -> Bucket | None:
        ring = read_ring(self._data_dir)
        if ring.renewing or ring.epoch.number != fresh[0]:
            return None
        return self._store.bucket_for(place, lambda: fresh, now)

    def _put(self, rows: list[Row]) -> None:
        self._store.replace(rows)  # not those whose bucket has begun to retire since
        with contextlib.suppress(StoreError):  # somebody reads: the next one empties it
            self._store.empty_log()

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        # Whoever asked may go away; the answer is taken off the socket all the same, or the next one would get it.
        exchange = asyncio.ensure_future(self._exchange(request))
        exchange.add_done_callback(lambda done: done.cancelled() or done.exception())
        answer = await asyncio.shield(exchange)
        if "error" in answer:
            raise messages.error_from_json(answer["error"])
        if "refused" in answer:
            raise CapsuleRefused(answer["refused"])
        found: dict[str, Any] = answer["ok"]
        return found

    async def _exchange(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._turn:
            if self._reader is None or self._writer is None:
                raise KeysLocked("the key process does not run", self._data_dir, "start it again")
            try:
                self._writer.write(messages.pack(request))
                await self._writer.drain()
                async with asyncio.timeout(_WAIT_S):
                    return await self._answer(self._reader)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                # An answer that comes late would be taken for the next one's.
                self._writer.close()
                self._reader = self._writer = None
                self._cache.clear()
                raise KeysLocked("the key process ended", self._data_dir, "it is started anew, locked") from error

    @staticmethod
    async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
        length = messages.length_of(await reader.readexactly(messages.LENGTH_BYTES))
        answer: dict[str, Any] = json.loads(await reader.readexactly(length))
        return answer
