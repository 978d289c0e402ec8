"""What a worker says that it heard in a call (member `heard` of its report), checked before anything believes it.

A worker reads packets from anybody. What does not fit these types is as if nothing had been said: the call then counts
as not listened to, and never as announced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from vittne.appliance.store.times import from_rfc3339

Party = Literal["caller", "callee"]
PARTIES: Final[tuple[Party, ...]] = ("caller", "callee")
STRETCHES: Final = 2000  # of speech, of one party, that are kept; beyond them the nearest are one
_PERSONAL: Final = re.compile(r"\d{7}|@")
_MOST_TOLD: Final = 64 * STRETCHES  # of as many voices as a worker listens to
_LISTED: Final = 4096  # voices, announcements, states: more than any call has


class NotUnderstood(ValueError):
    """What was said is not of the form that is known. The text says where, and not what."""


def _time(text: str) -> str:
    from_rfc3339(text)
    return text


def nobodys(name: str) -> str:
    """Return a prompt's name; "" for one that could be somebody's number or address: it stands in manifests."""
    return "" if _PERSONAL.search(name) else name


def _begins_first(stretch: tuple[int, int]) -> tuple[int, int]:
    if not -86_400_000 <= stretch[0] <= stretch[1] <= 31 * 86_400_000:
        raise ValueError("no stretch of a call")
    return stretch


def _fewer(every: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """Return stretches in order, those that touch as one, and STRETCHES at most: the nearest two join."""
    line: list[list[int]] = []
    for begin, end in sorted(every):
        if line and begin <= line[-1][1]:
            line[-1][1] = max(line[-1][1], end)
        else:
            line.append([begin, end])
    if len(line) > STRETCHES:
        gaps = sorted(range(1, len(line)), key=lambda at: line[at][0] - line[at - 1][1])
        for at in sorted(gaps[: len(line) - STRETCHES], reverse=True):
            line[at - 1][1] = line.pop(at)[1]
    return tuple((begin, end) for begin, end in line)


Time = Annotated[str, Field(max_length=40), AfterValidator(_time)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Words = Annotated[str, Field(max_length=256, pattern=r"^[a-z0-9 ,_-]*$")]
Word = Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9 -]*$")]
Language = Annotated[str, Field(max_length=35, pattern=r"^[A-Za-z0-9-]*$")]  # RFC 5646
Share = Annotated[float, Field(ge=-0.001, le=1.001, allow_inf_nan=False)]  # rounding may go a hair over
Seconds = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)]
Stretch = Annotated[tuple[int, int], Field(strict=False), AfterValidator(_begins_first)]
Stretches = Annotated[tuple[Stretch, ...], Field(strict=False, max_length=_MOST_TOLD), AfterValidator(_fewer)]


class _Said(BaseModel):
    """Members that are not known are left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Listened(_Said):
    """One voice that was listened to, or was not.

    to: its last packet that was. why: "" the whole window; else a word of ours, such as codec.
    """

    stream: int = 0
    party: Party
    begin: Time | None = Field(default=None, alias="from")
    to: Time | None = None
    seconds: Seconds = 0.0
    why: Words = ""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, validate_by_alias=True, serialize_by_alias=True)


class Reference(_Said):
    """One reference. reference: its hash; language: "" unknown; elsewhere: it counts at other sites only."""

    reference: Hash
    name: Annotated[str, Field(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    purpose: Literal["notice", "consent", "other"] = "notice"
    language: Language = ""
    elsewhere: bool = False

    @property
    def tells(self) -> bool:
        """Whether a party is told something by it here. A consent prompt tells; what is only recognised does not."""
        return self.purpose != "other" and not self.elsewhere


class Announcement(Reference):
    """One reference that was heard."""

    stream: int = 0
    party: Party
    begin: Time
    end: Time
    offset_s: Seconds = 0.0
    state: Literal["full", "partial"]
    share: Share
    required_share: Share = 0.0
    score: Share
    overlap: Share = 0.0


class Consent(_Said):
    """What was said by a key after a prompt, or by a word of the system."""

    decision: Literal["agreed", "refused"]
    at: Time
    reference: Hash | Literal[""] = ""


class State(_Said):
    """A tone or a state of the line, with how regular it came."""

    party: Party
    state: Word
    begin: Time
    end: Time
    interval_s: Seconds = 0.0
    regularity: Share = 0.0
    count: int = Field(default=0, ge=0)
    frequency_hz: float = Field(default=0.0, ge=0, le=96_000, allow_inf_nan=False)


class Speech(_Said):
    """Who spoke when: stretches in ms since the call's begin."""

    caller: Stretches = ()
    callee: Stretches = ()


class Heard(_Said):
    """All of it. detector: the version that decides what is heard."""

    detector: str = Field(default="", max_length=32, pattern=r"^[A-Za-z0-9._+-]*$")
    window_s: Seconds = 0.0
    lacks: Word = ""  # why announcements that count were not listened for, or not all of them
    missing: tuple[Reference, ...] = Field(default=(), strict=False, max_length=_LISTED)  # which; (): unknown
    listened: tuple[Listened, ...] = Field(default=(), strict=False, max_length=_LISTED)
    announcements: tuple[Announcement, ...] = Field(default=(), strict=False, max_length=_LISTED)
    consent: tuple[Consent, ...] = Field(default=(), strict=False, max_length=_LISTED)
    speech: Speech = Speech()
    states: tuple[State, ...] = Field(default=(), strict=False, max_length=_LISTED)

    def as_json(self) -> dict[str, Any]:
        """Return it as it came, without what was not known."""
        return self.model_dump(mode="json", by_alias=True)


NOTHING: Final = Heard()


def read_heard(report: Mapping[str, Any]) -> Heard | None:
    """Return what a report says was heard; None when it says nothing. Raises NotUnderstood."""
    said = report.get("heard")
    if said is None:
        return None
    try:
        return Heard.model_validate(said)
    except ValidationError as error:
        where = ".".join(str(step) for step in error.errors()[0]["loc"])[:100]
        raise NotUnderstood(f"heard.{where}: {error.errors()[0]['type']}") from None


def heard_or_nothing(report: Mapping[str, Any]) -> Heard | None:
    """Return the same; what is not understood is as if nothing was said."""
    try:
        return read_heard(report)
    except NotUnderstood:
        return None
