"""What a recorder runs for its keys: the key process, unlocking at the start, wrapping finished recordings, and a door.

The door is DIR/keys/unlock.sock, for `vittne keys unlock`, `lock` and `status`. It takes the recorder's own user
and root, nobody else, whoever the file belongs to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from vittne.appliance.keyring import changes, messages
from vittne.appliance.keyring.client import Doer, KeyProcess
from vittne.appliance.keyring.envelope import decoded
from vittne.appliance.keyring.errors import KeysLocked, KeysMismatch
from vittne.appliance.keyring.providers import secret_for
from vittne.appliance.keyring.renewal import UNSORTED
from vittne.appliance.keyring.ring import FOLDER, read_ring
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.seal import events
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339

if TYPE_CHECKING:
    from vittne.appliance.registrar import Registrar

SOCKET: Final = "unlock.sock"
_LOOK_S: Final = 10.0
_AGAIN_S: Final = 5.0
_REQUEST_S: Final = 10.0
_ANSWER_S: Final = 150.0  # longer than a token or scrypt may take

log = structlog.get_logger()

# (site, retention class, month) of a recording that is finished; None for one that is not, or is not known.
Place = tuple[str, str, str]  # site, retention class, month
PlacesOf = Callable[[Sequence[str]], dict[str, Place]]  # of those recordings that are over


class KeyDesk:
    """Keys of a recorder that runs."""

    def __init__(
        self,
        registrar: Registrar,
        config: KeysConfig,
        places_of: PlacesOf | None = None,
        do: Doer = asyncio.to_thread,
    ) -> None:
        """do: has something written where nobody else writes meanwhile; default: in a thread."""
        self._do = do
        self._registrar = registrar
        self._config = config
        self._places_of = places_of or self._by_catalogue
        self._wake = asyncio.Event()
        self.keys = KeyProcess(registrar.data_dir, registrar.keys, do)

    async def run(self) -> None:
        """Keep the key process running, until cancelled."""
        server = await self._open_door()
        try:
            while True:
                try:
                    await self._one_process()
                except OSError as error:  # no memory for a process just now
                    log.error("the key process could not be started", reason=str(error))
                log.error("the key process ended; it is started anew", unlocked=False)
                await asyncio.sleep(_AGAIN_S)
        finally:
            await self.keys.close()
            if server is not None:
                server.close()
                with contextlib.suppress(OSError):  # a disk that takes nothing must not keep us from ending
                    self._path.unlink(missing_ok=True)

    async def unlock(self, secret: bytes | None, by: str) -> dict[str, Any]:
        """Unlock, and say so in the ledger. by: "start", or who asked. Raises StoreError."""
        found = await self.keys.unlock(secret)
        told = {"t": events.KEY_UNLOCK, "key": found["root"], "provider": found["provider"], "by": by}
        await self._do(changes.tell, self._registrar.ledger, told)
        self._wake.set()
        return found

    async def lock(self, by: str) -> bool:
        """Lock, and say so in the ledger if it was unlocked. Raises StoreError."""
        status = await self.keys.status()
        if not await self.keys.lock():
            return False
        told = {"t": events.KEY_LOCK, "key": status["root"], "by": by}
        await self._do(changes.tell, self._registrar.ledger, told)
        return True

    async def handle(self, request: dict[str, Any], by: str) -> dict[str, Any]:
        """Do what came in: {"do": "unlock", "secret": base64 or null}, "lock" or "status". Raises StoreError."""
        wanted = request.get("do")
        if wanted == "unlock":
            secret = request.get("secret")
            return await self.unlock(None if secret is None else decoded(secret), by)
        if wanted == "lock":
            return {"was_open": await self.lock(by)}
        if wanted == "status":
            return await self.keys.status()
        raise StoreError("nobody knows what that is", repr(wanted)[:60], "unlock, lock and status are known")

    async def adopt_finished(self) -> int:
        """Wrap the keys of finished recordings under their buckets; return how many. Raises StoreError."""
        after, done = "", 0
        while found := await asyncio.to_thread(self._registrar.keys.waiting, after):
            # Most that wait are calls that go on, thousands of them: one question, and not in the recorder's loop.
            places = await asyncio.to_thread(self._places_of, found)
            for recording_id, place in places.items():
                done += await self._adopt(recording_id, place)
            after = found[-1]
        return done

    async def _adopt(self, recording_id: str, place: tuple[str, str, str]) -> int:
        try:
            return await self.keys.adopt(recording_id, *place)
        except CapsuleRefused as error:
            log.error("a capsule does not open", recording=recording_id, reason=str(error))
            return 0

    async def _one_process(self) -> None:
        await self.keys.start()
        await self._unlock_at_start()
        while True:
            self._wake.clear()
            try:
                if await self._follow():
                    await self.adopt_finished()
            except KeysLocked:
                if self.keys.is_dead:
                    await self.keys.close()
                    return
            except StoreError as error:
                log.error("keys could not be wrapped under their buckets", reason=str(error))
            with contextlib.suppress(TimeoutError):
                # wait_for of Python 3.11 swallows a cancellation that comes together with the event.
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _follow(self) -> bool:
        """Have the key process take the ring that is in place by now; whether it is unlocked and nobody changes it."""
        status = await self.keys.status()
        ring = await asyncio.to_thread(read_ring, self._registrar.data_dir)
        if status["unlocked"] and status["ring"] != ring.mac:
            try:
                await self.keys.take(ring)
            except KeysMismatch:  # the root is another one as well
                await self.lock("new root")
                await self._unlock_at_start()
                return False
        return bool(status["unlocked"]) and not ring.renewing

    async def _unlock_at_start(self) -> None:
        try:
            provider = read_ring(self._registrar.data_dir).provider
            await self.unlock(secret_for(provider, os.environ, self._config), "start")
        except StoreError as error:
            log.warning("the archive is locked: it records, and nothing is opened", reason=str(error))

    def _by_catalogue(self, recording_ids: Sequence[str]) -> dict[str, Place]:
        return {
            recording_id: (site or self._config.site, retention_class or UNSORTED, rfc3339(started_us)[:7])
            for recording_id, site, retention_class, started_us in self._registrar.catalogue.finished(recording_ids)
        }

    async def _open_door(self) -> asyncio.Server | None:
        """Listen; whatever is wrong with the socket, recording and opening go on."""
        before = os.umask(0o177)
        try:
            self._path.unlink(missing_ok=True)
            return await asyncio.start_unix_server(self._serve, path=str(self._path))
        except OSError as error:
            log.error("`vittne keys unlock` will not reach this recorder", path=str(self._path), reason=str(error))
            return None
        finally:
            os.umask(before)

    @property
    def _path(self) -> Path:
        return self._registrar.data_dir / FOLDER / SOCKET

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            by = _peer(writer)
            if by is None:
                return
            async with asyncio.timeout(_REQUEST_S):
                length = messages.length_of(await reader.readexactly(messages.LENGTH_BYTES))
                request = json.loads(await reader.readexactly(length))
            writer.write(messages.pack(await _answer(self.handle, request, by)))
            await writer.drain()
        except (OSError, EOFError, ValueError, TimeoutError):
            pass  # whoever asked is gone, or sent no request
        finally:
            writer.close()


async def _answer(
    handle: Callable[[dict[str, Any], str], Awaitable[dict[str, Any]]], request: Any, by: str
) -> dict[str, Any]:
    try:
        return {"ok": await handle(request if isinstance(request, dict) else {}, by)}
    except StoreError as error:
        return {"error": messages.error_to_json(error)}


def _peer(writer: asyncio.StreamWriter) -> str | None:
    """Return who is at the other end, as the kernel says it; None for a stranger."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return f"uid {uid}" if uid in (0, os.geteuid()) else None


def ask(data_dir: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """Ask the recorder of a data directory; None when none runs. Raises what it answers as an error."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with channel:
        try:
            channel.settimeout(_ANSWER_S)
            channel.connect(str(data_dir / FOLDER / SOCKET))
            channel.sendall(messages.pack(request))
            stream = channel.makefile("rb")
            head = stream.read(messages.LENGTH_BYTES)
            answer = json.loads(stream.read(messages.length_of(head))) if head else {}
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as error:
            raise KeysLocked("the recorder did not answer", data_dir, "look at its log") from error
    if "error" in answer:
        raise messages.error_from_json(answer["error"])
    found: dict[str, Any] | None = answer.get("ok")
    if found is None:
        raise KeysLocked("the recorder did not answer", data_dir, "ask as its own user, or as root")
    return found
