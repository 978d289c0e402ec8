"""Recordings with a life: an archive of one call that everybody can be told by, classes, what is left on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from cuts import REC, START_US, three_parts

from vittne.appliance.control.operation import Caller
from vittne.appliance.life.erase import Wanted, erasing_some
from vittne.appliance.life.precedence import decide
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import CallRow
from vittne.capture.pause import Pause

DAY_US = 86_400_000_000
FAR_US = 4_102_444_800_000_000  # the year 2100
ANN = Caller("Ann")
BOB = Caller("Bob")
# Whatever the archive knows of the two who spoke.
NAMES = (
    b"+4930555123",
    b"4930555123",
    b"0401234777",
    b"Hedda Gabler",
    b"Gabler",
    b"secret-call-id",
    b"192.0.2.77",
    b"order-4711-of-hedda",
)


def archive(data: Path) -> None:
    """Make a data directory with the call REC: three seconds, two parties, a pause, a look."""
    three_parts(data)
    registrar = Registrar(data)
    row = registrar.catalogue.get(REC)
    registrar.catalogue.upsert_call(
        replace(
            row,
            caller="sip:+4930555123@example.org",
            callee="sip:0401234777@192.0.2.77",
            call_ids=("secret-call-id@192.0.2.77",),
            parties=({"seat": 0, "uri": "sip:+4930555123@example.org", "name": "Hedda Gabler"},),
            streams=tuple(replace(one, source="192.0.2.77:4000") for one in row.streams),
            details={"flags": [], "dialogs": [{"caller": "sip:+4930555123@example.org"}]},
            tags=("gabler-case",),
            basis={"proof": "0401234777 agreed"},
        )
    )
    pause = Pause(
        "11111111-0000-4000-8000-000000000000",
        "api",
        "token",
        START_US * 1000,
        START_US * 1000,
        0,
        START_US * 1000,
        0,
        reason="Hedda Gabler pays",
        external_id="order-4711-of-hedda",
        calls=(REC,),
        call_ids=("secret-call-id@192.0.2.77",),
        select={"ani": "+4930555123"},
        to_at=START_US * 1000 + 1,
        ended_by="api",
    )
    registrar.note_pauses([pause])
    registrar.audit.note("export", Caller("Ann"), REC, reason="for +49 30 555 123, who asked")
    registrar.close()


def several(data: Path, count: int) -> list[str]:
    """Copy the call of an archive in the catalogue under other ids, nothing of it recorded; return the ids."""
    registrar = Registrar(data)
    row = registrar.catalogue.get(REC)
    rows = [
        replace(row, id=f"{n:08x}-1111-4000-8000-000000000000", folder="", started_us=START_US + n * 1_000_000)
        for n in range(1, count + 1)
    ]
    registrar.catalogue.upsert_calls(rows)
    registrar.close()
    return [one.id for one in rows]


def classed(
    data: Path,
    name: str,
    locked_us: int | None,
    expires_us: int | None,
    recording: str = REC,
    restricted_us: int | None = None,
) -> None:
    """Give a call a class, as sealing does."""
    registrar = Registrar(data)
    registrar.life.change(
        recording,
        retention_class=name,
        locked_until_us=locked_us,
        expires_us=expires_us,
        restricted_us=restricted_us,
    )
    registrar.close()


def call(data: Path, recording: str = REC) -> CallRow:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return catalogue.get(recording)


def folder(data: Path) -> Path:
    return data / "recordings/2023/11/14" / REC


def everything(data: Path) -> bytes:
    """Return all bytes of all files."""
    return b"".join(path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file())


def copied(data: Path, where: Path) -> Path:
    return Path(shutil.copytree(data, where))


def erasing(data: Path) -> Iterator[str]:
    """Erase REC, one step at a time."""
    registrar = Registrar(data)
    row = registrar.life.get(REC)
    yield "begun"
    yield from erasing_some(
        registrar, [Wanted(row, "requested", "he asked", ANN, ("Ann",), decide("erase", row.facts, 0))]
    )
    registrar.close()
