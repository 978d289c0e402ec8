"""What of a call decides who may see it."""

from __future__ import annotations

from vittne.appliance.access.profile import RecordingFacts
from vittne.appliance.store.parties import agents_of, numbers_of
from vittne.appliance.store.rows import CallRow


def facts_of(sealed: CallRow, shown: CallRow) -> RecordingFacts:
    """Return what decides whether a recording exists for somebody. shown: the call with its corrections."""
    return RecordingFacts(shown.site, numbers_of(sealed, shown), agents_of(sealed), shown.tags, shown.started_us)
