"""What must be so before a recording is cut, for a command and for the console."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vittne.appliance.cutplan import CutPlan, Span, plan_cut
from vittne.appliance.opened import OpenedRecording, bring_back_missing
from vittne.appliance.seal.opener import Opener
from vittne.appliance.seal.verdict import HOLDS
from vittne.appliance.seal.verify import verify
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.terminal import clean

_WORDS: Final = 600


class CannotCut(StoreError):
    """A recording, or a span of it, that is not cut."""


def call_to_cut(data: Path, prefix: str) -> CallRow:
    """Return a call of which something can be cut. Raises CannotCut, NoSuchCall."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        call = catalogue.get(prefix)
    if call.details.get("source"):
        what = "this recording was imported: its sound is one file, of which no span can be cut out and the rest kept"
        raise CannotCut(what, call.id, "erase it (`vittne erase`), and import a vCon without the span")
    if call.state != FINISHED:
        raise CannotCut("the call goes on", call.id, "pause it; cut it when it has ended")
    if not call.folder:
        raise CannotCut("nothing was recorded of this call", call.id, "`vittne show` says why")
    return call


def refuse_wrong(data: Path, call: CallRow, opener: Opener | None = None) -> None:
    """Raise CannotCut when a recording does not verify.

    Who signs a new version vouches for all of it: what does not hold now would be hidden for ever.
    """
    bring_back_missing(data, data / call.folder)
    verdict = verify(data, call.id, opener=opener)
    wrong = next((check for check in verdict.checks if check.result != HOLDS), None)
    if wrong is not None:
        what = f"the recording does not verify ({wrong.name}: {wrong.words})"
        raise CannotCut(clean(what, _WORDS), call.id, "see `vittne verify`; a recording that fails is not cut")


def plan_of(opened: OpenedRecording, span: Span, recording: str) -> CutPlan:
    """Return what would go. Raises CannotCut: nothing would."""
    if opened.is_live:
        raise CannotCut("the call goes on", recording, "pause it; cut it when it has ended")
    plan = plan_cut(opened, span)
    if not plan.packets and not plan.reports:
        raise CannotCut("nothing is stored in that span", recording, "`vittne show` tells when the call was, in UTC")
    return plan
