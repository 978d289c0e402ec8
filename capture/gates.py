"""A call's gate: whether its audio may be stored, by the rule that it is under and by what was decided so far.

    closed ──agreed, announced, keep──▶ open ──refused, objected──▶ shut (for good)
       └──────────refused, limit, the call's end──────────────────▶ shut

Which decision opens which gate is a table; "refused" shuts every gate but one that is open from the start. Kept with
the call, so it outlives a worker; the audio does not (gatebuffer.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from vittne.capture.media import FOREVER
from vittne.capture.recordrules import Mode, Ruling
from vittne.capture.times import rfc3339

Decision = Literal["agreed", "refused", "announced", "keep"]
State = Literal["open", "closed", "shut", "excluded"]
GateName = Mode | Literal["on-demand"]

AGREED: Final[Decision] = "agreed"
REFUSED: Final[Decision] = "refused"
LIMIT: Final = "limit"
BY_API: Final = "api"  # a trigger
NOT_OPENED: Final = "not-opened"
EXCLUDED: Final = "excluded-by-rule"  # why packets are not stored; also an outcome
DISCARDED: Final = "discarded-by-policy"  # likewise
BEFORE_GATE: Final = "before-gate"
GATE_LOST: Final = "gate-lost"  # a worker died with it

_OPENS: Final[dict[GateName, frozenset[str]]] = {
    "from-start": frozenset(),
    "discard-on-objection": frozenset(),
    "after-announcement": frozenset({"announced", AGREED}),
    "after-consent": frozenset({AGREED}),
    "on-demand": frozenset({"keep"}),
}
_OPEN_AT_FIRST: Final = frozenset({"from-start", "discard-on-objection"})
_MOST_DECISIONS: Final = 32
_MOST_RULINGS: Final = 32


@dataclass(frozen=True, slots=True)
class Decided:
    """Somebody decided. trigger: api, rule, digits, announcement, consent, limit. No key is kept.

    by: a token's id, a rule's name, or an announcement's. side: in whose voice that was; "" of none.
    """

    decision: str
    trigger: str
    by: str
    at_ns: int
    mono_ns: int
    side: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as `show` tells it."""
        side = {"side": self.side} if self.side else {}
        return {"decision": self.decision, "trigger": self.trigger, "by": self.by, **side, "at": rfc3339(self.at_ns)}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call whose gate was refused without anybody asking over a command: to be kept before anything is written.

    erased: recordings that nobody may read any more. call_ids: SIP's.
    """

    recording: str
    trigger: str
    by: str
    at_ns: int
    mono_ns: int
    call_ids: list[str]
    erased: list[str]


@dataclass(slots=True)
class Keeping:
    """What was ruled and decided of one call."""

    rulings: list[Ruling] = field(default_factory=list)
    decisions: list[Decided] = field(default_factory=list)
    met: set[str] = field(default_factory=set)  # header conditions that a message met
    shut_by: str = ""  # REFUSED, LIMIT, NOT_OPENED: nothing more is stored
    is_erased: bool = False  # what was stored before is, too
    lost: bool = False  # held audio went with a worker
    was_wrong_side: bool = False  # what would decide it was played by the wrong party
    renumbered: dict[str, dict[int, int]] = field(default_factory=dict)  # absorbed call -> numbers of its streams
    asked: tuple[int, ...] = ()  # how much of it was known when rules were asked last

    @property
    def last(self) -> Ruling | None:
        """The ruling that holds now."""
        return self.rulings[-1] if self.rulings else None

    @property
    def is_plain(self) -> bool:
        """Whether everything is stored."""
        rulings = self.rulings
        return len(rulings) == 1 and not rulings[0].excluded and gate_of(rulings[0]) == "from-start"

    @property
    def is_excluded(self) -> bool:
        """Whether rules left out all of it."""
        return bool(self.rulings) and all(ruling.excluded for ruling in self.rulings)

    def add(self, ruling: Ruling, replaces: bool) -> None:
        """Take in a ruling; replaces: it holds from the beginning, instead of those before."""
        if replaces:
            self.rulings = [ruling]
        elif len(self.rulings) < _MOST_RULINGS:
            self.rulings.append(ruling)
        else:
            self.rulings[-1] = ruling

    def decide(self, decided: Decided) -> bool:
        """Take in a decision; return whether it is new."""
        same = (decided.decision, decided.trigger, decided.by, decided.side)
        if any((d.decision, d.trigger, d.by, d.side) == same for d in self.decisions):
            return False
        if len(self.decisions) < _MOST_DECISIONS:
            self.decisions.append(decided)
        if decided.decision == REFUSED and not self.shut_by and any(_is_gated(one) for one in self.rulings):
            self.shut_by = REFUSED
        return True

    def state_of(self, ruling: Ruling) -> State:
        """Return how the gate stands for what is under a ruling."""
        if ruling.excluded:
            return "excluded"
        if self.shut_by and (_is_gated(ruling) or self.erases_all):
            return "shut"
        mode = gate_of(ruling)
        return "open" if mode in _OPEN_AT_FIRST or self.opened(ruling) is not None else "closed"

    def opened(self, ruling: Ruling) -> Decided | None:
        """Return the decision that opened the gate of a ruling."""
        words = _OPENS[gate_of(ruling)]
        late = {LIMIT} if ruling.rule.at_limit == "keep" else set()
        return next(
            (d for d in self.decisions if (d.decision in words and _may(d, ruling)) or d.decision in late), None
        )

    def spans(self) -> Iterator[tuple[Ruling, int, int, State]]:
        """Yield each ruling with the time it holds (monotonic ns, from and until), and how its gate stands."""
        for number, ruling in enumerate(self.rulings):
            until = self.rulings[number + 1].from_mono if number + 1 < len(self.rulings) else FOREVER
            yield ruling, ruling.from_mono, until, self.state_of(ruling)

    @property
    def may_store(self) -> bool:
        """Whether anything of the call may be written now."""
        return not self.rulings or any(state == "open" for _, _, _, state in self.spans())

    @property
    def erases_all(self) -> bool:
        """Whether what is stored already has to go, too: who objects does so for the whole call."""
        if not self.shut_by:
            return False
        return all(_is_gated(r) or r.excluded for r in self.rulings) or any(
            gate_of(r) == "discard-on-objection" for r in self.rulings
        )

    def take(self, other: Keeping, other_id: str, numbers: dict[int, int]) -> None:
        """Become the keeping of two calls that are one now. numbers: the other's streams, old and new."""
        self.rulings = self.rulings or other.rulings
        for decided in other.decisions:
            self.decide(decided)
        self.met |= other.met
        self.lost |= other.lost
        self.shut_by = self.shut_by or other.shut_by
        before = {absorbed: _then(old, numbers) for absorbed, old in other.renumbered.items()}
        self.renumbered |= {other_id: numbers, **before}

    def as_json(self, version: str) -> dict[str, Any] | None:
        """Return what `show` tells; None when no rules were asked."""
        last = self.last
        if last is None:
            return None
        return {
            "rule": last.rule.name,
            "then": last.rule.then,
            "recorded": not last.excluded,
            "live": last.rule.live,
            "version": version,
            "gate": gate_of(last),
            "gate_state": self.state_of(last),
            "shut_by": self.shut_by,
            "decisions": [decided.as_json() for decided in self.decisions],
            "rulings": [
                {
                    "from": rfc3339(one.from_at),
                    "rule": one.rule.name,
                    "recorded": not one.excluded,
                    "gate": gate_of(one),
                }
                for one in self.rulings
            ],
        }


def gate_of(ruling: Ruling) -> GateName:
    """Return which gate a ruling has."""
    return "on-demand" if ruling.rule.then == "on-demand" else ruling.rule.gate


def _may(decided: Decided, ruling: Ruling) -> bool:
    """Whether a decision counts under a ruling: of what was heard, only announcements that its rule names do, played
    by whom it says.
    """
    if decided.trigger not in ("announcement", "consent"):
        return True
    return ruling.rule.is_opened_by(decided.by) and (not decided.side or ruling.counts_of(decided.side))


def _is_gated(ruling: Ruling) -> bool:
    return not ruling.excluded and gate_of(ruling) != "from-start"


def _then(first: dict[int, int], second: dict[int, int]) -> dict[int, int]:
    return {old: second.get(new, new) for old, new in first.items()}
