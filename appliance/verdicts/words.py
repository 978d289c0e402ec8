"""What was heard of a call, in lines for people. Light: `vittne show` needs it, and no database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import from_rfc3339
from vittne.appliance.terminal import clean, duration

_STATES: Final = 20  # told one by one; --json has all


def announcement_lines(row: CallRow) -> list[str]:
    """Return the verdict on a call's announcement; empty where there is none."""
    told = row.details.get("announcement")
    if not isinstance(told, Mapping) or not row.announced or row.announced == "not-expected":
        return []
    return [row.announced, *told_words(told)]


def told_words(told: Mapping[str, Any]) -> list[str]:
    """Return what a verdict says, in words."""
    found = []
    if told.get("reference"):
        where = f"{told['offset_ms'] / 1000:.1f} s into the voice of the {told['party']}"
        parts = f"{told['share_permille'] / 10:.1f} % of it, score {told['score_permille'] / 1000:.2f}"
        language = f" ({told['language']})" if told.get("language") else ""
        found.append(f"{told.get('name') or 'a prompt'}{language} {told['reference'][:16]}, {where}: {parts}")
        if told.get("overlap_permille"):
            found.append(f"{told['overlap_permille'] / 10:.0f} % of it was talked over")
    if told.get("rule"):
        wanted = "wanted" if told.get("expected") else "not wanted"
        found.append(f"{wanted} by rule {told['rule']}, {'met' if told.get('proven') else 'not met'}")
    for one in told.get("missing", ()):
        found.append(f"not listened for: {one['name'] or 'a prompt'} {one['reference'][:16]}")
    for name in ("reason", "kept_by"):
        if told.get(name):
            found.append(f"{name.replace('_', ' ')}: {told[name]}")
    if told.get("then"):
        found.append(f"so: {', '.join(told['then'])}")
    if told.get("detector"):
        found.append(f"detector {told['detector']}")
    return [clean(words) for words in found]


def heard_lines(row: CallRow) -> list[str]:
    """Return who spoke how long, what was listened to, tones, and consent; empty where nobody listened."""
    heard = row.details.get("heard")
    if not isinstance(heard, Mapping):
        return []
    lines = [*_talk(heard.get("talk") or {}), *_listened(heard.get("listened") or ()), *_played(row, heard)]
    for one in heard.get("consent") or ():
        lines.append(f"{one['decision']} at {_since(row, one['at'])}")
    states = heard.get("states") or ()
    for one in states[:_STATES]:
        what = f"{one['state']} of the {one['party']} at {_since(row, one['begin'])}"
        length = (from_rfc3339(one["end"]) - from_rfc3339(one["begin"])) / 1e6
        again = f", every {one['interval_s']:g} s" if one.get("interval_s") else ""
        lines.append(f"{what} for {length:.1f} s{again}")
    if len(states) > _STATES:
        lines.append(f"and {len(states) - _STATES} states more: --json has all")
    return [clean(line) for line in lines]


def _talk(talk: Mapping[str, Any]) -> Iterator[str]:
    if not talk:
        return
    names = {"caller": "caller_ms", "callee": "callee_ms", "both at once": "overlap_ms", "nobody": "silence_ms"}
    words = ", ".join(f"{who} {duration(talk[name] / 1000)}" for who, name in names.items())
    yield f"spoke: {words} (longest silence {duration(talk['longest_silence_ms'] / 1000)})"


def _listened(listened: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in listened:
        if one.get("why"):
            yield f"not listened to the {one['party']} whole: {one['why']}"


def _played(row: CallRow, heard: Mapping[str, Any]) -> Iterator[str]:
    for one in (heard.get("announcements") or ())[:_STATES]:
        language = f" ({one['language']})" if one.get("language") else ""
        elsewhere = ", which counts at other sites only" if one.get("elsewhere") else ""
        where = f"of the {one['party']} at {_since(row, one['begin'])}"
        yield f"{one.get('name') or one['reference'][:16]}{language} {where}: {one['state']}{elsewhere}"
    for one in (heard.get("missing") or ())[:_STATES]:
        yield f"not listened for: {one.get('name') or one['reference'][:16]}"


def _since(row: CallRow, at: str) -> str:
    return f"{(from_rfc3339(at) - (row.answered_us or row.started_us)) / 1e6:+.1f} s"
