"""Which of the calls that a worker tells of are canaries: held by the registrar, which alone writes of them.

Registrar ▸ is one of ours? ▸ noted in the table and, once, in the ledger ▸ its report says for how long it is kept
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from vittne.appliance.canary.mark import RULE, Sent, is_ours
from vittne.appliance.canary.table import AWAITED_US, CanaryTable
from vittne.appliance.policy.decide import Policy
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import from_rfc3339, now_us, rfc3339

log = structlog.get_logger()

_DAY_US: Final = 24 * 3600 * 1_000_000


class CanaryBook:
    """Canaries whose recordings are awaited, and those that are known. keep_days: how long these are kept."""

    def __init__(self, catalogue: Catalogue, keep_days: int = 2) -> None:
        self.table = CanaryTable(catalogue)
        self.keep_days = keep_days
        before = self.table.pending(now_us())
        self._pending = {sent.call_id: sent for sent, _ in before}
        self._since = dict.fromkeys(self._pending, now_us())
        self._known = {recording: sent.run for sent, recording in before if recording}  # recording to run
        self.wake: Callable[[], object] | None = None  # who places them; from any thread
        self._asked = ""  # the id of the run that somebody waits for
        self._strange: set[str] = set()  # Call-IDs of runs whose recording holds something else as well

    def ask(self) -> str:
        """Have one placed now; return the id that its run will have. Raises StoreError."""
        if self.wake is None:
            raise StoreError("no canary calls are placed here", "canary", "set canary.enabled, and start it again")
        self._asked = self._asked or str(uuid.uuid4())
        self.wake()
        return self._asked

    def take_asked(self) -> str:
        """Return the id that somebody was told, for the run that begins now; a fresh one when nobody was."""
        asked, self._asked = self._asked, ""
        return asked or str(uuid.uuid4())

    def await_(self, sent: Sent) -> None:
        """Know a run, before it is sent."""
        at = now_us()
        self.table.begin(sent, at)
        for call_id in [one for one, since in self._since.items() if at - since > AWAITED_US]:
            self.forget(self._pending[call_id])
        self._pending[sent.call_id], self._since[sent.call_id] = sent, at

    def forget(self, sent: Sent) -> None:
        """Take no recording for this run's any more: it is sealed, or so late that none comes."""
        self._pending.pop(sent.call_id, None)
        self._since.pop(sent.call_id, None)
        self._strange.discard(sent.call_id)
        self._known = {recording: run for recording, run in self._known.items() if run != sent.run}

    def is_strange(self, sent: Sent) -> bool:
        """Whether a call with the run's Call-ID held what we did not send: it is recorded as anybody's."""
        return sent.call_id in self._strange

    def is_canary(self, report: Mapping[str, Any]) -> bool:
        """Whether a worker's report was found to be of a canary. Writes nothing; a report of anything else is none."""
        return str(report.get("id")) in self._known

    def look(self, reports: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """Find canaries among reports; return (run, recording) of those that are new. Raises StoreError."""
        if not self._pending:
            return []
        new: dict[str, str] = {}
        for report in reports:
            sent = next((self._pending[one] for one in report["call_ids"] if one in self._pending), None)
            recording = str(report["id"])
            if sent is None:
                continue
            if not is_ours(report, sent):
                self._strange.add(sent.call_id)
                if self._known.pop(recording, None) is not None:
                    self.table.recorded({sent.run: ""})
                log.warning("a call carries a canary's Call-ID and is none; it stays an ordinary call")
            elif self._known.get(recording) != sent.run and sent.run not in self._known.values():
                new[sent.run] = recording
        if new:
            self.table.recorded(new)
            self._known.update({recording: run for run, recording in new.items()})
        return list(new.items())

    def kept(self, report: dict[str, Any]) -> dict[str, Any]:
        """Return the report of a canary with the time that it is kept, and no verdict: no rule of yours is about it."""
        ended = from_rfc3339(report["ended_at"] or report["started_at"])
        details = {name: said for name, said in report["details"].items() if name != "announcement"}
        members = {**Policy(class_=RULE).members(), "expires_at": rfc3339(ended + self.keep_days * _DAY_US)}
        return {**report, **members, "details": details}

    def sealed(self, recording: str) -> None:
        """Note that a canary's recording is sealed."""
        if run := self._known.get(recording):
            self.table.sealed(run, now_us())
