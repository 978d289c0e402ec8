"""Beside a recorder whose configuration lets a full disk erase: looks how full it is, and has room made in time."""

from __future__ import annotations

import asyncio

import structlog

from vittne.appliance.alarming.bounds import Bounds
from vittne.appliance.control.caller import VITTNE
from vittne.appliance.control.server import Operator
from vittne.appliance.life.room import MAKE_ROOM, MakeRoom
from vittne.appliance.life.settings import StoreConfig
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.errors import StoreError

log = structlog.get_logger()


class RoomMaker:
    """Erases from when too little is free until enough is, and says so."""

    def __init__(self, operator: Operator, registrar: Registrar, config: StoreConfig, every_s: float = 5.0) -> None:
        self._operator = operator
        self._registrar = registrar
        self._config = config
        self._every_s = every_s
        self._nothing = Bounds()

    async def run(self) -> None:
        """Go on until cancelled."""
        while self._config.room is not None:
            try:
                await self.once()
            except StoreError as error:
                log.error("no room could be made", reason=str(error))
            await asyncio.sleep(self._every_s)

    async def once(self) -> None:
        """Look once; where too little is free, make room until enough is, or nothing more may go."""
        is_stuck = False
        recordings, size_bytes = 0, 0
        missing = self._missing(self._config.erase_below_percent)
        while missing > 0 and (missing := self._missing(self._config.erase_to_percent)) > 0:
            done = await self._operator.perform(MAKE_ROOM, MakeRoom(size_bytes=missing), VITTNE)
            if not done["recordings"]:
                is_stuck = True
                break
            recordings += done["recordings"]
            size_bytes += done["bytes"]
        if recordings:
            log.error("alarm: recordings are erased to make room", recordings=recordings, bytes=size_bytes)
        turn = self._nothing.look(is_stuck, not is_stuck, asyncio.get_running_loop().time())
        if turn == "raise":
            log.error("alarm: the disk fills, and nothing more may be erased", bytes=missing)
        elif turn == "clear":
            log.info("something may be erased again, or need not be")

    def _missing(self, percent: float) -> int:
        """Return how many bytes more must be free for so much of the disk to be."""
        space = self._registrar.store.space()
        return int(space.total * percent / 100) - space.free
