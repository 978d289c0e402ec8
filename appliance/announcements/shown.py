"""Announcements as people and programs see them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.announcements.terms import Terms
from vittne.appliance.show import json_object
from vittne.appliance.store.times import rfc3339
from vittne.appliance.terminal import YELLOW, Cell, clean, painted

if TYPE_CHECKING:
    from vittne.appliance.announcements.alike import Alike
    from vittne.appliance.announcements.enrol import Prepared

HASH_SHOWN: Final = 12  # of a hash's 64 letters


def tell(answer: dict[str, Any], sound: Prepared | None, pairs: Sequence[Alike], as_json: bool) -> int:
    """Say what became of it, and what to look at."""
    one = answer["announcement"]
    warnings = [] if sound is None else [one for one in (sound.measures.refused, *sound.measures.warnings) if one]
    if not one["language"] and answer["changed"]:
        warnings.append("no language is said of it: --language")
    if as_json:
        measures = {} if sound is None else {"measures": sound.measures.as_json()}
        found = {"warnings": warnings, "alike": [pair.as_json() for pair in pairs]}
        sys.stdout.write(json_object({**answer, **measures, **found}))
        return 0
    if not answer["changed"]:
        print("nothing changed")
        return 0
    name = clean(one["name"])
    print(f"{name}: version {one['version']}, {one['length_s']:.1f} s, hash {one['reference'][:HASH_SHOWN]}")
    if sound is not None:
        begin, end = one["cut_s"]
        print(f"kept of the file: {begin:.2f} to {end:.2f} s; speech until {_file_s(sound):.2f} s", end="")
        print(f"; loudness {sound.measures.loudness_dbov:.0f} dBov")
    required = ", ".join(f"{a:.1f} to {b:.1f}" for a, b in one["required_s"])
    print(f"must be heard: {f'seconds {required} of what is kept' if required else 'all its speech'}")
    for words in (*warnings, *(pair.words() for pair in pairs)):
        print(painted(f"warning: {clean(words, 600)}", YELLOW), file=sys.stderr)
    if sound is not None:
        print(f"next: `vittne announcement try {name} --degrade`, and without it on stored calls")
    return 0


def _file_s(sound: Prepared) -> float:
    return sound.cut_ms[0] / 1000 - sound.measures.begin_s + sound.measures.speech_end_s


def is_over(terms: Terms, now: int) -> bool:
    """Say whether a version was retired, or its time is over."""
    begun = terms.from_us is None or terms.from_us <= now
    return (terms.retired and begun) or (terms.until_us is not None and terms.until_us <= now)


def listed(terms: Terms, counting: Terms | None) -> dict[str, Any]:
    """Return a version as `--json` shows it. counting: the version that counts now."""
    return {**terms.as_json(), "counts": None if counting is None else counting.version}


def row_of(terms: Terms, counting: Terms | None, now: int) -> list[str | Cell]:
    """Return a line of `announcement list`."""
    required = ", ".join(f"{begin / 1000:.1f}-{end / 1000:.1f}" for begin, end in terms.required_ms)
    state = "no" if counting is None else "yes" if counting.version == terms.version else f"version {counting.version}"
    if terms.from_us is not None and terms.from_us > now:
        what = "retired" if terms.retired else "this one"
        state = f"{state}; {what} from {rfc3339(terms.from_us)[:16]}"
    if is_over(terms, now):
        state = "retired" if terms.retired else f"until {rfc3339(terms.until_us or 0)[:16]}"
    cells = [terms.name, str(terms.version), terms.purpose, terms.language or "-", f"{terms.length_ms / 1000:.1f} s"]
    return [*cells, required or "all", ", ".join(terms.sites) or "all", state, terms.reference[:HASH_SHOWN]]
