"""What is said in the log of a pause that is new or changed, where somebody should look."""

from __future__ import annotations

import structlog

from vittne.capture.pause import Pause

log = structlog.get_logger()


def tell(before: Pause | None, pause: Pause) -> None:
    """Say of what somebody should look at."""
    about = {"pause": pause.id, "by": pause.actor, "calls": len(pause.calls)}
    if before is None and pause.trigger == "digits":
        log.error("alarm: a number is being keyed in a call that nobody paused; it is paused now", **about)
    if before is not None and before.unconfirmed and not pause.unconfirmed:
        log.error("alarm: a pause that was not confirmed in time holds now", **about)
    if pause.incomplete_at and not (before is not None and before.incomplete_at):
        log.error("alarm: a pause came too late; what was written before it is still there", **about)
    if pause.ended_by == "too many pauses":
        log.error("alarm: too many pauses live; one was refused, and its call is not paused", **about)
    if pause.ended_by == "no call appeared" and not (before is not None and before.ended_by):
        log.error("alarm: a pause waited for a call that did not appear; nothing was paused", **about)
    if pause.overdue and not (before is not None and before.overdue):
        log.error("alarm: a pause outlived its lease; the call stays paused", **about)
    if pause.ended_by.startswith("lease ran out") and not (before is not None and before.ended_by):
        log.error("alarm: a pause ended with its lease; nobody resumed the call", **about)
