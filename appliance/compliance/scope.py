"""What an account did in a time, and whom it concerns (GDPR Art. 33(3), 34(3)(a)): answered from the audit trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vittne.appliance.compliance.keyfacts import keys_lack
from vittne.appliance.compliance.ledgerfacts import read_ledger
from vittne.appliance.seal import events
from vittne.appliance.store.audit import AuditRow, AuditSearch, AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.parties import number_of
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import rfc3339
from vittne.capture.conditions import is_number

NOTHING: Final = "nothing"
CIPHERTEXT: Final = "ciphertext"
CONTENT: Final = "content"
_ENCRYPTED: Final = "for "  # how a bundle's row begins to name its recipient


@dataclass(frozen=True, slots=True)
class Scope:
    """What was found. Lists are recordings' ids, each once; numbers: distinct, own ones of the site apart."""

    actor: str
    since_us: int
    until_us: int
    played: tuple[str, ...]
    copied: tuple[str, ...]  # in clear
    copied_encrypted: tuple[str, ...]  # bundles whose sound only their recipient opens
    refused: int
    searches: int
    other: Mapping[str, int] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    own_numbers: tuple[str, ...] = ()
    erased_since: int = 0  # recordings of whose parties nothing is known any more
    key_events: Mapping[str, int] = field(default_factory=dict)
    keys: str = ""  # what the archive's key lacks; "" nothing
    ledger: str = ""  # why the ledger, and so the trail, cannot be believed

    @property
    def exposed(self) -> str:
        """Say what became known: CONTENT, CIPHERTEXT or NOTHING, as far as the trail goes."""
        if self.played or self.copied:
            return CONTENT
        return CIPHERTEXT if self.copied_encrypted else NOTHING

    def as_json(self) -> dict[str, Any]:
        """Return it for programs, and for the incident that it is kept with."""
        return {
            "actor": self.actor,
            "since": rfc3339(self.since_us),
            "until": rfc3339(self.until_us),
            "exposed": self.exposed,
            "played": list(self.played),
            "copied": list(self.copied),
            "copied_encrypted": list(self.copied_encrypted),
            "refused": self.refused,
            "searches": self.searches,
            "other": dict(self.other),
            "persons": len(self.numbers),
            "own_persons": len(self.own_numbers),
            "erased_since": self.erased_since,
            "key_events": dict(self.key_events),
            "keys_lack": self.keys,
            "ledger": self.ledger,
        }


def find_scope(
    data: Path, catalogue: Catalogue, own_numbers: Sequence[str], actor: str, since_us: int, until_us: int
) -> Scope:
    """Ask the trail. own_numbers: the site's, as its configuration writes them. Raises StoreError."""
    wanted = actor.strip().casefold()
    search = AuditSearch(since_us=since_us, until_us=until_us)
    rows = [row for row in AuditTable(catalogue).search(search) if row.actor.strip().casefold() == wanted]
    played = [row for row in rows if row.kind in (events.PLAYED, events.OVERHEARD)]
    copied = [row for row in rows if row.kind == events.EXPORTED]
    encrypted = [row for row in copied if is_encrypted(row)]
    clear = [row for row in copied if not is_encrypted(row)]
    seen = {events.PLAYED, events.OVERHEARD, events.HEARD, events.EXPORTED, events.LOOK_REFUSED, events.SEARCHED}
    looked = _ids([*played, *clear])
    persons, own, gone = _persons(catalogue.get_all(looked), own_numbers)
    ledger = read_ledger(data, since_us, until_us)
    return Scope(
        actor,
        since_us,
        until_us,
        _ids(played),
        _ids(clear),
        _ids(encrypted),
        sum(row.kind == events.LOOK_REFUSED for row in rows),
        sum(row.kind == events.SEARCHED for row in rows),
        Counter(row.kind for row in rows if row.kind not in seen),
        persons,
        own,
        gone,
        {kind: count for kind, count in sorted(ledger.counts.items()) if kind.startswith("key.")},
        keys_lack(data),
        ledger.broken,
    )


def is_encrypted(row: AuditRow) -> bool:
    """Whether a copy was a bundle that only its recipient opens."""
    return row.details.get("format") == "bundle" and str(row.details.get("reason", "")).startswith(_ENCRYPTED)


def _persons(found: Sequence[CallRow], own_numbers: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """Return distinct numbers of others and of the site, and of how many recordings nothing is known any more."""
    numbers: set[str] = set()
    for call in found:
        uris = [call.caller, call.callee, *(str(p.get("uri", "")) for p in call.parties if isinstance(p, Mapping))]
        numbers.update(filter(None, map(number_of, uris)))
    own = {one for one in numbers if any(is_number(one, pattern) for pattern in own_numbers)}
    return tuple(sorted(numbers - own)), tuple(sorted(own)), sum(call.erased_us is not None for call in found)


def _ids(rows: Sequence[AuditRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.recording for row in rows))
