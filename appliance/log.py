"""The program's log: words at a terminal, JSON everywhere else. Never a digit, a key or a name of a caller."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Final

import structlog
from structlog.typing import Processor


def fault(error: Exception) -> str:
    """Return where a fault of ours happened and of what kind; its own text may hold what no log may."""
    return type(error).__name__ + " at " + "".join(traceback.format_tb(error.__traceback__, -4))


class Tail:
    """The newest lines of the log, for a support bundle: where there is no journal, or nobody may read it."""

    def __init__(self, lines: int = 2000, longest: int = 2000) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._longest = longest

    def keep(self, _logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take a line, which goes on as it is (a processor of structlog)."""
        self._lines.append(json.dumps(line, default=str)[: self._longest])
        return line

    def lines(self) -> list[str]:
        """Return them, the oldest first."""
        return list(self._lines)


TAIL: Final = Tail()


def set_up(*see: Processor) -> None:
    """Send the log to standard error. see: who takes notice of each line first."""
    shown = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *see,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            TAIL.keep,
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
