"""Pauses that lived when the catalogue was lost, or an older copy of it put back: the ledger knows them, it alone.

It has no name and no Call-ID of whom they were about, so they cannot go on: after a restart their calls are other
recordings, and those are stored. That must not happen in silence: each is named in an alarm, once, and ended in the
ledger from now on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.store.times import rfc3339

ENDED_BY: Final = "catalogue lost"


@dataclass(frozen=True, slots=True)
class LostPause:
    """What the ledger says of it. since: RFC 3339."""

    id: str
    trigger: str
    by: str
    since: str
    recordings: tuple[str, ...]


def note_lost_pauses(registrar: Registrar, now_us: int) -> list[LostPause]:
    """Return the pauses that nobody ended and the catalogue does not know; end them in the ledger.

    Called before a run is begun. The ledger is read through only where the catalogue does not know the last run.
    """
    if not _is_older(registrar):
        return []
    lost = [one for one in _live(registrar) if registrar.catalogue.get_pause(one.id) is None]
    for one in lost:
        recs = list(one.recordings)
        told: dict[str, Any] = {"pause": one.id, "recs": recs, "by": ENDED_BY, "to": rfc3339(now_us)}
        registrar.ledger.record({"t": events.RESUMED, **told})
    registrar.ledger.flush()
    return lost


def _is_older(registrar: Registrar) -> bool:
    """Say whether the catalogue lacks the run that the ledger saw begin last."""
    for _, entry in _view(registrar).backwards():
        said = read_entry(entry)
        if said["t"] == events.START:
            return not registrar.catalogue.has_run(int(str(said["run"])))
    return False


def _live(registrar: Registrar) -> list[LostPause]:
    found: dict[str, LostPause] = {}
    for _, entry in _view(registrar).entries():
        if b'"pause":' not in entry:
            continue
        said: dict[str, Any] = read_entry(entry)
        pause = str(said.get("pause"))
        if said["t"] == events.PAUSED:
            since = str(said.get("from") or said["at"])
            found[pause] = LostPause(pause, str(said["trigger"]), str(said["by"]), since, tuple(said["recs"]))
        elif said["t"] == events.RESUMED:
            found.pop(pause, None)
    return list(found.values())


def _view(registrar: Registrar) -> LedgerView:
    return LedgerView(registrar.data_dir / "ledger", registrar.ledger.key.verifier)
