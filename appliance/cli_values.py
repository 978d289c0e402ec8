"""What options of several commands are read as, and where they lead."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vittne.appliance.datadir import existing_data_dir

if TYPE_CHECKING:
    from vittne.appliance.store.catalogue import Catalogue
    from vittne.appliance.store.rows import CallRow

Command = Callable[[argparse.Namespace], int]
Add = Callable[[str, Command, str], argparse.ArgumentParser]  # a command's name, what it does, words for its help


def data_of(options: argparse.Namespace) -> Path:
    """Return the data directory. Raises StoreError."""
    return existing_data_dir(options.data, options.config)


def catalogue_of(data: Path) -> Catalogue:
    """Open the catalogue to read. Raises StoreError."""
    from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue  # noqa: PLC0415

    return Catalogue(data / CATALOGUE_FILE, read_only=True)


def call_of(data: Path, prefix: str) -> CallRow:
    """Return the one call whose id begins so. Raises NoSuchCall."""
    with catalogue_of(data) as catalogue:
        return catalogue.get(prefix)


def print_lines(lines: list[str]) -> None:
    """Print lines."""
    sys.stdout.write("\n".join(lines) + "\n")


def a_time(text: str) -> int:
    """Return microseconds of a date or time; UTC when no zone is given."""
    from datetime import UTC, datetime  # noqa: PLC0415

    when = datetime.fromisoformat(text)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return int(when.timestamp() * 1_000_000)


def a_count(text: str) -> int:
    """Return a number of 1 or more."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def an_index(text: str) -> int:
    """Return a number of 0 or more."""
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def days(text: str) -> int:
    """Return a number of days, up to ten years."""
    number = a_count(text)
    if number > 3650:
        raise ValueError
    return number
