"""Drawing calls so that nobody can choose, and anybody can do it again. Pure.

The seed is SHA-256 over the month and the plan's terms, but for who reviews. A call's number u is SHA-256 over seed and
id, read as a fraction between 0 and 1. The calls of a group with the smallest -ln(u) / weight are drawn: without
replacement, and a call with weight 3 goes before a plain one three times out of four (Efraimidis and Spirakis, 2006).
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from vittne.appliance.review.plans import PlanConfig, WrongPlan, hash_of, terms_of, weight_of
from vittne.appliance.seal.canonical import canonical

Answer = TypeVar("Answer")

_AT_ONCE: Final = 1000
_BITS: Final = 52
_NOT_IN_SEED: Final = frozenset({"reviewers", "due_days", "card"})  # who listens does not change to what


@dataclass(frozen=True, slots=True)
class Candidate:
    """A call that could be drawn."""

    recording: str
    group: str
    risks: tuple[str, ...] = ()


def seed_of(plan: PlanConfig, month: str) -> str:
    """Return the seed of a month, in hex."""
    terms = {name: value for name, value in terms_of(plan).items() if name not in _NOT_IN_SEED}
    return hash_of({"month": month, "plan": terms})


def finished(work: Generator[int, None, Answer]) -> Answer:
    """Do all of a work that is done in steps; return what it comes to."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            answer: Answer = end.value
            return answer


def hashing(population: Sequence[Candidate]) -> Generator[int, None, str]:
    """Come to what is entered in the ledger of all that could be drawn; yields how far it is.

    SHA-256 in hex over a line each, in order of ids: canonical JSON of id, group and risks.
    """
    digest = hashlib.sha256()
    for n, one in enumerate(sorted(population, key=_id)):
        digest.update(canonical([one.recording, one.group, list(one.risks)]) + b"\n")
        if n % _AT_ONCE == _AT_ONCE - 1:
            yield n
    return digest.hexdigest()


def population_hash(population: Sequence[Candidate]) -> str:
    """Return what hashing() comes to."""
    return finished(hashing(population))


def size_of(plan: PlanConfig, count: int) -> int:
    """Return how many of so many are drawn: the share rounded up, within least and most.

    >>> [size_of(PlanConfig(name="p", percent=2, least=2, most=4), n) for n in (0, 1, 10, 101, 1000)]
    [0, 1, 2, 3, 4]
    """
    share = math.ceil(round(count * plan.percent / 100, 6))
    return min(count, max(plan.least, min(plan.most, share)))


def drawing(plan: PlanConfig, seed: str, population: Sequence[Candidate]) -> Generator[int, None, list[Candidate]]:
    """Come to what is drawn, group by group, the first one first; yields how far it is.

    The order of the population does not matter.
    """
    groups: dict[str, list[tuple[float, str, Candidate]]] = {}
    for n, one in enumerate(population):
        groups.setdefault(one.group, []).append((_rank(plan, seed, one), one.recording, one))
        if n % _AT_ONCE == _AT_ONCE - 1:
            yield n
    drawn: list[Candidate] = []
    for name in sorted(groups):
        size = size_of(plan, len(groups[name]))
        drawn += [one for _, _, one in heapq.nsmallest(size, groups[name], key=lambda found: found[:2])]
        yield len(population)
    return drawn


def draw(plan: PlanConfig, seed: str, population: Sequence[Candidate]) -> list[Candidate]:
    """Return what drawing() comes to."""
    return finished(drawing(plan, seed, population))


def reviewer_for(plan: PlanConfig, seed: str, number: int, agent: str) -> str:
    """Return who reviews the call drawn as the number-th; nobody reviews himself. "": nobody is left."""
    start = int(seed[:8], 16) + number
    for n in range(len(plan.reviewers)):
        one = plan.reviewers[(start + n) % len(plan.reviewers)]
        if one.strip().casefold() != agent.strip().casefold():
            return one
    return ""


def month_span(month: str, zone: str) -> tuple[int, int]:
    """Return begin and end of a month such as "2026-01", microseconds UTC. Raises WrongPlan.

    >>> month_span("1970-01", "UTC")
    (0, 2678400000000)
    """
    try:
        begin = datetime.strptime(month, "%Y-%m").replace(tzinfo=ZoneInfo(zone))
    except ValueError:
        raise WrongPlan("this is no month", month[:20], "write it as 2026-01") from None
    if f"{begin:%Y-%m}" != month:
        raise WrongPlan("this is no month", month[:20], "write it as 2026-01")
    end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return int(begin.timestamp()) * 1_000_000, int(end.timestamp()) * 1_000_000


def _rank(plan: PlanConfig, seed: str, one: Candidate) -> float:
    digest = hashlib.sha256(bytes.fromhex(seed) + one.recording.encode()).digest()
    u = ((int.from_bytes(digest[:8], "big") >> (64 - _BITS)) + 1) / ((1 << _BITS) + 1)
    return -math.log(u) / weight_of(plan, one.risks)


def _id(one: Candidate) -> str:
    return one.recording
