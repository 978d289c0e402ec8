"""How loud parties are, as somebody may see it: who speaks when is told to those who may hear that party."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vittne.appliance.access.principal import Principal
from vittne.appliance.events.bus import News
from vittne.appliance.events.hub import Hub
from vittne.appliance.events.livecalls import LiveCall
from vittne.appliance.store.times import rfc3339

_SIDES: Final = ("audio-caller", "audio-callee")
_STEP_DB: Final = 2  # what changed by less is not told again

_Sides = tuple[int | None, int | None]


class LevelsFor:
    """One who is told levels. What they may see of a call is looked up once, and what changed is told only."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._who: Principal | None = None
        self._may: dict[str, tuple[LiveCall, tuple[bool, bool]]] = {}
        self._told: dict[str, _Sides] = {}

    def told(self, who: Principal, news: News, at_us: int) -> dict[str, Any]:
        """Return the levels that changed of calls that exist for them; null where nothing is said any more."""
        if who is not self._who:
            self._who, self._may = who, {}
        seen = dict(self._seen(who, news, at_us))
        gone: dict[str, _Sides] = dict.fromkeys(self._told.keys() - seen.keys(), (None, None))
        changed = {one: sides for one, sides in seen.items() if _differs(self._told.get(one), sides)}
        self._told = {one: changed.get(one, self._told.get(one, sides)) for one, sides in seen.items()}
        told = [{"recording": n, "caller": one, "callee": other} for n, (one, other) in {**gone, **changed}.items()]
        return {"what": news.what, "at": rfc3339(news.at_us), "level": {"levels": told}}

    def _seen(self, who: Principal, news: News, at_us: int) -> Iterator[tuple[str, _Sides]]:
        may: dict[str, tuple[LiveCall, tuple[bool, bool]]] = {}
        for recording, caller, callee in news.told:
            call = self._hub.calls.get(recording)
            if call is None:
                continue
            known = self._may.get(recording)
            if known is None or known[0] is not call:
                known = call, _may(who, call, at_us)
            may[recording] = known
            if any(known[1]):
                yield recording, (caller if known[1][0] else None, callee if known[1][1] else None)
        self._may = may


def _differs(before: _Sides | None, now: _Sides) -> bool:
    if before is None:
        return True
    return any(
        (one is None) is not (other is None) or (one is not None and other is not None and abs(one - other) >= _STEP_DB)
        for one, other in zip(before, now, strict=True)
    )


def _may(who: Principal, call: LiveCall, at_us: int) -> tuple[bool, bool]:
    if not who.sees(call.facts, at_us):
        return False, False
    first, second = (who.level(field, call.facts, at_us) == "full" for field in _SIDES)
    return first, second
