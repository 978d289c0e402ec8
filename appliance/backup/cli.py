"""Options of `vittne backup` and `vittne restore`; what they do is in command.py."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vittne.appliance.datadir import config_file, data_dir, existing_data_dir
from vittne.appliance.store.errors import StoreError

Run = Callable[[argparse.Namespace], int]
Add = Callable[[str, Run, str], argparse.ArgumentParser]


def add_backup(add: Add, time: Any, count: Any) -> None:
    """Add the commands. time: reads one, in microseconds; count: reads a number of 1 or more."""
    write = add("backup", _backup, "copy the archive to another disk, while it records")
    write.add_argument("dest", metavar="DEST", nargs="?", default="", help="directory; default: [backup] target")
    write.add_argument("--mb-per-s", type=float, metavar="N", help="default: [backup] mb_per_s")
    write.add_argument("--list", action="store_true", help="only show which snapshots are there")
    write.add_argument("--json", action="store_true", help="one object; with --list one array")
    back = add("restore", _restore, "go on from a backup, or try whether that could be done")
    back.add_argument("source", metavar="SRC", type=Path, help="directory with a backup")
    what = back.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", type=Path, metavar="DIR", help="an empty directory, to be the data directory")
    what.add_argument("--drill", action="store_true", help="bring back and decode some recordings; then forget them")
    back.add_argument(
        "--snapshot", type=time, metavar="TIME", help="keys and catalogue of then: 2026-01-31[T12:00], UTC"
    )
    back.add_argument("--archive-key", type=Path, metavar="FILE", help="a copy that is kept apart from the backup")
    back.add_argument(
        "--random", type=count, default=3, metavar="N", help="with --drill: besides newest and oldest; default: 3"
    )
    back.add_argument("--json", action="store_true", help="with --drill: one object")


def _backup(options: argparse.Namespace) -> int:
    from vittne.appliance.backup import command  # noqa: PLC0415 - here and below: only what a command needs
    from vittne.appliance.config import load  # noqa: PLC0415

    file = config_file(options.config)
    settings = load(file).backup
    target = options.dest or settings.target
    if not target:
        raise StoreError("no backup is configured", "backup", "name a directory: vittne backup DEST")
    if options.list:
        return command.list_snapshots(Path(target), options.json)
    data = existing_data_dir(options.data, options.config)
    rate = settings.mb_per_s if options.mb_per_s is None else options.mb_per_s
    return command.backup(data, Path(target), file, settings.keep_key_copies_days, rate, options.json)


def _restore(options: argparse.Namespace) -> int:
    from vittne.appliance.backup import command  # noqa: PLC0415

    wanted = command.RestoreOptions(options.source, options.to, options.snapshot, options.archive_key, options.random)
    if options.to is not None:
        if options.json:
            raise StoreError("restoring is told in words", "restore", "leave out --json, or give --drill")
        return command.restore(wanted)
    data = data_dir(options.data, options.config)
    return command.drill(wanted, data if data.is_dir() else None, options.json)
