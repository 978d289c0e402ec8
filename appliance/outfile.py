"""Where an export goes: a file that appears whole or not at all, or standard output."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vittne.appliance.store.errors import StoreError, explain

STDOUT = "-"


@contextmanager
def whole_file(output: str, force: bool) -> Iterator[tuple[BinaryIO, Path | None]]:
    """Yield a stream to write to and its path; on a clean exit it becomes `output`, else it is removed.

    output: "-" yields standard output and no path. force: an existing file may be replaced. The file
    is 0600: a call is nobody else's business until its owner says so. Raises StoreError.
    """
    if output == STDOUT:
        if sys.stdout.isatty():
            raise StoreError("sound and packets are not shown on a terminal", "standard output", "name a file with -o")
        yield sys.stdout.buffer, None
        sys.stdout.buffer.flush()
        return
    target = Path(output)
    if target.is_dir():
        raise StoreError("this is a directory", target, "name a file in it")
    if not force and os.path.lexists(target):
        raise StoreError("there is already a file", target, "choose another name, or give --force")
    try:
        fd, half = tempfile.mkstemp(prefix=f".{target.name[:80]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise explain(error, "write a file", target.parent) from error
    try:
        with os.fdopen(fd, "w+b") as stream:
            yield stream, Path(half)
            stream.flush()
            os.fsync(stream.fileno())
        _give_name(half, target, force)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(half)
        raise


def _give_name(half: str, target: Path, force: bool) -> None:
    """Rename; without force by a link, which fails when somebody made the file in the meantime."""
    try:
        if force:
            os.replace(half, target)
            return
        try:
            os.link(half, target)
        except FileExistsError:
            raise StoreError("there is already a file", target, "choose another name, or give --force") from None
        except OSError:  # no links on this file system (FAT, some shares)
            os.rename(half, target)
            return
        os.unlink(half)
    except OSError as error:
        raise explain(error, "write a file", target) from error


@contextmanager
def progress(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error when it is a terminal; yields what to call with how much is done."""
    if not sys.stderr.isatty() or total <= 0:
        yield lambda _: None
        return
    from rich.console import Console  # noqa: PLC0415 - only somebody who watches pays for it
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total)
        yield lambda done: bar.update(task, completed=done)
