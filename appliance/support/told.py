"""What a recorder that runs tells for a support bundle: state, metrics, alarms, the newest lines of its log."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field

from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events


class MakeSupport(Order):
    """recording: the call that goes with it; "": none. since: from when lines of the log are wanted, us UTC."""

    recording: str = Field(default="", max_length=64)
    since_us: int = 0


def _make(registrar: Registrar, order: MakeSupport, caller: Caller) -> Steps:
    """Enter that a bundle is made, then tell what is known."""
    yield Progress(0, 1)
    registrar.audit.note(events.SUPPORT, caller, order.recording, since=order.since_us)
    return registrar.support()


SUPPORT: Final[Operation[Any]] = Operation("support", "making a support bundle", MakeSupport, _make, is_brief=True)
