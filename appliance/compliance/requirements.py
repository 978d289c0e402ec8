"""The requirements: lines of requirements.toml, each with the function that looks whether it is met."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from types import ModuleType
from typing import Final

from vittne.appliance.compliance import (
    checks_backup,
    checks_duties,
    checks_evidence,
    checks_incidents,
    checks_life,
    checks_recordings,
)
from vittne.appliance.compliance.finding import NOT_COVERED, ORGANISATIONAL, Check, Finding, Row

_SUBJECTS: Final[dict[str, ModuleType]] = {
    "backup": checks_backup,
    "duties": checks_duties,
    "evidence": checks_evidence,
    "incidents": checks_incidents,
    "life": checks_life,
    "recordings": checks_recordings,
}
_SAID: Final = {"not covered": NOT_COVERED, "organisational": ORGANISATIONAL}  # checks that only say something


@cache
def requirements() -> tuple[Row, ...]:
    """Return all rows, in the order of the file."""
    text = files("vittne.appliance.compliance").joinpath("requirements.toml").read_text("utf-8")
    return tuple(
        Row(
            one["regime"],
            one["article"],
            one["asks"],
            _check(one["check"], one.get("words", "")),
            one.get("command", ""),
        )
        for one in tomllib.loads(text)["rows"]
    )


def _check(name: str, words: str) -> Check:
    if name in _SAID:
        return _saying(_SAID[name], words)
    subject, _, function = name.partition(".")
    check: Check = getattr(_SUBJECTS[subject], function)
    return check


@cache
def _saying(state: str, words: str) -> Check:
    finding = Finding(state, (words,))
    return lambda _: finding
