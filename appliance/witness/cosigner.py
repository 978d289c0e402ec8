"""Checkpoints to a witness over HTTP (C2SP tlog-witness, add-checkpoint), and its cosignature back into our note.

The witness signs only what goes on from all that it saw of this ledger before: so a ledger that was put back, or
written anew, gets no cosignature any more, and who looks at the witness sees it.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Final

import aiohttp

from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.seal.cosignature import parse_witness_key
from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.seal.proofs import consistency_proof
from vittne.appliance.seal.tiles import TileReader
from vittne.appliance.store.errors import StoreError
from vittne.appliance.witness.settings import WitnessSettings
from vittne.appliance.witness.target import Published

_ANSWER_LIMIT: Final = 65_536
_TIMES: Final = 3  # asked again with the size that the witness names


class WitnessTarget:
    """One witness. What it saw last is asked of itself, never remembered here."""

    def __init__(self, settings: WitnessSettings, ledger: Ledger) -> None:
        key = parse_witness_key(settings.key)
        assert key is not None  # the settings were checked
        self._key = key
        self._settings = settings
        self._ledger = ledger
        self._seen = 0  # entries
        self._threads = OwnThreads("cosigner", 1)

    async def send(self, published: Published) -> None:
        """Have a checkpoint cosigned, and keep the cosignature. Raises StoreError, OSError."""
        tls = ssl.create_default_context(cafile=self._settings.ca_file)
        connector = aiohttp.TCPConnector(ssl=tls)
        try:
            async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
                for _ in range(_TIMES):
                    status, answer = await self._post(session, published)
                    if status != 409:
                        break
                    self._seen = self._size_in(answer, published)
        except aiohttp.ClientError as error:
            raise StoreError(f"the witness does not answer ({type(error).__name__})", self._where, "see it") from error
        if status != 200:
            words = "it does not know this ledger" if status == 404 else f"HTTP status {status}"
            raise StoreError(
                f"the witness does not sign: {words}", self._where, "tell it this ledger's key, see its log"
            )
        lines = [line for line in answer.decode("utf-8", "replace").split("\n") if self._is_good(line, published)]
        if not lines:
            raise StoreError("the witness's signature is not good", self._where, "compare its key with the settings")
        self._seen = published.checkpoint.size
        await self._threads.run(self._ledger.keep_cosigned, published.checkpoint, f"{lines[0]}\n".encode())

    @property
    def _where(self) -> str:
        return self._settings.url

    async def _post(self, session: aiohttp.ClientSession, published: Published) -> tuple[int, bytes]:
        body = await self._threads.run(request, self._ledger.directory, self._seen, published)
        url = f"{self._settings.url}/add-checkpoint"
        async with session.post(url, data=body, allow_redirects=False) as response:
            return response.status, await response.content.read(_ANSWER_LIMIT)

    def _size_in(self, answer: bytes, published: Published) -> int:
        text = answer.strip()
        if not text.isdigit() or len(text) > 18:
            raise StoreError("the witness names no size", self._where, "see its log")
        if int(text) > published.checkpoint.size:
            what = f"the witness saw {int(text)} entries of this ledger, {published.checkpoint.size} are here"
            raise StoreError(f"alarm: {what}: it was shortened or put back", self._where, "run vittne ledger check")
        return int(text)

    def _is_good(self, line: str, published: Published) -> bool:
        return self._key.time_of(line, published.checkpoint.text()) is not None


def request(directory: Path, old: int, published: Published) -> bytes:
    """Return the body of add-checkpoint: that the state of old entries is contained, and the note."""
    size = published.checkpoint.size
    steps = consistency_proof(TileReader(directory, size).tile, old, size)
    lines = [f"old {old}", *(base64.b64encode(step).decode() for step in steps), "", ""]
    return "\n".join(lines).encode() + published.note
