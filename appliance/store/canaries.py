"""Which calls are canaries, in queries: whoever counts or lists customers' calls leaves them out."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from vittne.appliance.store.tables import calls, canaries


def is_no_canary(recording: ColumnElement[str] = calls.c.id) -> ColumnElement[bool]:
    """Return what holds of recordings that no canary call made. recording: the column with their ids."""
    return recording.not_in(select(canaries.c.recording))


def is_canary(recording: ColumnElement[str] = calls.c.id) -> ColumnElement[bool]:
    """Return what holds of recordings that a canary call made."""
    return recording.in_(select(canaries.c.recording))
