"""The auditor's report: each requirement, what was found by looking, and the command that shows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from vittne.appliance.compliance.finding import STATES, Check, Finding, Found
from vittne.appliance.compliance.looking import Looking
from vittne.appliance.compliance.requirements import requirements
from vittne.appliance.config import Config
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.times import rfc3339
from vittne.appliance.version import VERSION

TITLES: Final = {
    "pci": "PCI DSS 4.0.1",
    "mifid": "MiFID II, RTS 25, FCA SYSC 10A",
    "sec": "SEC 17a-4(f), CFTC 1.35",
    "sox": "SOX",
    "soc2": "SOC 2",
    "hipaa": "HIPAA Security Rule",
    "gdpr": "GDPR",
    "fedramp": "NIST SP 800-53 (built to, not authorised)",
}
CAUTION: Final = (
    'This is no certificate and no legal advice. "met" says that what was looked at agrees with the requirement, on '
    "this machine and in this time; it does not say that an organisation complies."
)


@dataclass(frozen=True, slots=True)
class Report:
    """A report. Times are microseconds UTC."""

    since_us: int
    until_us: int
    made_us: int
    site: str
    archive: str  # the ledger's key: which archive this is about
    checkpoint: str  # size and root of the ledger when it was made
    found: tuple[Found, ...]

    @property
    def states(self) -> Counter[str]:
        """Count rows by state."""
        return Counter(one.finding.state for one in self.found)

    def by_regime(self) -> list[tuple[str, list[Found]]]:
        """Return rows under the titles of their regimes."""
        return [(TITLES[key], list(some)) for key, some in groupby(self.found, key=lambda one: one.row.regime)]

    def head(self) -> list[tuple[str, str]]:
        """Return what stands above the rows."""
        return [
            ("time", f"{_told(self.since_us)} to {_told(self.until_us)} UTC"),
            ("made", f"{_told(self.made_us)} UTC by vittne {VERSION}"),
            ("site", self.site or "not named in the configuration"),
            ("archive", self.archive),
            ("ledger", self.checkpoint),
            ("states", ", ".join(f"{state} {self.states[state]}" for state in STATES if self.states[state])),
        ]

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "since": rfc3339(self.since_us),
            "until": rfc3339(self.until_us),
            "made_at": rfc3339(self.made_us),
            "version": VERSION,
            "site": self.site,
            "archive": self.archive,
            "ledger": self.checkpoint,
            "states": {state: self.states[state] for state in STATES},
            "rows": [one.as_json() for one in self.found],
        }


def make_report(data: Path, config: Config, since_us: int, until_us: int, regimes: Sequence[str] = ()) -> Report:
    """Look at everything that the rows of some regimes, or of all, ask for. Raises StoreError."""
    archive = load_verifier(data / "keys").name
    with Catalogue(data / CATALOGUE_FILE, read_only=True) as catalogue:
        at = Looking(data, config, catalogue, since_us, until_us)
        known: dict[Check, Finding] = {}
        found = []
        for row in requirements():
            if not regimes or row.regime in regimes:
                finding = known.get(row.check) or row.check(at)
                known[row.check] = finding
                found.append(Found(row, finding))
        ledger = at.ledger
    checkpoint = ledger.broken or f"{ledger.size} entries, root {ledger.root}"
    return Report(since_us, until_us, at.now_us, config.site.name, archive, checkpoint, tuple(found))


def _told(at_us: int) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
