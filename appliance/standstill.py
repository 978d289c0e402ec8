"""A recorder that died recorded nothing until the next start: that is an entry of the ledger, from when to when."""

from __future__ import annotations

from typing import Final

from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.store.times import rfc3339

_LOOKED_AT: Final = 100_000  # entries: a run that was longer had a clock entry within them
REASON: Final = "crash"


def note_standstill(registrar: Registrar, now_us: int) -> bool:
    """Enter since when nothing was recorded, if the run before did not end as it should; say whether it was entered.

    Called before a new run is begun, behind `recover`.
    """
    since = last_sign_of_life(registrar)
    if since is None:
        return False
    registrar.ledger.record({"t": events.GAP, "from": since, "to": rfc3339(now_us), "reason": REASON})
    registrar.ledger.flush()
    return True


def last_sign_of_life(registrar: Registrar) -> str | None:
    """Return when the run before last entered something (RFC 3339); None when it ended, or there was none.

    What was entered behind the first "crash" that speaks of it was not its doing. The clock's hourly entry bounds how
    far this can lie before its death.
    """
    view = LedgerView(registrar.data_dir / "ledger", registrar.ledger.key.verifier)
    last: str | None = None
    for looked_at, (_, entry) in enumerate(view.backwards(), 1):
        said = read_entry(entry)
        if said["t"] in (events.STOP, events.GAP):
            return None
        if said["t"] == events.CRASH:
            last = None
        elif last is None:
            last = str(said["at"])
        if said["t"] == events.START or looked_at == _LOOKED_AT:
            return last
    return None  # nothing was ever begun
