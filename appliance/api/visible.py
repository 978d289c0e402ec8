"""Recordings as one who asks may see them: which exist for them, and how much of each they see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.profile import FIELD_CLASSES, LEVELS, FieldClass, Level, Only, RecordingFacts
from vittne.appliance.access.showing import shown
from vittne.appliance.api.problems import Problem
from vittne.appliance.listing.facts import facts_of
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.corrections import corrected, corrections_of
from vittne.appliance.store.rows import CallRow

Levels = dict[FieldClass, Level]
_EVERY: Final = Only()


@dataclass(frozen=True, slots=True)
class Seen:
    """A recording that exists for somebody. call: as it is shown, with its corrections."""

    call: CallRow
    facts: RecordingFacts
    levels: Levels


def seen_of(catalogue: Catalogue, who: Principal, ids: Iterable[str], now_us: int) -> dict[str, Seen]:
    """Return those of some recordings (whole ids) that exist for somebody."""
    wanted = list(dict.fromkeys(ids))
    found: dict[str, Seen] = {}
    made = corrections_of(catalogue, wanted) if wanted else {}
    for call in catalogue.get_all(wanted):
        shown = corrected(call, made.get(call.id, ()))
        facts = facts_of(call, shown)
        if who.sees(facts, now_us):
            found[call.id] = Seen(shown, facts, who.levels(facts, now_us))
    return found


def seen_one(catalogue: Catalogue, who: Principal, recording: str, now_us: int, scope: str = "") -> Seen:
    """Return a recording that exists for somebody, and of which they may do what scope says. Raises Problem."""
    found = seen_of(catalogue, who, [recording], now_us).get(recording)
    if found is None:
        raise no_such_recording()
    if scope and not who.may_of(scope, found.facts, now_us):
        raise Problem(403, "/problems/not-this-one", "You may not do this with this recording")
    return found


def shown_with(model: BaseModel, one: Seen | None) -> dict[str, Any]:
    """Return what is said of a recording as somebody may see it; None: it is about none."""
    return model.model_dump() if one is None else shown(model, one.levels)


def no_such_recording() -> Problem:
    """Return what is answered for a recording that is not there, or not for the one who asks."""
    return Problem(404, "/problems/no-such-recording", "No such recording", "none that you may see has this id")


def levels_for(who: Principal, *scopes: str) -> Levels:
    """Return how much is seen of what is about no single recording, by roles that allow one of these."""
    roles = [one for one in who.profiles if not one.scopes.isdisjoint(scopes)]
    return {
        field: max((one.level(field) for one in roles), key=LEVELS.index, default="none") for field in FIELD_CLASSES
    }


def sees_every_recording(who: Principal) -> bool:
    """Say whether no recording is kept from somebody: what counts or searches all of them is for such only."""
    return not who.sites and any("read" in one.scopes and one.only == _EVERY for one in who.profiles)


def refuse_partial(who: Principal) -> None:
    """Raise Problem when some recordings are kept from somebody."""
    if not sees_every_recording(who):
        detail = "it counts every recording, and some do not exist for you"
        raise Problem(403, "/problems/not-all-recordings", "This needs a view of all recordings", detail)


def refuse_hidden(who: Principal, field: FieldClass) -> None:
    """Raise Problem when a search would tell something of a field that somebody does not see in full."""
    try:
        who.refuse_hidden(field)
    except Hidden as error:
        raise Problem(403, "/problems/hidden-field", error.what[:1].upper() + error.what[1:], error.next_step) from None
