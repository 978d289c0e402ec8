"""A profile: what somebody in a role may do, which recordings exist for them, and which fields of those they see.

[[role]]
name = "supervisor"
may = ["read", "listen", "review", "pause"]
fields = { party = "masked", business = "none" }
only = { agents = ["Anna", "Bo"], days = 90 }
reason_required = true

What a profile does not name it does not give. Several roles of one person add up, see principal.py.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vittne.appliance.access import scopes

FieldClass = Literal["party", "agent", "business", "audio-caller", "audio-callee", "signalling", "evidence", "audit"]
Level = Literal["none", "masked", "full"]
LEVELS: Final[tuple[Level, ...]] = ("none", "masked", "full")
FIELD_CLASSES: Final[dict[FieldClass, str]] = {
    "party": "numbers, names and addresses of who spoke",
    "agent": "who of the house took the call",
    "business": "tags, notes, customer and order numbers",
    "audio-caller": "what the caller said",
    "audio-callee": "what the callee said",
    "signalling": "SIP messages, addresses of devices",
    "evidence": "manifest, hashes, proofs",
    "audit": "who looked at it, and what was changed",
}
_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DAY_US: Final = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class RecordingFacts:
    """What decides whether a recording exists for somebody."""

    site: str
    numbers: tuple[str, ...]  # caller and callee, as they are shown
    agents: tuple[str, ...]
    tags: tuple[str, ...]
    started_us: int


class Only(BaseModel):
    """Which recordings. Every member that is given must fit; of a list, one entry.

    numbers, agents: with * and ?; own: calls in which the user's own extensions or agent names took part.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    sites: tuple[str, ...] = Field(default=(), strict=False, max_length=256)
    numbers: tuple[str, ...] = Field(default=(), strict=False, max_length=256)
    agents: tuple[str, ...] = Field(default=(), strict=False, max_length=256)
    tags: tuple[str, ...] = Field(default=(), strict=False, max_length=256)
    days: int | None = Field(default=None, ge=1, le=40_000)
    own: bool = False

    def allows(self, facts: RecordingFacts, own: tuple[str, ...], now_us: int) -> bool:
        """Say whether a recording fits. own: the user's extensions and agent names."""
        names = {name.casefold() for name in own}
        theirs = {name.casefold() for name in (*facts.numbers, *facts.agents)}
        return (
            (not self.sites or facts.site in self.sites)
            and (not self.numbers or _any_fits(facts.numbers, self.numbers))
            and (not self.agents or _any_fits(facts.agents, self.agents))
            and (not self.tags or bool(set(self.tags) & set(facts.tags)))
            and (self.days is None or facts.started_us >= now_us - self.days * _DAY_US)
            and (not self.own or bool(names & theirs))
        )


def _any_fits(values: tuple[str, ...], patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(value.casefold(), pattern.casefold()) for value in values for pattern in patterns)


class Profile(BaseModel):
    """A role."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str = Field(pattern=_NAME)
    words: str = Field(default="", max_length=200)
    may: frozenset[str] = Field(default=frozenset(), strict=False)
    fields: dict[FieldClass, Level] = Field(default_factory=dict, strict=False)
    only: Only = Only()
    reason_required: bool = False

    @field_validator("may")
    @classmethod
    def _known(cls, may: frozenset[str]) -> frozenset[str]:
        unknown = sorted(may - scopes.SCOPES.keys())
        if unknown:
            raise ValueError(f"there is no {unknown[0][:40]!r}; there are {', '.join(scopes.SCOPES)}")
        return may

    @property
    def scopes(self) -> frozenset[str]:
        """What it allows, with what that stands for."""
        return scopes.expanded(self.may)

    def level(self, field: FieldClass) -> Level:
        """Return how much of a field is seen."""
        return self.fields.get(field, "none")


_ALL: Final[dict[FieldClass, Level]] = dict.fromkeys(FIELD_CLASSES, "full")
_HEARS: Final[dict[FieldClass, Level]] = {**_ALL, "audit": "none"}


def _built_in(name: str, words: str, may: tuple[str, ...], fields: dict[FieldClass, Level], **more: Any) -> Profile:
    return Profile(name=name, words=words, may=frozenset(may), fields=fields, **more)


_COMPLIANCE: Final = tuple(
    scope
    for scope in scopes.SCOPES
    if scope not in (scopes.USERS, scopes.SETTINGS, scopes.KEYS, scopes.ADMIN, scopes.LIVE, scopes.PAUSE_ANY)
)
BUILT_IN: Final = {
    one.name: one
    for one in (
        _built_in(
            "administrator",
            "runs the recorder and its users; hears nothing and sees no numbers",
            (scopes.ADMIN, scopes.ANNOUNCEMENTS, scopes.RETENTION, scopes.PAUSE, scopes.PAUSE_ANY),
            {"party": "masked", "agent": "full", "signalling": "masked", "evidence": "full"},
        ),
        _built_in("compliance", "everything about recordings: hears, proves, keeps, erases", _COMPLIANCE, _ALL),
        _built_in(
            "auditor",
            "sees everything about recordings and who did what; hears with a reason; changes nothing",
            (scopes.READ, scopes.LISTEN, scopes.EXPORT, scopes.AUDIT, scopes.RETENTION, scopes.RULES),
            _ALL,
            reason_required=True,
        ),
        _built_in(
            "supervisor",
            "hears and reviews recordings and calls, pauses them",
            (scopes.READ, scopes.LISTEN, scopes.LIVE, scopes.EDIT, scopes.REVIEW, scopes.PAUSE),
            _HEARS,
        ),
        _built_in(
            "agent",
            "finds and hears own calls, pauses them; numbers are masked",
            (scopes.READ, scopes.LISTEN, scopes.PAUSE),
            {"party": "masked", "agent": "full", "audio-caller": "full", "audio-callee": "full"},
            only=Only(own=True, days=30),
        ),
        _built_in(
            "engineer",
            "sees signalling and quality of all calls, hears nothing",
            (scopes.READ, scopes.RULES, scopes.SETTINGS),
            {"party": "masked", "agent": "masked", "signalling": "full", "evidence": "full"},
        ),
    )
}
