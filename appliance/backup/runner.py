"""Backups beside a recorder: starts the process that copies when it is time, enters what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import structlog

from vittne.appliance.backup.operation import ENTER_BACKUP
from vittne.appliance.backup.process import entry_of
from vittne.appliance.backup.settings import BackupSettings
from vittne.appliance.backup.standing import last_backup_us
from vittne.appliance.backup.write import Done
from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.server import Operator
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

log = structlog.get_logger()

_HOUR_US: Final = 3_600_000_000
_LOOK_S: Final = 60.0
_AGAIN_S: Final = 600.0
_LINE_LIMIT: Final = 16 << 20


class BackupTimer:
    """Backs up again and again until cancelled."""

    def __init__(self, operator: Operator, data_dir: Path, settings: BackupSettings, config: Path | None) -> None:
        self._operator = operator
        self._data_dir = data_dir
        self._settings = settings
        self._config = config

    async def run(self) -> None:
        """Back up when it is time; what fails is told, and tried again ten minutes later."""
        while self._settings.target:
            if not self._is_due():
                await asyncio.sleep(_LOOK_S)
            elif not await self.once():
                await asyncio.sleep(_AGAIN_S)

    async def once(self) -> bool:
        """Back up now; return whether that succeeded."""
        said = await self._copied()
        if "done" not in said:
            log.error("alarm: the backup failed", reason=str(said.get("error", "its process died"))[:300])
            return False
        done = Done(**said["done"])
        try:
            await self._operator.perform(ENTER_BACKUP, entry_of(done), VITTNE)
        except StoreError as error:
            log.error("a backup could not be entered", reason=str(error))
            return False
        log.info("backed up", recordings=done.recordings, copied=done.copied, bytes=done.bytes)
        for problem in done.problems[:10]:
            log.error("alarm: a recording is not in the backup", reason=problem[:300])
        if not done.has_key:
            log.warning("the archive key lies open, so it is not in the backup: give it a passphrase")
        return True

    def _is_due(self) -> bool:
        last = last_backup_us(self._data_dir)
        return last is None or not last <= now_us() < last + self._settings.every_hours * _HOUR_US

    async def _copied(self) -> dict[str, Any]:
        order = {
            "data": str(self._data_dir),
            "target": self._settings.target,
            "config": str(self._config) if self._config is not None else "",
            "keep_days": self._settings.keep_key_copies_days,
            "bytes_per_s": self._settings.mb_per_s * 1e6,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vittne.appliance.backup.process", json.dumps(order)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
        )
        assert process.stdout is not None
        said: dict[str, Any] = {}
        try:
            async for line in process.stdout:
                said = json.loads(line)
            await process.wait()
        except ValueError:
            return {}
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
        return said
