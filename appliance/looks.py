"""Looking at a recording: whoever hears, copies or reads one is entered in the audit trail first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final, Literal

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events

Kind = Literal["play", "export"]


class Look(Order):
    """What is about to be heard or copied. from_ms, to_ms: of the call's time line; to_ms None: to its end."""

    kind: Kind
    recording: str
    format: str = ""
    party: str = "both"
    from_ms: int = 0
    to_ms: int | None = None
    reason: str = ""


_EVENTS: Final = {"play": events.PLAYED, "export": events.EXPORTED}


def _look(registrar: Registrar, order: Look, caller: Caller) -> Steps:
    call = registrar.catalogue.get(order.recording)
    details = order.model_dump(mode="json", exclude={"kind", "recording"}, exclude_defaults=True)
    yield Progress(0, 1)
    row = registrar.audit.note(_EVENTS[order.kind], caller, call.id, **details)
    return {"audit": row.id}


LOOK: Final = Operation("look", "entering who looks at a recording", Look, _look)


def enter_look(data_dir: Path, order: Look) -> None:
    """Enter a look at a terminal, before the recording is opened. Raises StoreError: then it must not be opened.

    A copy of an archive on a medium that cannot be written has no trail to enter it in; that is said.
    """
    from vittne.appliance.control.client import perform  # noqa: PLC0415

    if not os.access(data_dir, os.W_OK):
        print("note: the directory cannot be written, so nobody will see that this was looked at", file=sys.stderr)
        return
    _: dict[str, Any] = perform(data_dir, LOOK, order)
