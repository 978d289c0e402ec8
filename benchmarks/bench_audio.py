#!/usr/bin/env python3
"""How soon a recording is heard over the API: the first byte after opening it, and after a leap within it.

    python benchmarks/bench_audio.py               # a call of ten minutes, G.711 and Opus, 20 leaps each
    python benchmarks/bench_audio.py --full --save # an hour, 100 leaps

A capture of one call is written (load.py), recorded, and asked for over TLS on loopback as a player does: opened cold
(no process is there yet), opened with one in reserve, leaps to places nobody asked for before, and the waveform of the
whole. Times run from the request's first byte to the answer's first byte of sound. Opus payloads of load.py are noise
that FFmpeg decodes like any other; their cost is real, their sound is not.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import aiohttp
import report

from vittne.appliance.api import audio, listening
from vittne.appliance.api.app import Services, build_app
from vittne.appliance.api.database import ApiDatabase, ready_catalogue
from vittne.appliance.api.limits import Limits
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.reader import READER, Reader
from vittne.appliance.api.server import ApiServer
from vittne.appliance.api.settings import ApiSettings
from vittne.appliance.api.tls import ServerCertificate, files_of
from vittne.appliance.api.tokens import DAY_US, Tokens
from vittne.appliance.audio.desk import AudioDesk, add_audio
from vittne.appliance.control.server import Operator
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.store.catalogue import Search
from vittne.appliance.store.times import now_us
from vittne.capture.pipeline import Settings

HERE = Path(__file__).resolve().parent


def recorded(folder: Path, seconds: int, codec: str) -> Registrar:
    """Write and record a call."""
    capture = folder / "call.pcap"
    arguments = ["--out", str(capture), "--calls", "1", "--seconds", str(seconds), "--codec", codec, "--stagger", "0.1"]
    subprocess.run([sys.executable, str(HERE / "load.py"), *arguments], check=True, stdout=subprocess.DEVNULL)
    registrar = Registrar(folder / "data")
    FileRun(registrar, Settings()).run([str(capture)], "benchmark")
    capture.unlink()
    return registrar


class Player:
    """Asks as a browser does, over one connection."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session = session
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}"}

    async def first_byte(self, path: str, headers: dict[str, str] | None = None) -> tuple[float, int]:
        """Return ms to the first byte of sound, and how many the answer has; the rest is not waited for."""
        begun = time.perf_counter()
        async with self._session.get(self._base + path, headers=self._headers | (headers or {})) as found:
            assert found.status in (200, 206), found.status
            await found.content.readany()
            return (time.perf_counter() - begun) * 1000, found.content_length or 0

    async def whole(self, method: str, path: str) -> tuple[float, Any]:
        """Return ms to the end of an answer, and its JSON."""
        begun = time.perf_counter()
        async with self._session.request(method, self._base + path, headers=self._headers) as found:
            assert found.status in (200, 201), await found.text()
            return (time.perf_counter() - begun) * 1000, await found.json()


async def measure(registrar: Registrar, leaps: int) -> dict[str, Any]:
    """Return the figures of one recording."""
    data = registrar.data_dir
    (call,) = registrar.catalogue.list_calls(Search())
    operator = Operator(registrar, OPERATIONS)
    async with KeyProcess(data, registrar.keys) as keys:
        await keys.unlock(None)
        ready_catalogue(data)
        database, reader = ApiDatabase(data), Reader(data)
        certificate = ServerCertificate(files_of(data, ApiSettings()), datetime.now(UTC))
        limits = Limits(burst=100_000)
        app = build_app(Services(database, reader.catalogue, limits=limits), (*listening.ROUTES, *audio.ROUTES))
        app[READER], app[OPERATOR] = reader, operator
        desk = AudioDesk(data, operator, keys.data_key)
        add_audio(app, desk)
        server = ApiServer(app, ("127.0.0.1",), 0, certificate)
        await server.start()
        token = Tokens(database).create("bench", ("read", "listen"), now_us(), now_us() + DAY_US, ())[1]
        trust = ssl.create_default_context(cafile=certificate.files.certificate)
        host, port = server.addresses[0]
        try:
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
                player = Player(session, f"https://{host}:{port}/api/v1/recordings/{call.id}/", token)
                await player.whole("GET", "timeline")  # the connection is there
                return await figures(player, desk, call.id, leaps)
        finally:
            await server.stop()
            reader.close()
            database.close()


async def figures(player: Player, desk: AudioDesk, call: str, leaps: int) -> dict[str, Any]:
    """Return what a player sees."""
    cold, _ = await player.whole("POST", "listening")
    await asyncio.sleep(3)  # the next process is loaded
    await desk.sounds._close(call)
    warm, shown = await player.whole("POST", "listening")
    path = f"audio?listening={shown['id']}"
    first, size = await player.first_byte(path)
    generator = random.Random(1)
    took = []
    for _ in range(leaps):
        at = generator.randrange(44, size - 1)
        took.append((await player.first_byte(path, {"Range": f"bytes={at}-"}))[0])
    took.sort()
    peaks, _ = await player.whole("GET", f"peaks?listening={shown['id']}&points=2000")
    flac, _ = await player.first_byte(f"audio?listening={shown['id']}&format=flac")
    return {
        "open_cold_ms": round(cold),
        "open_ms": round(warm),
        "first_byte_ms": round(first),
        "leap_p50_ms": round(took[len(took) // 2]),
        "leap_p95_ms": round(took[len(took) * 95 // 100]),
        "leap_worst_ms": round(took[-1]),
        "peaks_ms": round(peaks),
        "flac_first_ms": round(flac),
    }


def main() -> None:
    """Measure, print, and keep if asked."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--full", action="store_true", help="an hour, 100 leaps")
    options.add_argument("--save", action="store_true", help="add the lines to results/audio.jsonl")
    options.add_argument("--folder", type=Path, default=Path("."), help="where there is room")
    given = options.parse_args()
    seconds, leaps = (3600, 100) if given.full else (600, 20)
    rows = []
    for codec in ("pcmu", "opus"):
        folder = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            registrar = recorded(folder, seconds, codec)
            rows.append({"codec": codec, **asyncio.run(measure(registrar, leaps))})
            registrar.close()
        finally:
            shutil.rmtree(folder)
        if given.save:
            report.save(report.result("audio", {"seconds": seconds, "codec": codec, "leaps": leaps}, rows[-1]))
    print(report.table(rows))


if __name__ == "__main__":
    main()
