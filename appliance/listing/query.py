"""What is searched for: all that is given must fit."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vittne.appliance.access.principal import Hidden, Principal
from vittne.appliance.access.profile import FieldClass
from vittne.appliance.store.times import from_rfc3339

Sort = Literal["time", "duration", "outcome", "quality"]
Order = Literal["desc", "asc"]
State = Literal["recording", "finished"]
_SHORT: Final = 200
_LIKE_A_NUMBER: Final = re.compile(r"[\d+][\d\s()/.-]*")
# What tells of a field that a role may hide. The words of `q` are looked for wherever everything is seen.
_HIDEABLE: Final[dict[str, FieldClass]] = {
    "number": "party",
    "name": "party",
    "agent": "agent",
    "call_id": "signalling",
    "tag": "business",
}

_SEARCHED: Final[tuple[FieldClass, ...]] = ("party", "agent", "signalling", "business")


def _moment(text: str) -> str:
    try:
        from_rfc3339(text)
    except (ValueError, OverflowError):
        raise ValueError("a time with its zone, such as 2026-01-31T08:00:00Z") from None
    return text


Moment = Annotated[str, Field(max_length=40), AfterValidator(_moment)]


class Query(BaseModel):
    """A search. q: words, each somewhere in numbers, names, agents, Call-IDs, tags, or the beginning of the id."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    q: str = Field(default="", max_length=_SHORT)
    since: Moment | None = None
    until: Moment | None = None  # not included
    days: int | None = Field(default=None, ge=1, le=40_000)  # back from now
    number: str = Field(default="", max_length=_SHORT)
    name: str = Field(default="", max_length=_SHORT)
    agent: str = Field(default="", max_length=_SHORT)
    call_id: str = Field(default="", max_length=_SHORT)
    tag: str = Field(default="", max_length=_SHORT)
    site: str = Field(default="", max_length=_SHORT)
    state: State | None = None
    outcome: str = Field(default="", max_length=_SHORT)  # one, or several with commas
    codec: str = Field(default="", max_length=64)
    announced: str = Field(default="", max_length=64)
    longer_s: float | None = Field(default=None, ge=0, le=10**7)
    shorter_s: float | None = Field(default=None, ge=0, le=10**7)
    better_mos: float | None = Field(default=None, ge=1, le=5)
    worse_mos: float | None = Field(default=None, ge=1, le=5)
    paused: bool | None = None
    held: bool | None = None
    restricted: bool | None = None
    quarantined: bool | None = None
    canary: bool = False  # only canary calls, which else are left out
    erased: bool = False
    unanswered: bool = False  # calls that were never answered as well
    sort: Sort = "time"
    order: Order = "desc"

    def given(self) -> dict[str, Any]:
        """Return what is asked for, less what is so anyway."""
        return self.model_dump(mode="json", exclude_defaults=True)


def places(query: Query, who: Principal) -> frozenset[FieldClass]:
    """Return where the words of a search may be looked for. Raises Hidden when it asks for what is not seen."""
    for member, field in _HIDEABLE.items():
        if getattr(query, member):
            who.refuse_hidden(field)
    if not query.q.strip():
        return frozenset()
    seen = searchable(who)
    if not seen:
        who.refuse_hidden("party")
    return seen


def searchable(who: Principal) -> frozenset[FieldClass]:
    """Return where somebody may look for words: what they see in full of every recording."""
    return frozenset(field for field in _SEARCHED if _sees(who, field))


def _sees(who: Principal, field: FieldClass) -> bool:
    try:
        who.refuse_hidden(field)
    except Hidden:
        return False
    return True


def words_of(text: str) -> list[str]:
    """Return what is looked for, word by word; a number is one word however it is written.

    >>> words_of("Anna 2041"), words_of(" +49 (30) 12-34 "), words_of("")
    (['anna', '2041'], ['+49301234'], [])
    """
    text = text.strip()
    if _LIKE_A_NUMBER.fullmatch(text) and sum(map(str.isdigit, text)) > 4:
        return [re.sub(r"[\s()/.-]", "", text)]
    return [word for one in text.split()[:8] if (word := one.casefold())]


def micros(moment: str | None) -> int | None:
    """Return a time of a query as microseconds."""
    return None if moment is None else from_rfc3339(moment)
