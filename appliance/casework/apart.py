"""A process of ours that is apart from the recorder: started at low priority, told lines, ended."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_STOP_S: Final = 5.0
# Nothing of our environment goes along that may name files with secrets.
_KEPT: Final = ("PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH")


async def started(module: str, line_limit: int, fds: Sequence[int] = ()) -> asyncio.subprocess.Process:
    """Start `python -m module`. fds: files that it gets under the same numbers."""
    return await asyncio.create_subprocess_exec(
        *("nice", "-n", "10", sys.executable, "-m", module),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=line_limit,
        pass_fds=fds,
        env={name: os.environ[name] for name in _KEPT if name in os.environ},
    )


async def tell(process: asyncio.subprocess.Process, line: str) -> None:
    """Write a line to its standard input."""
    assert process.stdin is not None
    with suppress(ConnectionError):  # it ended: what it answers then is nothing
        process.stdin.write(line.encode() + b"\n")
        await process.stdin.drain()


async def ended(process: asyncio.subprocess.Process) -> None:
    """Let it end by itself, since nothing more is said to it; else have it end."""
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is not None:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await process.wait()
            return
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
