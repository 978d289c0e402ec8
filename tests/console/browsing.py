"""One browser for all tests of a process; each test has contexts of its own, which share nothing.

A browser belongs to the event loop it was started in, so all tests that look at pages run in one loop.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from typing import Any

from playwright.async_api import Browser, Playwright, async_playwright


class Browsing:
    """The loop and, from its first use on, the browser."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._lasting: set[asyncio.Task[Any]] = set()  # the browser's own

    def run(self, test: Coroutine[Any, Any, None]) -> None:
        """Run a test's coroutine; what it left running is ended, as at the end of a loop of its own."""
        try:
            self._runner.run(test)
        finally:
            self._runner.run(self._end_others())

    async def browser(self) -> Browser:
        """Return the browser; started, which takes a second, where it does not run."""
        if self._browser is None or not self._browser.is_connected():
            before = asyncio.all_tasks()
            self._playwright = self._playwright or await async_playwright().start()
            self._browser = await self._playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
            self._lasting |= asyncio.all_tasks() - before
        return self._browser

    def close(self) -> None:
        """End the browser and the loop."""
        if self._playwright is not None:
            self._runner.run(self._playwright.stop())
        self._runner.close()

    async def _end_others(self) -> None:
        others = asyncio.all_tasks() - self._lasting - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def chromium() -> str:
    """Return the browser's program. Fails with its name where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "chromium is not installed: apt-get install chromium"
    return found


BROWSING = Browsing()
