"""Who asks, and the one place that says what they may do, which recordings exist for them, and what they see of those.

Command line, API and console ask here and nowhere else. What a principal may not see is not there for them: a
recording that does not exist for somebody is answered as one that does not exist at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vittne.appliance.access.profile import FIELD_CLASSES, LEVELS, FieldClass, Level, Only, Profile, RecordingFacts
from vittne.appliance.control.caller import API, Caller
from vittne.appliance.store.errors import StoreError


class Hidden(StoreError):
    """A search by, or for, something that the one who asks may not see."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or a token. own: a user's extensions and agent names. sites: of these only; empty: of all.

    maker: id of the user whose token it is; "" of a user, and of a service's token.
    """

    kind: Literal["user", "token"]
    id: str
    name: str
    profiles: tuple[Profile, ...]
    own: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    maker: str = ""

    @property
    def person(self) -> str:
        """Id of the user who asks, or whose token does; "" for a service's."""
        return self.id if self.kind == "user" else self.maker

    @property
    def caller(self) -> Caller:
        """As operations and the trail name them."""
        return Caller(self.name, API, self.id if self.kind == "user" else "")

    @property
    def scopes(self) -> frozenset[str]:
        """Everything that is allowed."""
        return frozenset().union(*(profile.scopes for profile in self.profiles))

    def may(self, scope: str) -> bool:
        """Say whether something is allowed, of whatever recording."""
        return scope in self.scopes

    def may_all(self, scope: str) -> bool:
        """Say whether something is allowed of every recording, whatever it is."""
        return not self.sites and any(scope in one.scopes and one.only == Only() for one in self.profiles)

    def may_of(self, scope: str, facts: RecordingFacts, now_us: int) -> bool:
        """Say whether something is allowed of one recording."""
        return any(scope in one.scopes for one in self._applying(facts, now_us))

    def sees(self, facts: RecordingFacts, now_us: int) -> bool:
        """Say whether a recording exists for them."""
        return self.may_of("read", facts, now_us)

    def level(self, field: FieldClass, facts: RecordingFacts, now_us: int) -> Level:
        """Return how much of a class of fields they see of one recording."""
        levels = [one.level(field) for one in self._applying(facts, now_us)]
        return max(levels, key=LEVELS.index, default="none")

    def needs_reason(self, scope: str, facts: RecordingFacts, now_us: int) -> bool:
        """Say whether a reason must be given: it must unless some profile that allows it asks for none."""
        return all(one.reason_required for one in self._applying(facts, now_us) if scope in one.scopes)

    def levels(self, facts: RecordingFacts, now_us: int) -> dict[FieldClass, Level]:
        """Return how much they see of one recording, class by class: what showing.py goes by."""
        applying = self._applying(facts, now_us)
        return {
            field: max((one.level(field) for one in applying), key=LEVELS.index, default="none")
            for field in FIELD_CLASSES
        }

    def refuse_hidden(self, field: FieldClass) -> None:
        """Raise Hidden when a search would tell something of a field that is not seen in full everywhere."""
        if any(one.level(field) != "full" for one in self.profiles if "read" in one.scopes):
            words = FIELD_CLASSES[field]
            raise Hidden(f"you may not search by {words}", field, "your role does not show them in full")

    @property
    def onlys(self) -> tuple[Only, ...]:
        """What recordings must fit, one of them, to exist; for a search to say so in its own words."""
        return tuple(one.only for one in self.profiles if "read" in one.scopes)

    def _applying(self, facts: RecordingFacts, now_us: int) -> list[Profile]:
        if self.sites and facts.site not in self.sites:
            return []
        return [one for one in self.profiles if one.only.allows(facts, self.own, now_us)]
