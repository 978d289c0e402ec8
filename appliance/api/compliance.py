"""All routes of the compliance side."""

from __future__ import annotations

from typing import Final

from vittne.appliance.api import (
    announcement_tries,
    announcements,
    approvals,
    attention,
    audit,
    bulk_exports,
    coverage,
    cutting,
    holds,
    incidents,
    keys,
    person_copies,
    recordinglife,
    reports,
    retention,
    review_plans,
    reviews,
    rules,
    subjects,
)
from vittne.appliance.api.routes import Route

ROUTES: Final[tuple[Route, ...]] = (
    *holds.ROUTES,
    *retention.ROUTES,
    *recordinglife.ROUTES,
    *cutting.ROUTES,
    *bulk_exports.ROUTES,
    *approvals.ROUTES,
    *subjects.ROUTES,
    *person_copies.ROUTES,
    *incidents.ROUTES,
    *reviews.ROUTES,
    *review_plans.ROUTES,
    *announcements.ROUTES,
    *announcement_tries.ROUTES,
    *rules.ROUTES,
    *attention.ROUTES,
    *coverage.ROUTES,
    *audit.ROUTES,
    *reports.ROUTES,
    *keys.ROUTES,
)
