"""`vittne verify`: what was checked, what holds, what does not, and what could not be looked at, in plain words.

Exit status: 0 all holds; 1 something fails; 3 nothing wrong was found, but something could not be checked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from vittne.appliance.outfile import progress
from vittne.appliance.seal.verdict import FAILS, HOLDS, UNCHECKED, Verdict
from vittne.appliance.seal.verify import ARCHIVE, verify, verify_all
from vittne.appliance.show import json_array
from vittne.appliance.storage.fetching import at_hand
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue, NoSuchCall
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import is_id
from vittne.appliance.terminal import FAINT, GREEN, RED, YELLOW, clean, painted

ALL_HOLDS: Final = 0
SOMETHING_FAILS: Final = 1
NOT_ALL_CHECKED: Final = 3

_COLOURS: Final = {HOLDS: GREEN, FAILS: RED, UNCHECKED: YELLOW}
_WORDS: Final = {HOLDS: "holds", FAILS: "FAILS", UNCHECKED: "not checked"}


def run(data_dir: Path, prefix: str | None, as_json: bool) -> int:
    """Verify one recording by its id or its first letters, or all; return the exit status."""
    with progress("verifying", 100) as bar:

        def advance(done: int, total: int) -> None:
            bar(100 * done // max(total, 1))

        if prefix is None:
            verdicts: Iterable[Verdict] = verify_all(data_dir, progress=advance, at_hand=at_hand)
        else:
            verdicts = [verify(data_dir, _whole_id(data_dir, prefix), progress=advance, at_hand=at_hand)]
        if not as_json:
            return exit_status(_printed(verdicts, whole=prefix is not None))
        statuses: set[int] = set()  # not the verdicts: there may be millions

        def told() -> Iterator[dict[str, Any]]:
            for verdict in verdicts:
                statuses.add(exit_status([verdict]))
                yield verdict_json(verdict)

        sys.stdout.writelines(json_array(told()))
        return _worst(statuses)


def _printed(verdicts: Iterable[Verdict], whole: bool) -> Iterator[Verdict]:
    """Print verdicts as they come, what holds of many in one line each; and the sum last."""
    good = found = 0
    unchecked = 0
    for verdict in verdicts:
        is_archive = verdict.subject == ARCHIVE
        found += not is_archive
        good += verdict.ok and not is_archive
        unchecked += any(check.result == UNCHECKED for check in verdict.checks)
        sys.stdout.write("\n".join(verdict_lines(verdict, whole or is_archive)) + "\n")
        yield verdict
    if not whole:
        bad = found - good
        words = f"{found} recordings checked, {good} with nothing wrong, {bad} with something wrong"
        print(painted(words, RED if bad else GREEN))
    if unchecked:
        print(painted("not everything could be checked: the lines above say what, and why", YELLOW))


def verdict_lines(verdict: Verdict, whole: bool) -> list[str]:
    """Return a verdict's lines. whole: every check; else only what does not hold."""
    result = next((r for r in (FAILS, UNCHECKED) if any(c.result == r for c in verdict.checks)), HOLDS)
    head = f"{verdict.subject}  {painted(_WORDS[result], _COLOURS[result])}"
    if not whole and result == HOLDS:
        return [f"{head}  {painted(', '.join(check.name for check in verdict.checks), FAINT)}"]
    shown = [check for check in verdict.checks if whole or check.result != HOLDS]
    return [head] + [
        f"  {painted(f'{_WORDS[check.result]:11}', _COLOURS[check.result])} {check.name}: {clean(check.words, 600)}"
        for check in shown
    ]


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """Return what a command ends with that found these."""
    return _worst({_status(verdict) for verdict in verdicts})


def _status(verdict: Verdict) -> int:
    if not verdict.ok:
        return SOMETHING_FAILS
    return NOT_ALL_CHECKED if any(check.result == UNCHECKED for check in verdict.checks) else ALL_HOLDS


def _worst(statuses: set[int]) -> int:
    return next((one for one in (SOMETHING_FAILS, NOT_ALL_CHECKED) if one in statuses), ALL_HOLDS)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict for programs."""
    checks = [{"name": c.name, "result": c.result, "words": c.words} for c in verdict.checks]
    return {"subject": verdict.subject, "ok": verdict.ok, "checks": checks}


def _whole_id(data_dir: Path, prefix: str) -> str:
    """Return the id that begins so. A whole id needs no catalogue, which may be what is wrong."""
    wanted = prefix.strip().lower()
    if is_id(wanted):
        return wanted
    try:
        with Catalogue(data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
            return catalogue.get(wanted).id
    except NoSuchCall:
        raise
    except StoreError as error:
        what = f"the catalogue, which completes ids, cannot be read ({error.what})"
        raise StoreError(what, data_dir, "give the whole id") from error
