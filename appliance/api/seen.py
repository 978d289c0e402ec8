"""One recording, for whoever asks: what does not exist for them is not found, what they may not do is refused.

Pages and routes about a recording begin here.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.profile import FIELD_CLASSES, FieldClass, Level
from vittne.appliance.access.scopes import SCOPES
from vittne.appliance.access.showing import shown
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.logins import OPERATOR
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.casework.process import CaseDesk
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.keyring.errors import KeysLocked, KeysMissing
from vittne.appliance.listing.search import FoundCall, found_calls
from vittne.appliance.listing.shown import RecordingShown, recording_of_call
from vittne.appliance.listing.table import ListingTable
from vittne.appliance.looks import LOOK, Look, MayNotLook
from vittne.appliance.opened import NotPlayable, bring_back_missing, folder_of, part_numbers
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import is_id
from vittne.appliance.store.holds import HoldTable
from vittne.appliance.store.rows import CallRow

KEYS: Final = web.AppKey("vittne.keys", KeyProcess)  # not there where the recorder has no private key
CASES: Final = web.AppKey("vittne.cases", CaseDesk)


@dataclass(frozen=True, slots=True)
class Seen:
    """A recording that exists for who asks."""

    who: Principal
    found: FoundCall
    levels: dict[FieldClass, Level]
    now_us: int

    @property
    def call(self) -> CallRow:
        """As it was recorded."""
        return self.found.sealed

    def needs_reason(self, scope: str) -> bool:
        """Whether a reason must be given before something is done with it."""
        return self.who.needs_reason(scope, self.found.facts, self.now_us)

    def may(self, scope: str) -> bool:
        """Say whether something is allowed with it."""
        return self.who.may_of(scope, self.found.facts, self.now_us)

    def sees(self, *fields: FieldClass) -> bool:
        """Say whether these are seen in full."""
        return all(self.levels[field] == "full" for field in fields)

    def need(self, scope: str) -> None:
        """Raise Problem where something is not allowed with it."""
        if not self.may(scope):
            detail = f"your roles do not allow it with this recording: {SCOPES[scope]}"
            raise Problem(403, "/problems/missing-scope", "You may not do this", detail, scope=scope)

    def need_fields(self, *fields: FieldClass) -> None:
        """Raise Problem where not all of these are seen in full."""
        hidden = [FIELD_CLASSES[field] for field in fields if self.levels[field] != "full"]
        if hidden:
            detail = f"your role does not show: {'; '.join(hidden)}"
            raise Problem(403, "/problems/hidden-fields", "You may not see all that is in it", detail)


async def seen(request: web.Request) -> Seen:
    """Return the recording that the address names. Raises Problem: there is none, for this one who asks."""
    who, now = principal_of(request), request.app[GATE].now_us()
    wanted = request.match_info["id"].lower()
    found = await request.app[READER](_found, wanted) if is_id(wanted) else None
    if found is None or not who.sees(found.facts, now):
        raise Problem(404, "/problems/no-such-recording", "There is no such recording", "look at the id")
    return Seen(who, found, who.levels(found.facts, now), now)


def _found(catalogue: Catalogue, recording: str) -> FoundCall | None:
    return found_calls(catalogue, [recording]).get(recording)


async def recording_shown(request: web.Request, one: Seen) -> dict[str, Any]:
    """Return everything about a recording, as far as who asks may see it."""
    whole = await request.app[READER](_whole, one.found)
    return shown(whole, one.levels)


def _whole(catalogue: Catalogue, found: FoundCall) -> RecordingShown:
    recording = found.sealed.id
    return recording_of_call(found, ListingTable(catalogue).notes(recording), HoldTable(catalogue).history(recording))


async def enter_look(request: web.Request, one: Seen, scope: str, order: Look) -> None:
    """Enter that somebody looks at a recording, before they do. Raises Problem: a reason is wanted, they may not."""
    if one.needs_reason(scope) and not order.reason.strip():
        detail = "your role wants a reason each time: send one as reason"
        raise Problem(403, "/problems/reason-needed", "Say why", detail)
    try:
        await request.app[OPERATOR].perform(LOOK, order, one.who.caller)
    except MayNotLook as error:
        raise Problem(403, "/problems/may-not-look", "It may not be looked at", f"{error.what}; {_how(one)}") from None


def _how(one: Seen) -> str:
    if one.call.restricted_us is not None:
        return "send a purpose that the law names"
    return "send review with a reason, if it is yours to look at" if one.call.quarantined_us is not None else ""


async def keys_of(request: web.Request, call: CallRow) -> dict[int, str]:
    """Return the keys of a recording's parts, base64. Raises Problem: locked, gone, nothing recorded."""
    keys = request.app.get(KEYS)
    if keys is None:
        raise _locked("this recorder has no private key: open its archive elsewhere")
    data = request.app[READER].data_dir
    try:
        numbers = await request.app[READER].work(lambda: _numbers(data, call))
        return {n: base64.b64encode(await keys.data_key(call.id, n)).decode() for n in numbers}
    except KeysLocked:
        raise _locked("somebody who has its passphrase unlocks it: `vittne keys unlock`, or the console") from None
    except (KeysMissing, CapsuleRefused, NotPlayable) as error:
        what = error.what if isinstance(error, StoreError) else str(error)
        raise Problem(410, "/problems/not-there", "It cannot be opened", what) from None


async def part_keys(app: web.Application, call: CallRow) -> dict[int, str]:
    """Return the keys of a recording's parts, base64, for what goes on beside a request. Raises StoreError."""
    keys, data = app.get(KEYS), app[READER].data_dir
    if keys is None:
        raise KeysLocked("this recorder has no private key", call.id, "open its archive elsewhere")
    numbers = await app[READER].work(lambda: _numbers(data, call))
    try:
        return {n: base64.b64encode(await keys.data_key(call.id, n)).decode() for n in numbers}
    except CapsuleRefused as error:
        raise NotPlayable(str(error), call.id, "use the keys that it was sealed for") from error


def _numbers(data: Path, call: CallRow) -> list[int]:
    """Return the numbers of a recording's parts; what is kept elsewhere is brought back."""
    folder = folder_of(data, call.folder, call.id)
    bring_back_missing(data, folder)
    return part_numbers(folder)


def _locked(detail: str) -> Problem:
    return Problem(423, "/problems/archive-locked", "The archive is locked", detail)


def refused(error: StoreError) -> Problem:
    """Return the problem of something that was not done, and why."""
    if isinstance(error, Hidden):
        return Problem(403, "/problems/hidden-fields", "You may not search by this", f"{error.what}; {error.next_step}")
    return Problem(409, "/problems/not-done", "This was not done", f"{error.what}; {error.next_step}")
