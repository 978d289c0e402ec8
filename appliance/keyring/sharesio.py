"""Recovery shares on paper: shown one after another, each once, and typed in again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vittne.appliance.keyring import shares
from vittne.appliance.keyring.errors import KeysExist, KeysLocked, KeysMismatch
from vittne.appliance.keyring.secretfile import asked
from vittne.appliance.store.errors import explain

_CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"  # the screen, and what was scrolled off it
_COLUMNS: Final = 3
_MOST_BYTES: Final = 65_536


def print_shares(made: Sequence[str]) -> None:
    """Show shares at the terminal, one at a time. Raises KeysLocked where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise KeysLocked("shares are shown at a terminal only", "shares", "or write them into files: --to DIR")
    for number, share in enumerate(made, 1):
        print(f"{_CLEAR}Share {number} of {len(made)}. Write it down; it is shown once.\n")
        print("\n".join(_lines(share)))
        input("\nPress Enter when it is written down, and nobody else looks. ")
    sys.stdout.write(_CLEAR)


def write_shares(made: Sequence[str], folder: Path) -> None:
    """Write shares into files of 0600, share-1.txt and so on, in a folder. Raises KeysExist, StoreError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number, share in enumerate(made, 1):
            path = folder / f"share-{number}.txt"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as stream:
                stream.write(share + "\n")
                stream.flush()
                os.fsync(stream.fileno())
    except FileExistsError as error:
        raise KeysExist("there are shares already", folder, "name an empty folder") from error
    except OSError as error:
        raise explain(error, "write a share", folder) from error


def read_shares() -> list[str]:
    """Return as many shares as are needed: typed without echo, or lines of standard input. Raises KeysMismatch."""
    if not sys.stdin.isatty():
        return [line for line in sys.stdin.read(_MOST_BYTES).splitlines() if line.strip()]
    found: dict[int, str] = {}
    need = 1
    while len(found) < need:
        text = asked(f"Share {len(found) + 1}{f' of {need}' if found else ''}").decode("utf-8", "replace")
        try:
            share = shares.checked(text)
        except KeysMismatch as error:
            print(error.what, file=sys.stderr)
            continue
        found[share.index], need = text, shares.wanted(share)
    return list(found.values())


def _lines(share: str) -> list[str]:
    """Return a share in numbered columns, so that a line that was left out is seen."""
    words = share.split()
    told = [f"{number:2}. {word:12}" for number, word in enumerate(words, 1)]
    return ["  ".join(told[start : start + _COLUMNS]) for start in range(0, len(told), _COLUMNS)]
