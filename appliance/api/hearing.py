"""What every answer about a recording's sound asks first: does it exist for them, may they, and on what ground."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import FieldClass, Level, RecordingFacts
from vittne.appliance.access.scopes import LISTEN, REVIEW
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.problems import Problem
from vittne.appliance.api.reader import READER
from vittne.appliance.audio.desk import AUDIO
from vittne.appliance.audio.listening import Listening, PartyName, Why
from vittne.appliance.audio.sounds import OpenSound
from vittne.appliance.keyring.errors import KeysLocked, KeysMissing
from vittne.appliance.listing.facts import facts_of
from vittne.appliance.looks import PURPOSES, MayNotLook, why_not
from vittne.appliance.opened import NotPlayable
from vittne.appliance.store.catalogue import Catalogue, NoSuchCall
from vittne.appliance.store.corrections import corrected, corrections_of
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import CallRow

T = TypeVar("T")
_ID_LETTERS: Final = 36
_MOST_OF_ONE: Final = 64  # players of one principal


@dataclass(frozen=True, slots=True)
class Asked:
    """A recording that exists for who asks. now_us: when they asked."""

    call: CallRow
    facts: RecordingFacts
    who: Principal
    now_us: int

    @property
    def levels(self) -> dict[FieldClass, Level]:
        """How much they see of it."""
        return self.who.levels(self.facts, self.now_us)

    def may(self, scope: str) -> bool:
        """Whether something is allowed of this recording."""
        return self.who.may_of(scope, self.facts, self.now_us)

    @property
    def mute(self) -> tuple[bool, bool]:
        """Which sides they do not hear."""
        levels = self.levels
        return levels["audio-caller"] != "full", levels["audio-callee"] != "full"

    def needs(self, scope: str = LISTEN) -> list[str]:
        """Return what they have to give before they hear it: reason, purpose, review."""
        found = ["reason"] if self.who.needs_reason(scope, self.facts, self.now_us) else []
        found += ["purpose"] if self.call.restricted_us is not None else []
        return found + (["review"] if self.call.quarantined_us is not None else [])


async def asked_for(request: web.Request) -> Asked:
    """Return the recording that a request names. Raises Problem: it does not exist for who asks."""
    recording, who, now_us = request.match_info["id"], principal_of(request), request.app[GATE].now_us()
    found = await request.app[READER](_read, recording) if len(recording) == _ID_LETTERS else None
    if found is not None:
        asked = Asked(found[0], facts_of(*found), who, now_us)
        if who.sees(asked.facts, now_us):
            return asked
    raise Problem(404, "/problems/no-such-recording", "No such recording", "none that you may see has this id")


def _read(catalogue: Catalogue, recording: str) -> tuple[CallRow, CallRow] | None:
    try:
        call = catalogue.get(recording)
    except NoSuchCall:
        return None
    return call, corrected(call, corrections_of(catalogue, [call.id]).get(call.id, ()))


def refuse_deaf(asked: Asked, scope: str = LISTEN) -> None:
    """Raise Problem when the recording cannot be heard by them at all."""
    if not asked.may(scope):
        detail = "your role shows it to you, and does not let you hear it"
        raise Problem(403, "/problems/may-not-hear", "You may not hear this recording", detail, scope=scope)
    if all(asked.mute):
        raise Problem(403, "/problems/party-hidden", "You may not hear who spoke", "your role hides both parties")
    if asked.call.erased_us is not None:
        detail = "its keys were destroyed: nobody can hear it any more"
        raise Problem(410, "/problems/erased", "The recording was erased", detail)
    if not asked.call.folder:
        detail = "nothing of this call was stored, so there is nothing to hear"
        raise Problem(409, "/problems/nothing-recorded", "Nothing was recorded", detail)


def refuse_party(asked: Asked, party: PartyName) -> None:
    """Raise Problem when a party alone is asked for that they do not hear."""
    if party != "both" and asked.mute[party == "callee"]:
        detail = "your role hides this party; in both, their side is silent"
        raise Problem(403, "/problems/party-hidden", "You may not hear this party", detail, party=party)


def refuse_without(asked: Asked, why: Why, scope: str = LISTEN) -> None:
    """Raise Problem when a ground is missing that must be given."""
    given = {"reason": why.reason.strip(), "purpose": why.purpose, "review": why.review.strip()}
    missing = [name for name in asked.needs(scope) if not given[name]]
    if "review" in missing and not asked.may(REVIEW):
        detail = "it was not announced as it should be, and lies in quarantine until somebody who reviews looked at it"
        raise Problem(403, "/problems/quarantined", "The recording is in quarantine", detail)
    if missing:
        detail = f"open it with POST /api/v1/recordings/{asked.call.id}/listening, and give: {', '.join(missing)}"
        title = "Say first why you hear it"
        raise Problem(403, "/problems/ground-needed", title, detail, asks=missing, purposes=list(PURPOSES))


def listening_of(request: web.Request, asked: Asked, listening: str, scope: str = LISTEN) -> Listening:
    """Return the player that a request belongs to, opened now where no ground is needed. Raises Problem."""
    desk, who = request.app[AUDIO], (asked.who.kind, asked.who.id)
    if listening:
        found = desk.listenings.find(listening, who, asked.call.id)
        if found is None:
            detail = "it was closed, because nobody used it for a while: open another one"
            raise Problem(410, "/problems/listening-over", "This player is closed", detail)
        refuse_without(asked, found.why, scope)
        return found
    refuse_without(asked, Why(), scope)
    refuse_too_many(request, asked)
    return desk.listenings.plain(who, asked.who.caller, asked.call.id)


def refuse_too_many(request: web.Request, asked: Asked) -> None:
    """Raise Problem when too many players are open."""
    desk = request.app[AUDIO]
    if desk.listenings.is_full or desk.listenings.of((asked.who.kind, asked.who.id)) >= _MOST_OF_ONE:
        detail = "close some, or wait until those that nobody uses are closed"
        raise Problem(429, "/problems/too-many-players", "Too many players are open", detail, {"Retry-After": "30"})


async def sound_of(request: web.Request, asked: Asked, to_ms: int | None = None) -> OpenSound:
    """Return the recording, open. Raises Problem: the archive is locked, or it cannot be opened."""
    return await unrefused(asked, lambda: request.app[AUDIO].sounds.sound(asked.call, to_ms))


async def unrefused(asked: Asked, do: Callable[[], Awaitable[T]]) -> T:
    """Do something with a recording; what does not go is said as a Problem."""
    try:
        return await do()
    except KeysLocked as error:
        detail = "recordings are sealed, and the keys to them are locked: unlock them first (`vittne keys unlock`)"
        raise Problem(423, "/problems/locked", "The archive is locked", detail, reason=error.what) from None
    except KeysMissing as error:
        raise Problem(410, "/problems/key-gone", "The recording's key is gone", error.what) from None
    except MayNotLook as error:
        why = why_not(asked.call, "")
        raise Problem(403, "/problems/may-not-hear", "It may not be heard", why or error.what) from None
    except NotPlayable as error:
        raise Problem(409, "/problems/not-playable", "It cannot be heard", _words(error)) from None
    except StoreError as error:
        raise Problem(503, "/problems/not-opened", "It cannot be opened just now", _words(error)) from None


def _words(error: StoreError) -> str:
    return f"{error.what}; {error.next_step}"
