"""Processes of ours that the recorder's loop starts."""

from __future__ import annotations

import asyncio


async def end_process(process: asyncio.subprocess.Process, within_s: float) -> None:
    """Wait for the end of a process that was told of it; after so long end it."""
    if process.returncode is None:
        try:
            async with asyncio.timeout(within_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
