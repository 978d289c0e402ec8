"""Who is who: a person is a party of one session, and after a B2BUA or a transfer of several.

A seat says where a voice is heard, and whoever replaces a party takes its seat; a pause of a party holds for
the person, wherever it sits.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_MOST: Final = 512  # parties; a chain of calls that are related one to the next has no end of its own

Party = tuple[str, int]  # Call-ID, side


class Persons:
    """Parties of some sessions, and which of them are one person."""

    def __init__(self) -> None:
        self._first: dict[Party, Party] = {}  # a party -> the one that stands for the person

    def join(self, one: Party, other: Party) -> None:
        """Note that two parties are one person."""
        kept, gone = self.who(one), self.who(other)
        if kept == gone or len(self._first) >= _MOST:
            return
        for party, first in self._first.items():
            if first == gone:
                self._first[party] = kept
        self._first[kept] = self._first[gone] = self._first[other] = kept

    def who(self, party: Party) -> Party:
        """Return what stands for the person that a party is; the same for all parties of one person."""
        return self._first.get(party, party)

    def take(self, others: Persons) -> None:
        """Know what another one knew, of other sessions."""
        if len(self._first) + len(others._first) < 2 * _MOST:
            self._first |= others._first

    def is_one_of(self, party: Party, named: Iterable[str]) -> bool:
        """Whether a party is a person that one of these names, as key() writes them."""
        who = self.who(party)
        return any(self.who(party_of(key)) == who for key in named)


def key(party: Party) -> str:
    """Return a party as a pause keeps it."""
    return f"{party[1]} {party[0]}"


def party_of(text: str) -> Party:
    """Return what key() wrote.

    >>> party_of(key(("abc@10.0.0.1", 1)))
    ('abc@10.0.0.1', 1)
    """
    side, _, call_id = text.partition(" ")
    return call_id, int(side == "1")
