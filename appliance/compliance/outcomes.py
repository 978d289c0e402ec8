"""What each outcome of a call means, why it comes about, and what helps: for people who see one in a list."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select

from vittne.appliance.store.canaries import is_no_canary
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.rows import FINISHED
from vittne.appliance.store.tables import calls


@dataclass(frozen=True, slots=True)
class Meaning:
    """words: what happened; remedy: what to do; is_meant: somebody's rule or pause wanted it so."""

    words: str
    remedy: str
    is_meant: bool = False


OUTCOMES: Final = {
    "excluded-by-rule": Meaning(
        "A rule says that this call is not recorded.", "If it should be, mend the rule ([[record]]).", is_meant=True
    ),
    "discarded-by-policy": Meaning(
        "It was to be kept only if somebody agreed, an announcement was heard or a key was pressed; none was.",
        "Look at the rule, and whether the announcement plays.",
        is_meant=True,
    ),
    "paused-throughout": Meaning(
        "Recording was paused for the whole call.", "Look who paused it, and what for.", is_meant=True
    ),
    "no-media": Meaning(
        "The call was answered and no voice was seen on the wire.",
        "The mirror port does not show the media: mirror the switch ports that the voice runs over, both directions.",
    ),
    "encrypted": Meaning(
        "The voice was encrypted (SRTP) and no key was seen.",
        "Record where it is decrypted, or let the signalling that carries keys be seen.",
    ),
    "no-disk": Meaning(
        "There was no room to write it down.",
        "Make room, or let recordings go sooner; see days left on the first page.",
    ),
    "capture-loss": Meaning(
        "Its packets were lost before anybody could look at them.",
        "The machine or the mirror port is overloaded: see packets lost, by place and reason.",
    ),
    "partial": Meaning("Part of it is missing; its reasons say what.", "Look at the reasons of the recording."),
    "unanswered": Meaning("Nobody answered.", "", is_meant=True),
}
UNKNOWN: Final = Meaning("Nothing is kept of it.", "Look at its signalling.")


def meaning_of(outcome: str) -> Meaning:
    """Return what an outcome means."""
    return OUTCOMES.get(outcome, UNKNOWN)


def counted(catalogue: Catalogue, since_us: int, until_us: int) -> dict[str, int]:
    """Return how many answered calls of a time came to which outcome."""
    query = select(calls.c.outcome, func.count()).where(*_in(since_us, until_us)).group_by(calls.c.outcome)
    with catalogue.reading() as connection:
        return {str(row[0]): int(row[1]) for row in connection.execute(query)}


def not_recorded(
    catalogue: Catalogue, since_us: int, until_us: int, outcome: str, before: tuple[int, str] | None, limit: int
) -> Iterator[tuple[int, str]]:
    """Yield (answered, id) of answered calls of which nothing is kept, or only a part, the newest first."""
    wanted = calls.c.outcome == outcome if outcome else calls.c.outcome.not_in(("recorded", "partial", "imported"))
    query = select(calls.c.answered_us, calls.c.id).where(*_in(since_us, until_us), wanted)
    if before is not None:
        at_us, name = before
        same: Any = (calls.c.answered_us == at_us) & (calls.c.id < name)
        query = query.where((calls.c.answered_us < at_us) | same)
    query = query.order_by(calls.c.answered_us.desc(), calls.c.id.desc()).limit(limit)
    with catalogue.reading() as connection:
        for row in connection.execute(query):
            yield int(row[0]), str(row[1])


def _in(since_us: int, until_us: int) -> tuple[Any, ...]:
    return (calls.c.answered_us >= since_us, calls.c.answered_us < until_us, calls.c.state == FINISHED, is_no_canary())
