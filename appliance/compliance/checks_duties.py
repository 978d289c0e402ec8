"""Checks of duties with a date: reviews of recordings, and requests of persons."""

from __future__ import annotations

from sqlalchemy import func, select

from vittne.appliance.compliance.finding import NO_DATA, Finding, many, met_if
from vittne.appliance.compliance.looking import Looking
from vittne.appliance.store.tables import review_plans, reviews, subjects


def monitored(at: Looking) -> Finding:
    """Recordings are reviewed by a plan, and no review that was drawn is overdue."""
    with at.catalogue.reading() as connection:
        query = select(func.count(review_plans.c.name.distinct())).where(review_plans.c.ended_us.is_(None))
        plans = int(connection.execute(query).scalar() or 0)
        due = connection.execute(select(reviews.c.due_us, reviews.c.done_us)).all()
    if not plans and not due:
        return met_if(False, "there is no plan of reviews")
    done = sum(row.done_us is not None and at.since_us <= row.done_us < at.until_us for row in due)
    late = sum(row.done_us is None and row.due_us <= at.now_us for row in due)
    words = (
        f"{many(plans, 'plan')} in force, {many(len(due), 'review')} drawn, {done} done in this time, {late} overdue"
    )
    return met_if(bool(plans) and not late, words)


def answered(at: Looking) -> Finding:
    """What persons ask for is answered in its month."""
    query = select(subjects.c.due_us, subjects.c.closed_us).where(
        subjects.c.opened_us >= at.since_us, subjects.c.opened_us < at.until_us
    )
    with at.catalogue.reading() as connection:
        rows = connection.execute(query).all()
    if not rows:
        return Finding(NO_DATA, ("nobody asked for anything in this time",))
    late = sum((at.now_us if row.closed_us is None else row.closed_us) > row.due_us for row in rows)
    closed = sum(row.closed_us is not None for row in rows)
    return met_if(not late, f"{many(len(rows), 'request')}, {closed} answered, {late} not by the date they were due")
