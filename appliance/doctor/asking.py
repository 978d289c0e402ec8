"""Asking a recorder how it is: what it answers, and the operation that a command asks it by."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Final

from vittne.appliance.control.operation import Caller, Operation, Order, Progress, Steps
from vittne.appliance.doctor.recorderfacts import RecorderFacts
from vittne.appliance.doctor.tapfacts import merged
from vittne.appliance.events.hub import Hub
from vittne.appliance.registrar import Registrar
from vittne.appliance.store.times import now_us


def recorder_facts(hub: Hub, keys: str = "unknown") -> RecorderFacts:
    """Return how things stand now."""
    watch, at_us, now_s = hub.capture, now_us(), time.monotonic()
    status = watch.status
    return RecorderFacts(
        interfaces=tuple(watch.interfaces),
        running_s=(at_us - hub.started_us) / 1e6,
        told_s_ago=None if status is None else now_s - watch.at_s,
        quiet_s=None if status is None else now_s - watch.grew_s,
        workers=hub.workers,
        packets_per_s=watch.packets_per_s,
        rates=dict(watch.rates),
        occupancy=status.occupancy if status is not None else 0.0,
        live_calls=status.live_calls if status is not None else 0,
        keys=keys,
        alarms=tuple(sorted({alarm.kind.name for alarm in hub.alarms.standing(at_us)})),
        counters=merged(status.seen, status.drops) if status is not None else {},
    )


class Ask(Order):
    """Nothing is to be said."""


def _do(registrar: Registrar, order: Ask, caller: Caller) -> Steps:
    yield Progress(1, 1)
    return asdict(registrar.facts())


ASK_FACTS: Final = Operation("doctor", "asking how it is", Ask, _do, is_brief=True)
