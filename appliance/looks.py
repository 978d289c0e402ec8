"""Looking at a recording: whoever hears, copies or reads one is entered in the audit trail first."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final, Literal, get_args

from pydantic import Field

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339

Kind = Literal["play", "export", "view", "live"]
# GDPR Art. 18(2): what restricted data may be used for; "" is no purpose
Purpose = Literal["", "consent", "legal-claims", "rights-of-others", "public-interest"]
PURPOSES: Final = tuple(one for one in get_args(Purpose) if one)


class Look(Order):
    """What is about to be heard or copied. from_ms, to_ms: of the call's time line; to_ms None: to its end.

    review: why somebody looks at what lies in quarantine; "": he does not. view: who spoke when, as a picture.
    """

    kind: Kind
    recording: str
    format: str = ""
    party: str = "both"
    from_ms: int = 0
    to_ms: int | None = None
    reason: str = ""
    purpose: Purpose = ""
    review: str = Field(default="", max_length=500)


class MayNotLook(StoreError):
    """A recording that is erased, restricted and asked for without a purpose that the law names, or in quarantine."""


_EVENTS: Final = {"play": events.PLAYED, "export": events.EXPORTED, "view": events.VIEWED, "live": events.OVERHEARD}


def _look(registrar: Registrar, order: Look, caller: Caller) -> Steps:
    details = order.model_dump(mode="json", exclude={"kind", "recording"}, exclude_defaults=True)
    yield Progress(0, 1)
    call = registrar.catalogue.get(order.recording)  # in one step with what is written: it may be erased meanwhile
    reason = why_not(call, order.purpose, order.review)
    if reason is not None:
        registrar.audit.note(events.LOOK_REFUSED, caller, call.id, asked=order.kind, reason=reason)
        raise MayNotLook(reason, call.id, _next(call))
    row = registrar.audit.note(_EVENTS[order.kind], caller, call.id, **details)
    return {"audit": row.id}


def why_not(call: CallRow, purpose: str, review: str = "") -> str | None:
    """Say why a recording may not be heard, copied or read; None when it may. review: why it is looked at all the same.

    Who reviews what lies in quarantine needs a purpose all the same where it is restricted as well.
    """
    if call.erased_us is not None:
        return f"it was erased at {rfc3339(call.erased_us)}"
    if call.restricted_us is not None and not purpose:
        return f"it is restricted since {rfc3339(call.restricted_us)}"
    if call.quarantined_us is not None and not review.strip():
        reason = (call.details.get("announcement") or {}).get("reason", "")
        return (
            f"it is in quarantine since {rfc3339(call.quarantined_us)}: it was not announced ({reason or 'no notice'})"
        )
    return None


def refuse(call: CallRow, purpose: str, review: str = "") -> None:
    """Raise MayNotLook when a recording may not be looked at."""
    reason = why_not(call, purpose, review)
    if reason is not None:
        raise MayNotLook(reason, call.id, _next(call))


_NEXT: Final = f"--purpose {'|'.join(PURPOSES)} opens what is restricted, and is written down"
_REVIEW: Final = "`vittne announcement release` or `discard` ends that; --review REASON opens it, and is written down"


def _next(call: CallRow) -> str:
    return _REVIEW if call.erased_us is None and call.restricted_us is None else _NEXT


LOOK: Final = Operation("look", "entering who looks at a recording", Look, _look, is_brief=True, is_note=True)


class Heard(Order):
    """What was heard or copied since a look (its row's id), in seconds of the call's time line, [from, to] each.

    from_at, to_at: when it was spoken, of a call that was heard while it lasted.
    """

    recording: str
    look: str = Field(pattern="^[0-9a-f]{32}$")
    party: str = "both"
    seconds: int = Field(ge=0)
    spans: tuple[tuple[int, int], ...] = Field(strict=False, max_length=256)
    from_at: str = Field(default="", max_length=40)
    to_at: str = Field(default="", max_length=40)


def _heard(registrar: Registrar, order: Heard, caller: Caller) -> Steps:
    yield Progress(0, 1)
    unsaid = {name for name in ("from_at", "to_at") if not getattr(order, name)}
    details = order.model_dump(mode="json", exclude={"recording", *unsaid})
    row = registrar.audit.note(events.HEARD, caller, order.recording, **details)
    return {"audit": row.id}


HEARD: Final = Operation("heard", "entering what of a recording was heard", Heard, _heard, is_brief=True, is_note=True)


def enter_look(data_dir: Path, order: Look) -> None:
    """Enter a look at a terminal, before the recording is opened. Raises StoreError: then it must not be opened.

    A copy of an archive on a medium that cannot be written has no trail to enter it in; that is said.
    """
    from vittne.appliance.control.client import perform  # noqa: PLC0415

    if not os.access(data_dir, os.W_OK):
        with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            refuse(catalogue.get(order.recording), order.purpose)
        print("note: the directory cannot be written, so nobody will see that this was looked at", file=sys.stderr)
        return
    _: dict[str, Any] = perform(data_dir, LOOK, order)
