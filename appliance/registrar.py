"""The one who writes the catalogue, the ledger and the keys (DESIGN 3): everything that the worker asks of it.

The worker's requests are values, so that they can come over a socket as well. Each is done whole and may be
asked again after a crash: what was done already is not done twice.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.audit import Audit
from vittne.appliance.canary.book import CanaryBook
from vittne.appliance.doctor.recorderfacts import RecorderFacts
from vittne.appliance.life import precedence
from vittne.appliance.life.immutable import protect
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.table import LifeTable
from vittne.appliance.policy.decide import NO_RULES, PolicyRules
from vittne.appliance.seal import events
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.finish import finish_recordings
from vittne.appliance.seal.keys import ArchiveKey, ArchivePublic, KeyStore
from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.seal.manifest import CRASH, SEALED, Manifest, SealedPart, SealedStream
from vittne.appliance.store.audit import AuditTable
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.decisions import DecisionRow, DecisionTable
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store, is_id
from vittne.appliance.store.rows import FINISHED, RECORDING, CallRow, RunRow, StreamRow
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.verdicts import books
from vittne.appliance.verdicts.alarms import UnannouncedAlarms
from vittne.appliance.verdicts.enrolled import listened_for, prompts_in
from vittne.appliance.verdicts.heard import heard_or_nothing, nobodys
from vittne.appliance.verdicts.table import RECORDER, Kept, VerdictTable
from vittne.capture.gates import REFUSED, Refusal
from vittne.capture.pause import Pause

RING_FILE: Final = "keyring.json"
_PAUSES_KNOWN: Final = 50_000
_UNTOLD: Final = 1000
_CALL_IDS_KEPT: Final = 8  # of one call, by which a decision on it is found again
_RECORDINGS_NAMED: Final = 200  # in one entry of the ledger
_HIDDEN: Final = re.compile(r"\d{4}/\d\d/\d\d/\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


@dataclass(frozen=True, slots=True)
class PartOpened:
    """A part is about to be begun: its data key, wrapped for the archive."""

    recording_id: str
    part_no: int
    capsule: str


@dataclass(frozen=True, slots=True)
class PartClosed:
    """A part that is whole. Times are microseconds UTC."""

    n: int
    size_bytes: int
    groups: int
    sha256: str
    from_us: int
    to_us: int
    cut: bool
    index: tuple[tuple[int, int], ...]
    contents: str = ""  # hex, commitment to the records of every group


@dataclass(frozen=True, slots=True)
class CallClosed:
    """A call that is over: its report, and its recording if it has one."""

    report: dict[str, Any]
    folder: str  # hidden, below recordings/; "" when nothing was stored
    parts: tuple[PartClosed, ...] = ()
    meta_sha256: str = ""
    keep: bool = True
    clock: dict[str, Any] = field(default_factory=dict)


class Registrar:
    """Catalogue, ledger and keys of a data directory; the caller holds its lock."""

    def __init__(self, data_dir: Path, policy: PolicyRules = NO_RULES, fips: bool = False) -> None:
        """Open everything, making what is missing. fips: with which kind of key a new ledger is signed."""
        self.data_dir = data_dir
        self.policy = policy
        self.store = Store(data_dir)
        self.public = self._archive_key()
        self.ledger: Ledger = open_ledger(data_dir, fips)
        self._settle_keys()
        self.keys = KeyStore(data_dir / "keys.db")
        self.catalogue = Catalogue(data_dir / "catalogue.db")
        self.audit = Audit(AuditTable(self.catalogue), self.ledger)
        self.canaries = CanaryBook(self.catalogue)
        self.life_policy = LifePolicy()  # what is configured about the life of recordings
        self.run: RunRow | None = None
        # what a recording that ends now says of the clock; nothing while nobody watches it
        self.clock: Callable[[], Mapping[str, Json]] = dict
        self.facts: Callable[[], RecorderFacts] = RecorderFacts  # of who records with it, for who asks (doctor)
        self.support: Callable[[], dict[str, Any]] = dict  # what a recorder that runs tells for a support bundle
        self.prompts: books.Prompts = prompts_in(self.catalogue)  # which are enrolled
        self.unannounced: UnannouncedAlarms | None = None  # only while calls are recorded live
        self.alarm_desk: Any = None  # who is told of alarms (alarming/desk.py), while calls are recorded live
        self.untold: deque[Kept] = deque(maxlen=_UNTOLD)  # verdicts made while nobody raised alarms: at a start
        self.announcements_changed: Callable[[], None] = _nobody  # called in whatever thread changed them
        self._pauses: dict[str, Pause] = {}  # as they were entered last
        self._unkept: dict[str, Pause] = {}  # entered, and not in the catalogue yet
        self._refused: dict[tuple[str, str, str], None] = {}  # recording, trigger and by, entered in this run

    def _archive_key(self) -> ArchivePublic:
        if not (self.data_dir / "keys" / RING_FILE).exists() and not (self.data_dir / "keys" / "archive.pub").exists():
            ArchiveKey.create(self.data_dir)
        return ArchiveKey.load_public(self.data_dir)

    def _settle_keys(self) -> None:
        """Enter what a change of keys, cut short by a crash, had no time to enter."""
        from vittne.appliance.keyring.changes import settle  # noqa: PLC0415 - a capture worker needs it not

        settle(self.data_dir, self.ledger)

    @property
    def life(self) -> LifeTable:
        """What decides about recordings."""
        return LifeTable(self.catalogue, self.life_policy.early)

    @property
    def verdicts(self) -> VerdictTable:
        """Whether calls were announced."""
        return VerdictTable(self.catalogue)

    def close(self) -> None:
        """Let go of everything, the ledger flushed."""
        self.ledger.close()
        self.keys.close()
        self.catalogue.close()
        self.store.close()

    def begin_run(self, source: Sequence[str], started_us: int, version: str) -> None:
        """Note in catalogue and ledger that recording begins."""
        self.run = self.catalogue.put_run(RunRow(tuple(source), started_us, version))
        self.ledger.record({"t": events.START, "run": self.run.id, "version": version})
        self.ledger.flush()

    def update_run(
        self, packets: int, drops: dict[str, dict[str, int]], calls: dict[str, int], ended_us: int | None = None
    ) -> None:
        """Write the sums of the run as they stand."""
        assert self.run is not None
        self.run = self.catalogue.put_run(
            replace(self.run, packets=packets, drops=drops, calls=calls, ended_us=ended_us)
        )

    def end_run(self) -> None:
        """Note that recording ended as it should."""
        assert self.run is not None
        self.ledger.record(
            {"t": events.STOP, "run": self.run.id, "calls": sum(self.run.calls.values()), "packets": self.run.packets}
        )
        self.ledger.flush()

    def open_parts(self, parts: Sequence[PartOpened]) -> None:
        """Make the capsules last, before anything is written that only they can open."""
        self.keys.put([(part.recording_id, part.part_no, part.capsule) for part in parts])
        for part in parts:
            digest = hashlib.sha256(part.capsule.encode()).hexdigest()
            self.ledger.record({"t": events.OPENED, "rec": part.recording_id, "part": part.part_no, "capsule": digest})
        self.ledger.flush()

    def note_pauses(self, pauses: Sequence[Pause], entries: Sequence[dict[str, Json]] = ()) -> None:
        """Make pauses last as they stand now, one after the other, and enter what is new about them in the ledger.

        entries: of the ledger, that go with them. After a StoreError nothing is forgotten: the next call tries again.
        """
        for pause in pauses:
            before = self._pauses.get(pause.id)
            if before == pause:
                continue
            self.ledger.record(_pause_entry(before, pause))
            if before is None and pause.ended_by:
                self.ledger.record(_pause_entry(pause, pause))
            self._pauses[pause.id] = self._unkept[pause.id] = pause
        for entry in entries:
            self.ledger.record(entry)
        while len(self._pauses) > _PAUSES_KNOWN:
            self._pauses.pop(next(iter(self._pauses)))
        if self._unkept:
            self.catalogue.put_pauses([pause.to_json() for pause in self._unkept.values()])
            self._unkept.clear()
        self.ledger.flush()

    def note_gate(
        self, recording_id: str, decision: str, by: str, at_ns: int, erased: Sequence[str], call_ids: Sequence[str] = ()
    ) -> None:
        """Enter who decided a call's gate. erased: recordings that nobody may read any more, whatever happens next.

        call_ids: SIP's, of the call: it may go on over a restart of everything, as another recording.
        """
        erased = self._unfinished(erased)
        rows = [DecisionRow(call_id, decision, by, at_ns // 1000) for call_id in dict.fromkeys(call_ids)]
        DecisionTable(self.catalogue).put(rows)
        self._enter_gate(recording_id, decision, by, at_ns, erased)
        self.ledger.flush()
        if erased:
            self.keys.erase_all(erased)

    def note_refused(self, refused: Sequence[Refusal]) -> None:
        """Enter calls whose gate was refused by a key or a rule, as note_gate does; asked again it is entered once."""
        refused = [one for one in refused if is_id(one.recording)]
        fresh = [one for one in refused if (one.recording, one.trigger, one.by) not in self._refused]
        rows = [
            DecisionRow(call_id, REFUSED, one.by, one.at_ns // 1000, one.trigger)
            for one in refused
            for call_id in dict.fromkeys(one.call_ids[:_CALL_IDS_KEPT])
        ]
        DecisionTable(self.catalogue).put(list({row.call_id: row for row in rows}.values()))
        erased = self._unfinished([name for one in refused for name in one.erased])
        for one in fresh:
            self._refused[one.recording, one.trigger, one.by] = None
            mine = [name for name in one.erased if name in erased]
            self._enter_gate(one.recording, REFUSED, nobodys(one.by)[:64] or "key", one.at_ns, mine)
        while len(self._refused) > _PAUSES_KNOWN:
            self._refused.pop(next(iter(self._refused)))
        self.ledger.flush()
        if erased:
            self.keys.erase_all(erased)

    def _unfinished(self, recordings: Sequence[str]) -> list[str]:
        """Leave out what is sealed: who says that these go reads packets from anybody."""
        sealed = {row.id for row in self.catalogue.get_all([*recordings]) if row.state == FINISHED and row.folder}
        return [one for one in dict.fromkeys(recordings) if is_id(one) and one not in sealed]

    def _enter_gate(self, recording_id: str, decision: str, by: str, at_ns: int, erased: Sequence[str]) -> None:
        at = rfc3339(at_ns // 1000)
        for one in dict.fromkeys((recording_id, *erased)):
            self.ledger.record({"t": events.GATE, "rec": one, "decision": decision, "by": by, "at": at})

    def note_live(self, reports: Sequence[dict[str, Any]]) -> None:
        """Show calls that are being recorded in the catalogue, with what was heard of them so far."""
        self._find_canaries(reports)
        rows = []
        for report in reports:
            heard = heard_or_nothing(report)
            details = {name: said for name, said in report["details"].items() if name not in books.OURS}
            details |= {} if heard is None else {"heard": heard.as_json()}
            rows.append(call_row({**report, "details": details}, RECORDING))
        self.catalogue.upsert_calls(rows)

    def close_calls(self, calls: Sequence[CallClosed], known: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        """Seal what is to be kept, remove what is not, and enter all of it in catalogue and ledger.

        known: verdicts that were made before everything died, by recording.
        """
        clock = dict(self.clock())
        calls = [replace(call, clock=clock) if clock and not call.clock else call for call in calls]
        self._discard([call for call in calls if call.folder and not call.keep])
        self._find_canaries([call.report for call in calls])
        calls = self._without_unwanted([replace(call, report=self._judged(call, known or {})) for call in calls])
        kept = [call for call in calls if call.folder and call.keep]
        ready = [(self._hidden(call), manifest_of(call)) for call in kept]
        ready = [(folder, manifest) for folder, manifest in ready if folder.exists()]  # not what was sealed before
        verdicts = self._verdicts(calls)  # before anything is sealed: behind that nothing may fail but the disk
        finish_recordings(self.store, self.ledger, ready)
        sealed = {manifest.rec for _, manifest in ready}
        for one in verdicts:
            if one.recording in sealed and books.is_told(one.told):
                self.ledger.record(books.entry_of(one))
        self.ledger.flush()
        rows = []
        for call in calls:
            folder = self._hidden(call) if call.folder and call.keep else None
            rows.append(
                replace(
                    call_row(call.report, FINISHED),
                    folder="" if folder is None else str(final_name(folder).relative_to(self.data_dir)),
                    size_bytes=sum(part.size_bytes for part in call.parts) if call.keep else 0,
                )
            )
        self.catalogue.upsert_calls(rows)
        for call in calls:
            if call.keep and call.folder:
                self.canaries.sealed(str(call.report["id"]))
        row_of = {row.id: row for row in rows}
        self.verdicts.put([(row_of[one.recording], one) for one in verdicts])
        self.life.holds.take_standing([row.id for row in rows])
        if self.life_policy.immutable:
            self.protect(rows)
        if self.unannounced is not None:  # last: what failed is asked again, and nobody is to be told twice
            self.unannounced.tell(verdicts)
        else:
            self.untold += verdicts

    def protect(self, rows: Sequence[CallRow]) -> None:
        """Give the files of locked recordings the immutable flag; the nightly run does what fails here."""
        for row in rows:
            if row.folder and row.locked_until_us is not None:
                with suppress(StoreError):
                    for path in (self.data_dir / row.folder).iterdir():
                        protect(path)

    def _judged(self, call: CallClosed, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Return a call's report with what the rules say of it, whatever it said; little when nothing is kept."""
        is_kept = bool(call.folder and call.keep)
        report = books.judged(call.report, self.policy, self.prompts, is_kept, known.get(str(call.report["id"])))
        return self.canaries.kept(report) if is_kept and self.canaries.is_canary(report) else report

    def _find_canaries(self, reports: Sequence[dict[str, Any]]) -> None:
        """Enter which of these calls are ours: an auditor is told what is left out of sums. Raises StoreError."""
        for _, recording in self.canaries.look(list(reports)):
            self.ledger.record({"t": events.CANARY, "rec": recording})

    def _without_unwanted(self, calls: list[CallClosed]) -> list[CallClosed]:
        """Discard what a rule says is not kept because it was not announced, unless a law wants it kept."""
        unwanted = {str(call.report["id"]): call for call in calls if books.is_unwanted(call.report)}
        if not unwanted:
            return calls
        rows = [call_row(call.report, RECORDING) for call in unwanted.values()]
        folders = (f"recordings/{call.folder}" for call in unwanted.values())
        self.catalogue.upsert_calls([replace(row, folder=where) for row, where in zip(rows, folders, strict=True)])
        self.life.holds.take_standing(list(unwanted))
        new = {}
        for row in self.life.rows(list(unwanted)):
            call = unwanted[row.id]
            # the call is over for this: what may not be erased then is not discarded now
            decision = precedence.decide("erase", replace(row.facts, is_live=False), now_us())
            if decision.allowed and decision.persons == 1:
                new[row.id] = replace(call, report=books.discarded(call.report), keep=False)
            else:
                new[row.id] = replace(call, report=books.kept_all_the_same(call.report, decision.rule))
        self._discard([call for call in new.values() if not call.keep])
        return [new.get(str(call.report["id"]), call) for call in calls]

    def _verdicts(self, calls: Sequence[CallClosed]) -> list[Kept]:
        """Return the first verdict on each of these calls that has one."""
        found = [(str(call.report["id"]), books.verdict_of(call.report)) for call in calls]
        found = [(recording, told) for recording, told in found if told]
        at = now_us()
        versions = AnnouncementTable(self.catalogue).versions() if found else []
        reports = {str(call.report["id"]): call.report for call in calls}
        return [
            Kept(recording, 1, at, RECORDER, told, listened_for(versions, reports[recording]))
            for recording, told in found
        ]

    def _hidden(self, call: CallClosed) -> Path:
        """Return a call's hidden folder. Who asks reads packets from anybody: no other path is ever touched."""
        found = _HIDDEN.fullmatch(call.folder)
        if found is None or found[1] != call.report.get("id"):
            raise StoreError("this is no folder of that call", repr(call.folder)[:100], "nothing was done")
        return self.store.recordings_dir / call.folder

    def _discard(self, calls: Sequence[CallClosed]) -> None:
        """Destroy the keys of recordings that a rule says are not kept, then their folders."""
        going = [(folder, call.report) for call in calls if (folder := self._hidden(call)).exists()]
        for _, report in going:
            recording_id = str(report["id"])
            self.keys.erase(recording_id)
            reasons = report["outcome_reasons"]
            reason = books.NOT_ANNOUNCED if books.NOT_ANNOUNCED in reasons else str(report["outcome"])
            self.ledger.record({"t": events.DISCARDED, "rec": recording_id, "reason": reason})
        if going:
            self.ledger.flush()  # first: a crash must not leave something begun of which nobody knows what became
        for folder, _ in going:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()

    def note_unsignalled(self, streams: Sequence[dict[str, Any]]) -> None:
        """Enter the streams of this run that no signalling explains."""
        assert self.run is not None
        assert self.run.id is not None
        self.catalogue.put_unsignalled(self.run.id, [StreamRow.from_json(stream) for stream in streams])


def _pause_entry(before: Pause | None, pause: Pause) -> dict[str, Any]:
    """Return what the ledger says of a pause that is new, changed or ended."""
    entry: dict[str, Any] = {"pause": pause.id, "recs": list(pause.calls[:_RECORDINGS_NAMED])}
    if before is None:
        entry |= {"t": events.PAUSED, "trigger": pause.trigger, "by": pause.actor}
        entry |= {name: rfc3339(at // 1000) for name, at in _pause_times(pause) if at}
        return entry | ({"unconfirmed": True} if pause.unconfirmed else {})
    if pause.ended_by:
        return entry | {"t": events.RESUMED, "by": pause.ended_by, "to": rfc3339(pause.to_at // 1000)}
    return entry | {
        "t": events.PAUSE_CHANGED,
        "lease": rfc3339(pause.lease_at // 1000),
        "overdue": pause.overdue,
        **({"incomplete": rfc3339(pause.incomplete_at // 1000)} if pause.incomplete_at else {}),
    }


def _pause_times(pause: Pause) -> list[tuple[str, int]]:
    return [
        ("asked", pause.asked_at),
        ("from", pause.from_at),
        ("lease", pause.lease_at),
        ("incomplete", pause.incomplete_at),
    ]


def final_name(hidden: Path) -> Path:
    """Return what a hidden folder is called once it is finished."""
    return hidden.with_name(hidden.name.removeprefix("."))


def call_row(report: dict[str, Any], state: str) -> CallRow:
    """Return a call's report as a row of the catalogue."""
    return CallRow.from_json({"folder": "", "size_bytes": 0, **report, "state": state})


def _nobody() -> None:
    """Nobody wants to know."""


def manifest_of(call: CallClosed) -> Manifest:
    """Return the manifest of a recording that ended."""
    report = call.report
    cut = any(part.cut for part in call.parts)
    return Manifest(
        rec=str(report["id"]),
        state=CRASH if cut and not call.meta_sha256 else SEALED,
        parts=tuple(
            SealedPart(p.n, p.size_bytes, p.groups, p.sha256, p.from_us, p.to_us, p.cut, p.index, p.contents)
            for p in call.parts
        ),
        outcome=str(report["outcome"]),
        outcome_reasons=tuple(report["outcome_reasons"]),
        streams=tuple(
            SealedStream(s["number"], s["codec"], s["packets"], s["stored"], s["lost"]) for s in report["streams"]
        ),
        clock=call.clock,
        meta_sha256=call.meta_sha256,
        policy={name: text for name, text in _named(report) if text},
        announcement=dict(told) if books.is_told(told := books.verdict_of(report)) else {},
    )


def _named(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return what a manifest says of rules: names of ours, and nobody's."""
    ruled = report.get("details", {}).get("recording_rule") or {}
    return [
        ("rule", str(ruled.get("rule", ""))),
        ("class", str(report.get("retention_class", ""))),
        ("site", str(report.get("site", ""))),
    ]


__all__ = ["CallClosed", "PartClosed", "PartOpened", "Registrar", "StoreError", "call_row", "final_name", "manifest_of"]
