"""Which recordings of a case something is done with: what is sure, and what somebody looked at and says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, Search
from vittne.appliance.store.corrections import corrections_of
from vittne.appliance.store.errors import StoreError
from vittne.appliance.subjects.finding import Found, Party, Who, find, linked
from vittne.appliance.subjects.numbers import SURE

_AROUND_US: Final = 86_400_000_000  # a linked call is no further away


@dataclass(frozen=True, slots=True)
class Choice:
    """also, never: ids or their first letters. parties: ID=caller, where the program does not know the side."""

    likely: bool = False
    also: Sequence[str] = ()
    never: Sequence[str] = ()
    parties: Sequence[str] = ()


def found_of(data: Path, who: Who, country: str) -> list[Found]:
    """Return all calls of a person, oldest first."""
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        made = corrections_of(catalogue)
        found = list(find(who, catalogue.list_calls(Search(unanswered=True)), made, country))
        if found:
            first = min(one.call.started_us for one in found) - _AROUND_US
            last = max(one.call.ended_us or one.call.started_us for one in found) + _AROUND_US
            near = Search(unanswered=True, since_us=first, until_us=last)
            found += linked(found, catalogue.list_calls(near))
    return sorted(found, key=lambda one: (one.call.started_us, one.call.id))


def chosen(found: Sequence[Found], choice: Choice) -> tuple[list[Found], list[Found]]:
    """Return those that something is to be done with, and those that somebody should look at first. Raises StoreError.

    Calls of which nothing is kept are in neither.
    """
    sides = _sides(found, choice.parties)
    also = {_one(found, prefix).call.id for prefix in choice.also} | sides.keys()
    never = {_one(found, prefix).call.id for prefix in choice.never}
    kept = [one for one in found if one.call.folder and one.call.id not in never]
    taken = [one for one in kept if choice.likely or one.how == SURE or one.call.id in also]
    ids = {one.call.id for one in taken}
    left = [one for one in kept if one.call.id not in ids]
    return [replace(one, party=sides.get(one.call.id, one.party)) for one in taken], left


def _sides(found: Sequence[Found], said: Sequence[str]) -> dict[str, Party]:
    sides: dict[str, Party] = {}
    for one in said:
        prefix, _, party = one.partition("=")
        if party == "caller":
            sides[_one(found, prefix).call.id] = "caller"
        elif party == "callee":
            sides[_one(found, prefix).call.id] = "callee"
        else:
            raise StoreError("this is no side of a call", one[:60], "write --party ID=caller or ID=callee")
    return sides


def _one(found: Sequence[Found], prefix: str) -> Found:
    begins = prefix.strip().lower()
    which = [one for one in found if begins and one.call.id.startswith(begins)]
    if len(which) != 1:
        what = "several recordings of the case have such an id" if which else "the case has no such recording"
        raise StoreError(what, prefix[:60], "`vittne subject show` lists them")
    return which[0]
