"""Pauses that no worker confirmed: what is known of them without a worker, and how the next one takes them up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from vittne.capture.columns import SECOND
from vittne.capture.media import FOREVER
from vittne.capture.pause import Pause
from vittne.capture.pausing import PauseOrder, ordered
from vittne.capture.pipeline import Pipeline
from vittne.capture.selecting import select_calls

_WAIT_NS: Final = 60 * SECOND  # in which a new worker has heard everything that the last one knew


def unconfirmed(order: PauseOrder, guard_ns: int) -> Pause:
    """Return the pause of an order that no worker confirmed: of all that matches, both parties."""
    wait_ns = max(order.wait_ns, _WAIT_NS)
    standing = order.scope == "agent"
    named = [order.select["sip_call_id"]] if set(order.select) == {"sip_call_id"} else []
    return replace(
        ordered(order, guard_ns),
        call_ids=tuple(dict.fromkeys([*named, *order.also])),
        select=dict(order.select),
        armed_until_mono=FOREVER if standing else order.asked_mono + wait_ns,
        armed_until_at=0 if standing else order.asked_at + wait_ns,
        unconfirmed=True,
    )


def take_up(pipeline: Pipeline, pauses: Iterable[Pause]) -> None:
    """Take the pauses that live from who had them before, ahead of any packet; those never confirmed begin here."""
    for pause in pauses:
        if not pause.unconfirmed:
            pipeline.pauses.restore(pause)
            continue
        begun = pipeline.pauses.put(replace(pause, unconfirmed=False))
        if not begun.is_live:
            continue
        calls = select_calls(pipeline.book, begun.select, pipeline.addresses)
        named = (pipeline.book.call_with(call_id) for call_id in begun.call_ids)
        pipeline.pauses.attach(begun, [*calls, *(c for c in named if c is not None and not c.closed)])
