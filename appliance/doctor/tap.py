"""All that is asked of a tap."""

from __future__ import annotations

from typing import Final

from vittne.appliance.doctor.call_checks import CALL_CHECKS
from vittne.appliance.doctor.finding import Finding
from vittne.appliance.doctor.tapfacts import TapFacts
from vittne.appliance.doctor.traffic_checks import TRAFFIC_CHECKS

TAP_CHECKS: Final = (*TRAFFIC_CHECKS, *CALL_CHECKS)


def judge_tap(tap: TapFacts) -> list[Finding]:
    """Return what is found of a tap, in the order of the checks."""
    return [found for check in TAP_CHECKS if (found := check(tap)) is not None]
