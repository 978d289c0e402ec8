"""Finding the recordings of a person: by number, name or customer id, in whatever place of a call, and by links. Pure.

A finding is sure, likely (a number that may be another country's, a name that two may have) or linked: the person is
not named in the call, but the signalling says that it belongs to one where he is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from vittne.appliance.store.corrections import Correction, corrected
from vittne.appliance.store.rows import CallRow
from vittne.appliance.subjects.numbers import LIKELY, SURE, match, user_of

How = Literal["sure", "likely", "linked"]
LINKED: Final[How] = "linked"
Party = Literal["", "caller", "callee", "both"]


@dataclass(frozen=True, slots=True)
class Who:
    """What a person is found by."""

    numbers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    customers: tuple[str, ...] = ()

    def as_json(self) -> dict[str, list[str]]:
        """Return it as the case keeps it."""
        return {"numbers": list(self.numbers), "names": list(self.names), "customers": list(self.customers)}

    @classmethod
    def from_json(cls, said: Mapping[str, Sequence[str]]) -> Who:
        """Return what as_json() gave; of a forgotten case, nobody."""
        return cls(*(tuple(said.get(name, ())) for name in ("numbers", "names", "customers")))

    def __bool__(self) -> bool:
        return bool(self.numbers or self.names or self.customers)


@dataclass(frozen=True, slots=True)
class Found:
    """A call of the person. party: on which side he is heard, "" unknown; shared: others are heard there as well."""

    call: CallRow
    how: How
    why: str
    party: Party = ""
    shared: bool = False


@dataclass(slots=True)
class _Seen:
    how: set[str] = field(default_factory=set)
    why: list[str] = field(default_factory=list)
    sides: set[int] = field(default_factory=set)

    def note(self, how: str, why: str, side: int | None = None) -> None:
        self.how.add(how)
        if why not in self.why:
            self.why.append(why)
        if side is not None:
            self.sides.add(side)


def find(who: Who, calls: Iterable[CallRow], made: Mapping[str, Sequence[Correction]], country: str) -> Iterator[Found]:
    """Yield the calls in which a person is named, in their order; calls that are erased name nobody."""
    for call in calls:
        if call.erased_us is None and (found := look_at(who, call, made.get(call.id, ()), country)) is not None:
            yield found


def look_at(who: Who, call: CallRow, made: Sequence[Correction], country: str) -> Found | None:
    """Return what there is of a person in one call."""
    seen = _Seen()
    # As recorded and as corrected: a wrong number was somebody's, and the right one is.
    for row in (call, corrected(call, made)) if made else (call,):
        for side, uri, name, where in _named(row):
            _hold_against(who, seen, side, uri, name, where, country)
    for customer in who.customers:
        for where, text in _customer_places(call):
            if text.casefold() == customer.casefold():
                seen.note(SURE, where)
    if not seen.how:
        return None
    party: Party = "both" if len(seen.sides) > 1 else "" if not seen.sides else _SIDES[min(seen.sides)]
    shared = any(_is_shared(call, side) for side in seen.sides)
    return Found(call, SURE if SURE in seen.how else LIKELY, ", ".join(seen.why), party, shared)


def linked(found: Sequence[Found], calls: Iterable[CallRow]) -> Iterator[Found]:
    """Yield further calls that signalling ties to those found: by links, or by a dialog that both have."""
    known = {one.call.id for one in found}
    ties = {tie: one.call.id for one in found for tie in _ties(one.call)}
    for call in calls:
        if call.id not in known and call.erased_us is None:
            other = next((ties[tie] for tie in _ties(call) if tie in ties), None)
            if other is not None:
                yield Found(call, LINKED, f"linked to {other[:8]}")


_BOTH: Final = 3
_SIDES: Final[tuple[Party, Party]] = ("caller", "callee")


def _hold_against(who: Who, seen: _Seen, side: int | None, uri: str, name: str, where: str, country: str) -> None:
    for number in who.numbers:
        how = match(number, uri, country)
        if how is not None:
            seen.note(how, f"number of the {where}", side)
    for wanted in who.names:
        if _is_name(wanted, name) or _is_name(wanted, user_of(uri)):
            seen.note(LIKELY, f"name of the {where}", side)


def _named(call: CallRow) -> Iterator[tuple[int | None, str, str, str]]:
    """Yield (side, uri, name, words) of whoever a call names. side None: where he is heard does not follow.

    Seats 3 and up are mixed to one of the two sides. In the dialogs of a transfer callers may be the call's callees.
    """
    yield 0, call.caller, "", "caller"
    yield 1, call.callee, "", "callee"
    for party in _objects(call.parties):
        side = party["seat"] if party.get("seat") in (0, 1) else None
        yield side, str(party.get("uri", "")), str(party.get("name") or ""), "party"
    for dialog in _objects(call.details.get("dialogs")):
        yield None, str(dialog.get("caller", "")), "", "caller of a dialog"
        yield None, str(dialog.get("callee", "")), "", "callee of a dialog"
    facts = call.details.get("facts")
    if isinstance(facts, Mapping):
        for name in ("callers", "callees"):
            for user in facts.get(name, ()):
                yield None, str(user), "", "signalling"


def _customer_places(call: CallRow) -> Iterator[tuple[str, str]]:
    """Yield (words, text) where a customer's id may stand: tags, what pauses were asked for with, headers of rules."""
    for tag in call.tags:
        yield "tag", tag
    for pause in _objects(call.details.get("pauses")):
        yield "id of a pause", str(pause.get("external_id", ""))
    facts = call.details.get("facts")
    if isinstance(facts, Mapping):
        for header in facts.get("headers", ()):
            yield "SIP header", str(header).partition(": ")[2]


def _is_shared(call: CallRow, side: int) -> bool:
    """Say whether a side has more than one person: after a transfer, in a conference."""
    imported = call.details.get("imported")
    media = imported.get("media") if isinstance(imported, Mapping) else ()
    if any(_BOTH in one.get("sides", ()) for one in _objects(media)):
        return True  # both speak on one channel of what was imported
    parties = list(_objects(call.parties))
    extra = any(isinstance(party.get("seat"), int) and party["seat"] > 1 for party in parties)
    return extra or len({user_of(str(one.get("uri", ""))) for one in parties if one.get("seat") == side}) > 1


def _ties(call: CallRow) -> set[str]:
    found = {call.id, *call.call_ids}
    for link in _objects(call.details.get("links")):
        found |= {str(link.get("call_id", "")), str(link.get("other", ""))}
    related = call.details.get("related")
    if isinstance(related, list | tuple):
        found |= {str(one) for one in related}
    return found - {""}


def _is_name(wanted: str, said: str) -> bool:
    """Say whether all words of a name are in a text, in any order and case."""
    words = set(_plain(wanted).split())
    return bool(words) and words <= set(_plain(said).split())


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(letter if letter.isalnum() else " " for letter in folded)


def _objects(found: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(found, list | tuple):
        yield from (one for one in found if isinstance(one, Mapping))
