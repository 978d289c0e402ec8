#!/usr/bin/env python3
"""Ask a recorder's API to pause and resume calls, and say how long each answer took.

Calls are those of place_calls.py, named by their callers' extensions. The token comes on standard input. Prints one
line of JSON. Requests come one after the other over one connection, at random moments, so that they meet
commits and the time between them as they fall.

    python benchmarks/ask_pauses.py --data DIR --calls 2000 --pauses 500 --seconds 30 < token
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
from pathlib import Path
from typing import Any, Final

import aiohttp

ADDRESS: Final = "https://localhost:8443/api/v1"
HELD_S: Final = 1.0  # between pause and resume


async def ask(arguments: argparse.Namespace, token: str) -> dict[str, Any]:
    trust = ssl.create_default_context(cafile=str(arguments.data / "tls" / "certificate.pem"))
    headers = {"Authorization": f"Bearer {token}"}
    took: dict[str, list[float]] = {"pause": [], "resume": []}
    statuses: Counter[int] = Counter()
    named = 0
    chance = random.Random(1)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), headers=headers) as session:

        async def post(what: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
            begin = time.perf_counter()
            async with session.post(f"{ADDRESS}/{path}", json=body) as found:
                answer: dict[str, Any] = await found.json(content_type=None)
            took[what].append(time.perf_counter() - begin)
            statuses[found.status] += 1
            return answer

        async def one(extension: str) -> None:
            nonlocal named
            answer = await post("pause", "pauses", {"select": {"extension": extension}, "reason": "benchmark"})
            streams = [stream for call in answer.get("calls", ()) for stream in call["streams"]]
            named += bool(streams) and all(stream["first_dropped"] for stream in streams)
            await asyncio.sleep(HELD_S)
            await post("resume", f"pauses/{answer.get('id', 'none')}/resume", {})

        tasks = []
        for extension in chance.sample(range(arguments.calls), arguments.pauses):
            tasks.append(asyncio.create_task(one(f"2{extension:05d}")))
            await asyncio.sleep(chance.expovariate(arguments.pauses / arguments.seconds))
        await asyncio.gather(*tasks)
    return {
        "pauses": len(took["pause"]),
        "statuses": {str(status): number for status, number in sorted(statuses.items())},
        "answers_that_name_first_packets": named,
        **{f"{what}_{name}_ms": value for what, times in took.items() for name, value in figures(times).items()},
    }


def figures(times: list[float]) -> dict[str, float]:
    """Return quantiles, ms."""
    ordered = sorted(times)
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))], 1)
        for name, part in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--pauses", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=30)
    print(json.dumps(asyncio.run(ask(parser.parse_args(), sys.stdin.readline().strip()))), flush=True)


if __name__ == "__main__":
    main()
