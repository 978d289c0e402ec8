"""Entering stamps that a command fetched or somebody carried: the only step that the ledger's writer must do."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.stamps import folders
from vittne.appliance.stamps.entering import enter
from vittne.appliance.store.errors import StoreError


class EnterStamps(Order):
    """names: of folders below DIR/stamps, whole and verified; those that are entered already are passed over."""

    names: tuple[str, ...] = Field(max_length=64)


def _enter(registrar: Registrar, order: EnterStamps, caller: Caller) -> Steps:
    entered = 0
    for done, name in enumerate(order.names):
        yield Progress(done, len(order.names))
        folder = folders.stamps_dir(registrar.data_dir) / name
        if not folders.is_stamp_name(name) or not folder.is_dir():
            raise StoreError("there is no such stamp to enter", repr(name)[:80], "see `vittne stamp list`")
        if not (folder / folders.ENTRY_FILE).exists():
            enter(registrar, folder)
            entered += 1
    return {"entered": entered}


ENTER_STAMPS: Final = Operation("stamp.enter", "entering time stamps", EnterStamps, _enter)
