"""The prompts that a verdict names, as they are enrolled here: name, language and purpose by the hash of the sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select

from vittne.appliance.announcements.table import counting
from vittne.appliance.announcements.terms import Terms
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import announcements
from vittne.appliance.verdicts.books import Prompt, Prompts, answered_us

_CHUNK: Final = 500


def prompts_in(catalogue: Catalogue) -> Prompts:
    """Return what finds prompts in a catalogue.

    Of a sound that several versions have, the newest that had begun at the time says what it is, and one that was not
    retired before one that was; where none had begun yet (it was enrolled while the call went on), the first.
    """

    def find(hashes: Sequence[str], at_us: int) -> Mapping[str, Prompt]:
        found: dict[str, tuple[tuple[bool, bool, int], Prompt]] = {}
        wanted = sorted(set(hashes))
        with catalogue.reading() as connection:
            for begin in range(0, len(wanted), _CHUNK):
                which = announcements.c.reference.in_(wanted[begin : begin + _CHUNK])
                query = select(announcements).where(which).order_by(announcements.c.made_us, announcements.c.version)
                for row in connection.execute(query):
                    has_begun = row.from_us is None or row.from_us <= at_us
                    rank = has_begun, not row.retired, row.made_us if has_begun else -row.made_us
                    if row.reference not in found or rank >= found[row.reference][0]:
                        prompt = Prompt(row.name, row.language, row.purpose, tuple(row.sites))
                        found[row.reference] = rank, prompt
        return {reference: prompt for reference, (_, prompt) in found.items()}

    return find


def listened_for(versions: Iterable[Terms], report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the hashes that a call was listened for: what counted when it was, less what its worker lacked."""
    heard = (report.get("details") or {}).get("heard") or {}
    lacked = {one["reference"] for one in heard.get("missing", ())}
    played = played_at(counting(versions, answered_us(report)), str(report.get("site", "")))
    return tuple(one.reference for one in played if one.reference not in lacked)


def played_at(terms: Iterable[Terms], site: str) -> tuple[Terms, ...]:
    """Return those announcements that are played at a site; one that names none is played everywhere."""
    return tuple(one for one in terms if not one.sites or site in one.sites)
