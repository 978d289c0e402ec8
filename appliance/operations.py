"""All operations that a running recorder does for others."""

from __future__ import annotations

from typing import Any, Final

from vittne.appliance.control.operation import Operation
from vittne.appliance.cut import ENTER_CUT, KEEP_KEYS, SETTLE_CUTS
from vittne.appliance.looks import LOOK
from vittne.appliance.scrub.runner import ENTER_SCRUB
from vittne.appliance.stamps.operation import ENTER_STAMPS

OPERATIONS: Final[tuple[Operation[Any], ...]] = (ENTER_SCRUB, LOOK, SETTLE_CUTS, KEEP_KEYS, ENTER_CUT, ENTER_STAMPS)
