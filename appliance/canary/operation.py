"""Having a canary call placed now: asked of the recorder that runs, which alone can see what becomes of it."""

from __future__ import annotations

from typing import Final

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar


class PlaceCanary(Order):
    """Place one at once, or as soon as the one that is under way is over."""


def _place(registrar: Registrar, _: PlaceCanary, __: Caller) -> Steps:
    yield Progress(1, 1)
    return {"run": registrar.canaries.ask()}


PLACE_CANARY: Final = Operation("canary.place", "placing a canary call", PlaceCanary, _place, is_brief=True)
