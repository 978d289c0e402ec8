"""Operations on alarms: what stands and how it is told, and a test that everybody is sent. A test is in the trail."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any, Final

from vittne.appliance.alarming.desk import AlarmDesk
from vittne.appliance.control.operation import Caller, Operation, Order, Steps
from vittne.appliance.events.alarms import Alarm
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal import events
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.webhooks.table import Delivery, Webhook, WebhookTable


class ListAlarms(Order):
    """Say which alarms there are, and how the channels stand."""


class TestAlarms(Order):
    """Send every channel a test."""

    __test__ = False  # pytest: this is no test


def _list(registrar: Registrar, order: ListAlarms, caller: Caller) -> Steps:
    yield from ()
    desk = _desk(registrar)
    at = now_us()
    shown = [_shown(one, at) for one in desk.alarms.all()]
    return {"alarms": shown, "channels": [*desk.channels(), *_webhooks(registrar)]}


def _test(registrar: Registrar, order: TestAlarms, caller: Caller) -> Steps:
    yield from ()
    desk = _desk(registrar)
    at = now_us()
    hooks = list(_told(registrar))
    names = [way.name for way in desk.ways] + [hook.name for hook in hooks]
    registrar.audit.note(events.ALARMS_TESTED, caller, channels=names)
    tests = [Delivery(f"msg_{secrets.token_hex(12)}", hook.id, "test", {}, at, next_us=at) for hook in hooks]
    WebhookTable(registrar.catalogue).add(tests)
    desk.test()
    return {"at": rfc3339(at), "channels": names}


def _desk(registrar: Registrar) -> AlarmDesk:
    if registrar.alarm_desk is None:
        raise StoreError("no recorder runs here", registrar.data_dir, "alarms are its own: start it")
    found: AlarmDesk = registrar.alarm_desk
    return found


def _shown(alarm: Alarm, at_us: int) -> dict[str, Any]:
    return {
        "name": alarm.kind.name,
        "weight": alarm.kind.weight,
        "words": alarm.words,
        "about": dict(alarm.about),
        "first_at": rfc3339(alarm.first_us),
        "last_at": rfc3339(alarm.last_us),
        "times": alarm.times,
        "stands": alarm.stands(at_us),
        "cleared_at": None if alarm.cleared_us is None else rfc3339(alarm.cleared_us),
    }


def _told(registrar: Registrar) -> Iterator[Webhook]:
    """Yield webhooks that are told of alarms."""
    for hook in WebhookTable(registrar.catalogue).all():
        if hook.disabled_us is None and "alarm.raised" in hook.events:
            yield hook


def _webhooks(registrar: Registrar) -> Iterator[dict[str, Any]]:
    """Yield how they stand, by the newest that was tried of each."""
    table = WebhookTable(registrar.catalogue)
    for hook in _told(registrar):
        last = table.listed(hook.id, limit=1)
        counts = table.counts().get(hook.id, {})
        done = last[0].done_us if last and last[0].state == "delivered" else None
        tried = last[0].done_us or (last[0].created_us if last[0].attempts else None) if last else None
        yield {
            "name": hook.name,
            "kind": "webhook",
            "weight": "warn",
            "only": [],
            "waiting": counts.get("waiting", 0),
            "sending": bool(last and last[0].state == "waiting" and not last[0].attempts),
            "sent": counts.get("delivered", 0),
            "error": last[0].last_error if last else "",
            "tried_at": None if tried is None else rfc3339(tried),
            "delivered_at": None if done is None else rfc3339(done),
        }


LIST_ALARMS: Final = Operation("alarms.list", "listing alarms", ListAlarms, _list, is_brief=True)
TEST_ALARMS: Final = Operation("alarms.test", "testing the channels of alarms", TestAlarms, _test, is_brief=True)
ALARM_OPERATIONS: Final[tuple[Operation[Any], ...]] = (LIST_ALARMS, TEST_ALARMS)
