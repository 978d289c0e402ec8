"""The page Now: calls that are up, whether anything is missed, what wants looking at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from vittne.appliance.access.principal import Principal
from vittne.appliance.access.scopes import AUDIT, LIVE, PAUSE, PAUSE_ANY, READ, SETTINGS
from vittne.appliance.api.auth import GATE, principal_of
from vittne.appliance.api.live import HUB, LIVE_DESK, STATE
from vittne.appliance.console.pages import Item, Page
from vittne.appliance.console.render import render
from vittne.appliance.events.alarmlist import ALARMS
from vittne.appliance.events.livecalls import FAIR_MOS, GOOD_MOS, LiveCall
from vittne.appliance.events.shown import alarm_for, calls_for
from vittne.appliance.events.state import RecorderState
from vittne.appliance.store.times import from_rfc3339

_SHOWN: Final = 100  # calls on the page; the API has all
_OVER: Final = 20  # alarms that are over


async def now(request: web.Request) -> web.StreamResponse:
    """Show the page; its parts come anew as news do."""
    values = {**_calls(request), **_alarms(request), **await _health(request)}
    return render(request, "now.html", **values)


async def calls(request: web.Request) -> web.StreamResponse:
    """Show the calls only."""
    return render(request, "now_calls.html", **_calls(request))


async def health(request: web.Request) -> web.StreamResponse:
    """Show how capturing goes."""
    return render(request, "now_health.html", **await _health(request))


async def alarms(request: web.Request) -> web.StreamResponse:
    """Show the alarms only."""
    return render(request, "now_alarms.html", **_alarms(request))


def _calls(request: web.Request) -> dict[str, Any]:
    hub, who, at_us = request.app[HUB], principal_of(request), request.app[GATE].now_us()
    found, total = calls_for(who, hub, at_us, _SHOWN)
    is_live = request.app[LIVE_DESK].settings.enabled and who.may(LIVE)
    for call in found:
        up = hub.calls.get(call["recording"])
        assert up is not None
        call["seconds"] = max(0, (at_us - from_rfc3339(call["answered_at"] or call["started_at"])) // 1_000_000)
        call["mos"] = min((side["mos"] for side in call["sides"] if side["mos"] is not None), default=None)
        call["may_pause"] = who.may_of(PAUSE, up.facts, at_us)
        call["may_listen"] = is_live and _may_listen(who, up, at_us)
        call["asks_reason"] = call["may_listen"] and who.needs_reason(LIVE, up.facts, at_us)
    return {
        "calls": found,
        "total": total,
        "is_starting": hub.capture.status is None,
        "may_end_any": who.may(PAUSE_ANY),
        "my_id": who.id,
        "good_mos": GOOD_MOS,
        "fair_mos": FAIR_MOS,
    }


def _may_listen(who: Principal, call: LiveCall, at_us: int) -> bool:
    levels = who.levels(call.facts, at_us)
    hears = "full" in (levels["audio-caller"], levels["audio-callee"])
    return hears and not call.withheld and who.may_of(LIVE, call.facts, at_us)


def _alarms(request: web.Request) -> dict[str, Any]:
    hub, who, at_us = request.app[HUB], principal_of(request), request.app[GATE].now_us()
    every = [_readable(alarm_for(who, alarm, at_us)) for alarm in hub.alarms.all()]
    return {
        "standing": [alarm for alarm in every if alarm["stands"]],
        "over": [alarm for alarm in every if not alarm["stands"]][:_OVER],
    }


def _readable(alarm: dict[str, Any]) -> dict[str, Any]:
    """Return an alarm for people: microseconds as milliseconds; is_listed: whether its words can be translated.

    Words of no list of ours are shown as they are: a % in them is no place for a value.
    """
    about = {name: _value(name, value) for name, value in alarm["about"].items()}
    return {**alarm, "about": about, "is_listed": alarm["words"] in ALARMS}


def _value(name: str, value: str) -> str:
    """Return what a line of the log said beside its words.

    >>> _value("max_error_us", "16000000"), _value("max_error_ms", "1000.0"), _value("reason", "12")
    ('16,000.0 ms', '1,000.0 ms', '12')
    """
    factor = 1e-3 if name.endswith("_us") else 1.0 if name.endswith("_ms") else None
    try:
        return value if factor is None else f"{float(value) * factor:,.1f} ms"
    except ValueError:
        return value


async def _health(request: web.Request) -> dict[str, Any]:
    state = await request.app[STATE].read()
    who = principal_of(request)
    return {"state": state, "disk": _disk(state), "may_see_more": who.may(SETTINGS) or who.may(AUDIT)}


def _disk(state: RecorderState) -> Mapping[str, Any]:
    disk = state.disk
    used = 1 - disk.free_bytes / max(1, disk.total_bytes)
    is_low = used > 0.95 or (disk.days_left is not None and disk.days_left < 7)
    is_filling = used > 0.85 or (disk.days_left is not None and disk.days_left < 30)
    return {
        "used_percent": round(100 * used),
        "free": size(disk.free_bytes),
        "recordings": size(disk.recordings_bytes),
        "per_day": None if disk.bytes_per_day is None else size(disk.bytes_per_day),
        "kind": "bad" if is_low else "warn" if is_filling else "good",
    }


def size(count: float) -> str:
    """Return a number of bytes as people read it.

    >>> size(0), size(1_536), size(3_221_225_472)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


PAGES: Final = (
    Page("/now", now, scope=READ, item=Item("Now", "activity")),
    Page("/now/calls", calls, scope=READ),
    Page("/now/health", health, scope=READ),
    Page("/now/alarms", alarms, scope=READ),
)
