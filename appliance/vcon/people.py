"""Who speaks in a vCon of anybody's (draft-ietf-vcon-vcon-core-03, 4.2), as the catalogue tells it: seats and sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from vittne.appliance.store.times import from_rfc3339, rfc3339

LEFT: Final = 1
RIGHT: Final = 2
BOTH: Final = LEFT | RIGHT
MOST_PARTIES: Final = 1000
_TEXT: Final = 300
_LAST_US: Final = 7_258_118_400_000_000  # the year 2200


@dataclass(frozen=True, slots=True)
class People:
    """parties: for the catalogue; seats: of each party of the vCon by its place there, -1 for who only stands in it."""

    parties: tuple[dict[str, Any], ...]
    seats: tuple[int, ...]
    caller: str
    callee: str

    def side(self, place: Any) -> int:
        """Return on which side a party is heard; both when it is nobody's."""
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(self.seats):
            return BOTH
        return LEFT if self.seats[place] == 0 else RIGHT


def people_of(vcon: dict[str, Any], dialogs: Sequence[dict[str, Any]]) -> People:
    """Return who speaks. The caller is the first dialog's originator, else its first party."""
    told = [one if isinstance(one, dict) else {} for one in _list(vcon.get("parties"))[:MOST_PARTIES]]
    order: list[int] = []
    for dialog in dialogs:
        here = [*flat(dialog.get("originator")), *flat(dialog.get("parties"))]
        here = [place for place in here if 0 <= place < len(told)]
        order = list(dict.fromkeys([*order, *here]))
    if not order:
        order = [place for place, one in enumerate(told) if one.get("type") != "bot"]
    seats = [-1] * len(told)
    for seat, place in enumerate(order):
        seats[place] = seat
    joined = _times(dialogs)
    parties = []
    for place in [*order, *(place for place in range(len(told)) if place not in order)]:
        if seats[place] < 0 and told[place].get("type") == "bot":
            continue  # a program that made the vCon
        one = {
            "seat": seats[place] if seats[place] >= 0 else None,
            "uri": uri_of(told[place]),
            "name": text(told[place].get("name")),
        }
        parties.append({**one, **joined.get(place, {})})
    named = [str(one["uri"] or one["name"]) for one in parties[: len(order)]] + ["", ""]
    return People(tuple(parties), tuple(seats), named[0], named[1])


def uri_of(party: dict[str, Any]) -> str:
    """Return what a party can be reached by, as a URI; "" when nothing says so."""
    for name in ("tel", "sip", "mailto", "did"):
        said = text(party.get(name)).strip()
        if said:
            scheme = said.partition(":")[0].lower()
            is_uri = scheme in ("tel", "sip", "sips", "mailto", "did") and ":" in said
            return said if is_uri else f"{name}:{said}"
    return ""


def sides(dialog: dict[str, Any], channels: int, people: People) -> list[int]:
    """Return on which side each channel is heard: by its parties (4.3.4), else the first left and the second right."""
    told = dialog.get("parties")
    places = told if isinstance(told, list) else [told]
    if channels == 1:
        heard = 0
        for party in flat(told):
            heard |= people.side(party)
        return [heard or BOTH]
    if len(places) == channels:
        found = []
        for place in places:
            heard = 0
            for one in flat(place):
                heard |= people.side(one)
            found.append(heard or BOTH)
        return found
    return [LEFT if channel % 2 == 0 else RIGHT for channel in range(channels)]


def flat(value: Any) -> list[int]:
    """Return the numbers in a number, a list, or a list of lists."""
    if isinstance(value, list):
        return [place for one in value[:MOST_PARTIES] for place in flat(one)]
    return [value] if isinstance(value, int) and not isinstance(value, bool) else []


def text(value: Any) -> str:
    """Return a short text; "" for anything else."""
    return "".join(letter for letter in value[:_TEXT] if letter.isprintable()) if isinstance(value, str) else ""


def at_us(value: Any) -> int | None:
    """Return a time as microseconds; None for what is none."""
    if not isinstance(value, str) or len(value) > 64:
        return None
    try:
        at = from_rfc3339(value)
    except ValueError:
        return None
    return at if 0 <= at <= _LAST_US else None


def _times(dialogs: Sequence[dict[str, Any]]) -> dict[int, dict[str, str]]:
    """Return when parties joined first and left last."""
    found: dict[int, dict[str, str]] = {}
    for dialog in dialogs:
        for one in _list(dialog.get("party_history"))[:MOST_PARTIES]:
            if not isinstance(one, dict) or not isinstance(one.get("party"), int):
                continue
            at = at_us(one.get("time"))
            member = {"join": "from", "drop": "to"}.get(str(one.get("event")))
            if at is None or member is None:
                continue
            mine = found.setdefault(one["party"], {})
            if member == "to" or member not in mine:
                mine[member] = rfc3339(at)
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
