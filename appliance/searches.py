"""The entry of a search: who looked for whom, in the audit trail and, without saying for whom, in the ledger."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from vittne.appliance.control.caller import Caller
from vittne.appliance.control.operation import Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events


class Searched(Order):
    """What was looked for, as it was asked, and how many it found. The query is in the trail's row only."""

    where: Literal["calls", "subject", "all recorders"]
    query: dict[str, str | int | bool] = Field(max_length=20)
    found: int = Field(ge=0)


def _searched(registrar: Registrar, order: Searched, caller: Caller) -> Steps:
    yield Progress(0, 1)
    told: dict[str, Any] = {"where": order.where, "query": dict(order.query), "ledger": {"found": order.found}}
    row = registrar.audit.note(events.SEARCHED, caller, **told)
    return {"audit": row.id}


SEARCHED: Final = Operation("searched", "entering who searches", Searched, _searched, is_brief=True, is_note=True)
