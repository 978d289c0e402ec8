"""What backups ask of the one writer of a data directory: a state to copy, and entries in the ledger."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events


class Point(Order):
    """Bring ledger and catalogue to one state, and publish it."""


class Entered(Order):
    """A backup that was written: recordings and bytes in it, entries of the ledger, SHA-256 of snapshot.json."""

    recordings: int = Field(ge=0)
    copied: int = Field(ge=0)
    missing: int = Field(ge=0)
    bytes: int = Field(ge=0)
    size: int = Field(ge=0)
    sum: str = Field(pattern="^[0-9a-f]{64}$")


class Drilled(Order):
    """A drill: how many recordings were brought back and opened, how many of them as they should."""

    recordings: int = Field(ge=0)
    good: int = Field(ge=0)
    ok: bool
    size: int = Field(ge=0)
    proof: dict[str, str] | None = None


def _point(registrar: Registrar, _: Point, __: Caller) -> Steps:
    # Between two steps of whoever writes: what the ledger says of calls that ended is in the catalogue too.
    checkpoint = registrar.ledger.publish()
    yield Progress(1, 1)
    return {"size": checkpoint.size}


def _entered(registrar: Registrar, order: Entered, _: Caller) -> Steps:
    from vittne.appliance.backup.standing import note_backup  # noqa: PLC0415 - it reads keys

    registrar.ledger.record({"t": events.BACKED_UP, **order.model_dump()})
    registrar.ledger.flush()
    note_backup(registrar.data_dir)
    yield Progress(1, 1)
    return {}


def _drilled(registrar: Registrar, order: Drilled, _: Caller) -> Steps:
    from vittne.appliance.backup.standing import note_drill  # noqa: PLC0415 - it reads keys

    sums = order.model_dump(include={"recordings", "good", "ok", "size"})
    registrar.ledger.record({"t": events.DRILLED, **sums})
    registrar.ledger.flush()
    if order.ok and order.proof is not None:
        note_drill(registrar.data_dir, order.proof)
    yield Progress(1, 1)
    return {}


POINT: Final = Operation("backup.point", "bringing the archive to a state for a backup", Point, _point)
ENTER_BACKUP: Final = Operation("backup.enter", "entering a backup", Entered, _entered)
ENTER_DRILL: Final = Operation("backup.drill", "entering a drill", Drilled, _drilled)
