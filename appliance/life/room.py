"""Making room when the disk fills: what no rule keeps goes, the oldest first, by the same way as all that is erased.

Only where the configuration says so (store.when_full). Never what is on hold, locked, restricted, without a class or
still being recorded; nor what lies at a storage target only: that takes no room here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.life.carry import refuse_when_lost
from vittne.appliance.life.erase import ROOM, Wanted, erasing_some, settle_erasures
from vittne.appliance.life.policy import Room
from vittne.appliance.life.precedence import Decision, decide
from vittne.appliance.life.table import LifeRow
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.times import now_us

_ROUND: Final = 50  # recordings that go in one operation: others want their turn
_LOOKED_AT: Final = 200


class MakeRoom(Order):
    """Erase until so many bytes are free that were not, or one round is over."""

    size_bytes: int = Field(ge=1)


def goes_first(registrar: Registrar, room: Room, at_us: int) -> Iterator[tuple[LifeRow, Decision, int]]:
    """Yield what would go, in order, with the bytes that it takes here."""
    registrar.life.holds.take_standing()
    orders: list[tuple[str, ...]] = [(name,) for name in room.classes]
    for classes in orders or [()]:
        for row in registrar.life.for_room(at_us, classes, _LOOKED_AT):
            decision = decide("space", row.facts, at_us, may_make_room=True)
            size = taken_here(registrar, row)
            if decision.allowed and size:
                yield row, decision, size


def taken_here(registrar: Registrar, row: LifeRow) -> int:
    """Return the bytes that a recording's parts take on this disk."""
    folder = registrar.data_dir / row.folder
    try:
        return sum(path.stat().st_blocks * 512 for path in folder.glob("part-*.floe"))
    except OSError:  # it went meanwhile
        return 0


def _make(registrar: Registrar, order: MakeRoom, caller: Caller) -> Steps:
    refuse_when_lost(registrar.data_dir)
    settle_erasures(registrar)
    yield Progress(0, 0)
    room = registrar.life_policy.room
    if room is None:
        return {"recordings": 0, "bytes": 0}
    going: list[Wanted] = []
    size_bytes = 0
    for row, decision, size in goes_first(registrar, room, now_us()):
        reason = f"the disk is full; class {row.facts.retention_class}"
        going.append(Wanted(row, ROOM, reason, caller, (), decision))
        size_bytes += size
        if size_bytes >= order.size_bytes or len(going) == _ROUND:
            break
    yield Progress(0, len(going))
    if going:
        # Once: who reads the catalogue meanwhile must not keep the disk full. The night empties its log.
        for words in erasing_some(registrar, going, tries=1):
            yield Progress(0, len(going), words)
        registrar.audit.note(events.ROOM_MADE, caller, recordings=len(going), bytes=size_bytes)
    return {"recordings": len(going), "bytes": size_bytes}


MAKE_ROOM: Final = Operation("retention.room", "erasing to make room", MakeRoom, _make)
