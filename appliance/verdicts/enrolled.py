"""The prompts that a verdict names, as they are enrolled here: name, language and purpose by the hash of the sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import select

from vittne.appliance.announcements.terms import Terms
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.tables import announcements
from vittne.appliance.verdicts.books import Prompt, Prompts

_CHUNK: Final = 500


def prompts_in(catalogue: Catalogue) -> Prompts:
    """Return what finds prompts in a catalogue. Of a sound that several versions have, the newest says what it is."""

    def find(hashes: Sequence[str]) -> Mapping[str, Prompt]:
        found = {}
        wanted = sorted(set(hashes))
        with catalogue.reading() as connection:
            for begin in range(0, len(wanted), _CHUNK):
                which = announcements.c.reference.in_(wanted[begin : begin + _CHUNK])
                query = select(announcements).where(which).order_by(announcements.c.made_us, announcements.c.version)
                for row in connection.execute(query):
                    found[row.reference] = Prompt(row.name, row.language, row.purpose)
        return found

    return find


def played_at(terms: Iterable[Terms], site: str) -> tuple[Terms, ...]:
    """Return those announcements that are played at a site; one that names none is played everywhere."""
    return tuple(one for one in terms if not one.sites or site in one.sites)
