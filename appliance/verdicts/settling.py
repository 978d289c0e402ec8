"""What a death left between a recording's seal and what the books say of its announcement, made good once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.announcements.table import AnnouncementTable
from vittne.appliance.policy.decide import decide
from vittne.appliance.seal import events
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.manifest import BadManifest, Manifest, read_manifest
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.store.rows import FINISHED, CallRow
from vittne.appliance.store.times import from_rfc3339, now_us
from vittne.appliance.verdicts import books
from vittne.appliance.verdicts.enrolled import listened_for
from vittne.appliance.verdicts.heard import heard_or_nothing
from vittne.appliance.verdicts.judge import NOT_EXPECTED, verdict_in
from vittne.appliance.verdicts.restore import restored, stand, told_in
from vittne.appliance.verdicts.table import LEDGER, RECORDER, Kept

if TYPE_CHECKING:
    from vittne.appliance.registrar import Registrar

_LOOKED_BACK: Final = 2000  # entries: more than any commit makes


def settle_verdicts(registrar: Registrar) -> list[str]:
    """Enter in the ledger the verdicts of recordings that were sealed right before everything died; return which.

    The entry is made behind that of the seal: where the last seals have none behind them, it is missing. Call it when
    the catalogue is level with what is sealed. Asked again it finds nothing to do.
    """
    registrar.ledger.flush()  # what waits since a disk was full
    lacking, later = _unsettled(registrar)
    rows = {row.id: row for row in registrar.catalogue.get_all(lacking)}
    versions = AnnouncementTable(registrar.catalogue).versions() if lacking else []
    kept = []
    for recording in lacking:
        manifest = _manifest(registrar, recording)
        if manifest is not None and manifest.announcement:
            row = rows.get(recording)
            listened = () if row is None else listened_for(versions, row.as_json())
            kept.append(Kept(recording, 1, now_us(), RECORDER, dict(manifest.announcement), listened))
    for one in kept:
        registrar.ledger.record(books.entry_of(one))
    registrar.ledger.flush()
    known = registrar.verdicts.newest([one.recording for one in kept])
    fresh = [one for one in kept if one.recording not in known or known[one.recording].n == 1]
    registrar.verdicts.put([(rows[one.recording], one) for one in fresh if one.recording in rows])
    _settle_later(registrar, later)
    return [one.recording for one in kept]


def _settle_later(registrar: Registrar, later: list[Kept]) -> None:
    """Bring the catalogue up with verdicts on stored calls that are in the ledger and not there."""
    known = registrar.verdicts.newest([one.recording for one in later])
    rows = {row.id: row for row in registrar.catalogue.get_all([one.recording for one in later])}
    for one in later:  # in their order
        row, before = rows.get(one.recording), known.get(one.recording)
        if row is None or row.erased_us is not None or (before is not None and before.n >= one.n):
            continue
        stands = stand(row, [(one.told, one.at_us)], registrar.verdicts.was_released(row.id))
        if row.quarantined_us is not None:
            stands = replace(stands, quarantined_us=row.quarantined_us)
        registrar.verdicts.enter([(stands, one)])
        rows[row.id], known[row.id] = stands, one


def _unsettled(registrar: Registrar) -> tuple[list[str], list[Kept]]:
    """Return the last sealed recordings without a first verdict behind their seal, and the last later verdicts."""
    view = LedgerView(registrar.data_dir / "ledger", registrar.ledger.key.verifier)
    told, lacking, later = set(), [], []
    for _, entry in islice(view.backwards(), _LOOKED_BACK):
        event = read_entry(entry)
        recording = str(event.get("rec", ""))
        if event["t"] == events.VERDICT and event.get("n") == 1:
            told.add(recording)
        elif event["t"] == events.SEALED and recording not in told:
            told.add(recording)
            lacking.append(recording)
        elif event["t"] == events.VERDICT:
            at_us = from_rfc3339(str(event["at"]))
            later.append(Kept(recording, int(str(event["n"])), at_us, LEDGER, told_in(event)))
    return lacking[::-1], later[::-1]


def _manifest(registrar: Registrar, recording: str) -> Manifest | None:
    folder = registrar.store.find(recording)
    if folder is not None:
        with suppress(BadManifest):  # `verify` says what is wrong with it
            return read_manifest(folder, registrar.ledger.key.verifier)[0]
    return None


def as_sealed(registrar: Registrar, row: CallRow, manifest: Manifest, place: str) -> tuple[CallRow, list[Kept]]:
    """Return a call whose recording was sealed right before everything died, as it would have been entered.

    row: what was known of it while it went on. The verdict is the manifest's; retention and ground follow from that.
    """
    ended_us = row.ended_us or max((part.to_us for part in manifest.parts), default=None) or now_us()
    ended = replace(row, ended_us=ended_us)
    report = ended.as_json()
    heard = heard_or_nothing({"heard": row.details.get("heard")})
    if heard is not None:
        report["heard"] = books.enrolled(heard, registrar.prompts, report).as_json()
    known = verdict_in(manifest.announcement or {"announced": "" if heard is None else NOT_EXPECTED})
    policy = decide(report, registrar.policy, known)
    settled, kept = restored(
        replace(
            ended,
            outcome=manifest.outcome,
            outcome_reasons=manifest.outcome_reasons,
            folder=place,
            size_bytes=sum(part.size_bytes for part in manifest.parts),
            retention_class=policy.class_,
            locked_until_us=policy.lock_until,
            expires_us=policy.delete_after,
            basis=policy.basis,
            announced=known.announced,
        ),
        manifest,
    )
    listened = listened_for(AnnouncementTable(registrar.catalogue).versions(), report)
    return settled, [replace(one, references=listened) for one in kept]


def as_discarded(row: CallRow) -> tuple[CallRow, list[Kept]] | None:
    """Return a call that was being discarded since it was not announced; None for one that was not."""
    told: dict[str, Any] = row.details.get("announcement") or {}
    if not books.is_unwanted({"details": row.details}):
        return None
    report = {**books.discarded(row.as_json()), "folder": "", "size_bytes": 0, "announced": told["announced"]}
    gone = CallRow.from_json({**report, "state": FINISHED})
    return gone, [Kept(row.id, 1, row.ended_us or now_us(), RECORDER, told)]
