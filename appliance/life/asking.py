"""Two persons: what needs a second one becomes a request, and is done when somebody else approves it.

At a terminal a name is only what somebody says (`--by`), or the account he is logged in with: two persons at one
terminal are two names. In console and API two persons are two users who logged in; a token is nobody, and can neither
ask nor approve.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from vittne.appliance.control.caller import API
from vittne.appliance.control.operation import Caller, Order
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.precedence import Decision
from vittne.appliance.life.table import APPROVED, DONE, WAITS, Request
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us

CUT: Final = "cut"
ERASE: Final = "erase"
RELEASE: Final = "hold-release"
SHORTEN: Final = "shorten"
UNRESTRICT: Final = "unrestrict"
QUARANTINE: Final = "quarantine-release"
UNLOCK: Final = "keys-unlock"
BULK: Final = "bulk-export"
_HOUR_US: Final = 3_600_000_000


class NobodyAsks(StoreError):
    """A token asks for what two persons have to want, or approves it."""


def refuse_token(caller: Caller, operation: str) -> None:
    """Raise NobodyAsks when nobody is known to stand behind a caller."""
    if caller.via == API and not caller.user:
        raise NobodyAsks("two persons have to want this, and a token is none", operation, "log in and ask yourself")


def persons_needed(registrar: Registrar, operation: str, decision: Decision | None = None) -> int:
    """Return how many must want an operation: what the law says, and what is configured."""
    return max(
        decision.persons if decision is not None else 1, 2 if operation in registrar.life_policy.operations else 1
    )


def ask(registrar: Registrar, operation: str, recording: str, order: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """Write down what a second person is to approve; return the answer. The same thing again is the same request."""
    for known in registrar.life.requests(recording=recording, operation=operation):
        if known.state == WAITS and known.order == order and not is_over(registrar, known):
            return {"waits": known.id, "asked_by": known.asked_by}
    refuse_token(caller, operation)
    request = Request(secrets.token_hex(8), operation, recording, order, now_us(), caller.name, asked_user=caller.user)
    registrar.audit.note(events.REQUESTED, caller, recording, request=request.id, operation=operation)
    registrar.life.put_request(request)
    return {"waits": request.id, "asked_by": caller.name}


def over_us(request: Request, policy: LifePolicy) -> int:
    """Return when a request is over that nobody has decided, or that was approved and not done."""
    return request.asked_us + policy.expires_h * _HOUR_US


def is_over(registrar: Registrar, request: Request) -> bool:
    """Say whether a request waited too long: what was wanted then need not be wanted now."""
    return over_us(request, registrar.life_policy) <= now_us()


def is_his_own(request: Request, caller: Caller) -> bool:
    """Say whether somebody is who asked: the same user, however he is called now, or the same name."""
    if caller.user and caller.user == request.asked_user:
        return True
    return is_same_person(request.asked_by, caller.name)


def is_same_person(one: str, other: str) -> bool:
    """Say whether two names are one, however they are written."""
    return one.strip().casefold() == other.strip().casefold()


class AskCut(Order):
    """A span that is about to be cut. Times are ns UTC. reason: where it is cut as soon as it is approved."""

    recording: str
    from_ns: int
    to_ns: int
    party: str
    reason: str = ""

    def is_same_span(self, order: Mapping[str, Any]) -> bool:
        """Say whether what was asked for is this span of this recording."""
        return all(order.get(name) == getattr(self, name) for name in ("recording", "from_ns", "to_ns", "party"))


def approved_cut(registrar: Registrar, order: AskCut, decision: Decision) -> Request | None:
    """Return the approved request for a cut; None when none is needed. Raises StoreError when it is not there."""
    if persons_needed(registrar, CUT, decision) < 2:
        return None
    for known in registrar.life.requests(recording=order.recording, operation=CUT):
        if known.state == APPROVED and order.is_same_span(known.order) and not is_over(registrar, known):
            return known
    raise StoreError("this cut needs a second person", order.recording, "ask `vittne cut`, then `vittne request`")


def mark_done(registrar: Registrar, request: Request) -> None:
    """Note that what was approved is done: it is good for once."""
    registrar.life.set_request(request.id, state=DONE)
