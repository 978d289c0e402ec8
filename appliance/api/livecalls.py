"""Calls that are up, as far as they exist for who asks: which they may act on, and what of them they are shown.

The same rules as for recordings. A call that somebody may not see is answered like one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.profile import FieldClass, RecordingFacts
from vittne.appliance.access.showing import shown
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.bodies import ApiModel
from vittne.appliance.api.problems import Problem
from vittne.appliance.pausedesk import PauseDesk, Unconfirmed
from vittne.appliance.store.times import from_rfc3339

_EXACT: Final = ("extension",)  # "number" means others written alike as well
_TELLS: Final[Mapping[str, FieldClass]] = {
    "extension": "party",
    "number": "party",
    "agent": "agent",
    "peer_ip": "signalling",
    "sip_call_id": "signalling",
    "channel": "signalling",
}


def no_call() -> Problem:
    """Return the problem of a selection that means no call, or none that exists for who asks."""
    detail = "no call that is up matches, and nothing is paused; wait_s waits for one to appear"
    return Problem(404, "/problems/no-such-call", "No call matches", detail)


def no_pause() -> Problem:
    """Return the problem of an id that no pause has, or none that exists for who asks."""
    return Problem(404, "/problems/no-such-pause", "No such pause", "no pause has this id")


def facts_of(told: Mapping[str, Any], now_us: int) -> RecordingFacts:
    """Return what decides about a call that is up. Its site is not known before it is filed: "" is none's."""
    numbers = tuple(str(told[name]) for name in ("caller", "callee") if told[name])
    agents = (str(told["agent"]),) if told["agent"] else ()
    began = told.get("started_at")
    return RecordingFacts("", numbers, agents, (), from_rfc3339(began) if began else now_us)


def seen(request: web.Request, model: type[ApiModel], calls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return those calls that exist for who asks, each as far as they may see it."""
    who, now_us = principal_of(request), request.app[GATE].now_us()
    # Who may pause a call and read none is told which one it was; of its parties no more than the roles show.
    both = [(one, facts_of(one, now_us)) for one in calls]
    return [
        shown(model.model_validate(one), who.levels(facts, now_us))
        for one, facts in both
        if who.sees(facts, now_us) or who.may_of("pause", facts, now_us)
    ]


def refuse_hidden(request: web.Request, select: Mapping[str, str]) -> None:
    """Raise Hidden when a search would tell what is not shown. One's own number may be looked for."""
    who = principal_of(request)
    own = {name.casefold() for name in who.own}
    for name, value in select.items():
        if name in _TELLS and value.casefold() not in own:
            who.refuse_hidden(_TELLS[name])


async def refuse_others(
    request: web.Request, desk: PauseDesk, scope: str, select: Mapping[str, str], reaches_on: bool = False
) -> None:
    """Raise Problem when a selection means calls that who asks may not do this to. reaches_on: also to later ones."""
    who, now_us = principal_of(request), request.app[GATE].now_us()
    if who.may_all(scope) or who.may_of(scope, _selected(select, now_us), now_us):
        return  # whatever it means is theirs
    if reaches_on:
        raise no_call()
    try:
        found = await desk.matching(dict(select))
    except Unconfirmed:
        raise no_call() from None
    if not found.calls or found.more_calls or not _all(who, scope, found.calls, now_us):
        raise no_call()


async def refuse_others_pause(request: web.Request, desk: PauseDesk, pause_id: str) -> None:
    """Raise Problem when a pause is neither theirs who ask, nor on calls that they may pause."""
    who, now_us = principal_of(request), request.app[GATE].now_us()
    if who.may_all("pause"):
        return
    try:
        found = await desk.status(pause_id)
    except Unconfirmed:
        raise no_pause() from None
    if found.pause is not None and found.pause.actor == who.id:
        return
    if not found.calls or found.more_calls or not _all(who, "pause", found.calls, now_us):
        raise no_pause()


def _all(who: Principal, scope: str, calls: Sequence[Mapping[str, Any]], now_us: int) -> bool:
    return all(who.may_of(scope, facts_of(one, now_us), now_us) for one in calls)


def _selected(select: Mapping[str, str], now_us: int) -> RecordingFacts:
    """Return what is sure of every call that a selection means."""
    numbers = tuple(select[name] for name in _EXACT if name in select)
    return RecordingFacts("", numbers, tuple(select[name] for name in ("agent",) if name in select), (), now_us)
