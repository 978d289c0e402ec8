"""A bar on the terminal while capture files are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


@contextmanager
def reading(paths: Sequence[str]) -> Iterator[Callable[[str, int], None]]:
    """Show how much of all files is read; yields what to call with a path and the bytes read of it."""
    sizes = {path: Path(path).stat().st_size if path != "-" and Path(path).is_file() else 0 for path in paths}
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("read", total=sum(sizes.values()) or None)
        read: dict[str, int] = {}

        def advance(path: str, count: int) -> None:
            read[path] = min(count, sizes.get(path) or count)
            progress.update(task, completed=sum(read.values()))

        yield advance
