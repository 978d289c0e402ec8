"""The program's log: words at a terminal, JSON everywhere else. Never a digit, a key or a name of a caller."""

from __future__ import annotations

import logging
import sys
import traceback

import structlog
from structlog.typing import Processor


def fault(error: Exception) -> str:
    """Return where a fault of ours happened and of what kind; its own text may hold what no log may."""
    return type(error).__name__ + " at " + "".join(traceback.format_tb(error.__traceback__, -4))


def set_up(*see: Processor) -> None:
    """Send the log to standard error. see: who takes notice of each line first."""
    shown = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            *see,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            shown,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
