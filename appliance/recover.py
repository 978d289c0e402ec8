"""What a power cut or a kill of everything left behind: hidden recordings, finished with what is whole of them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from vittne.appliance.cut import settle_cuts
from vittne.appliance.life.erase import settle_erasures
from vittne.appliance.recorder import part_closed
from vittne.appliance.registrar import CallClosed, Registrar
from vittne.appliance.seal import events
from vittne.appliance.seal.finish import only_to_rename
from vittne.appliance.seal.history import history_of
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.manifest import BadManifest, read_manifest
from vittne.appliance.seal.part import scan_whole_groups, summarise, truncate_to
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.store.catalogue import NoSuchCall
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import recording_of
from vittne.appliance.store.rows import FINISHED
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.vcon.filing import settle_arriving
from vittne.appliance.verdicts.books import is_unwanted, verdict_of
from vittne.appliance.verdicts.settling import as_discarded, as_sealed, settle_verdicts
from vittne.capture.report import PARTIAL

REASON: Final = "restart"
_LOOKED_BACK: Final = 2000  # entries: more than any commit makes


def recover(registrar: Registrar, goes_on: bool = False) -> list[str]:
    """Finish every recording that no run finished; return their ids. Call it before recording begins.

    goes_on: a worker takes up those that were being written; only what was sealed gets its name.

    A recording without a whole group is dropped with its key: nothing of it was ever acknowledged. So is one
    without any key: somebody objected to it right before everything died.
    """
    settle_cuts(registrar)
    settle_arriving(registrar)
    registrar.audit.settle()
    with suppress(StoreError):  # what cannot be done now is done by the next erasure; `verify` says that it is not
        settle_erasures(registrar)
    registrar.life.holds.take_standing()
    folders = list(registrar.store.unfinished())
    cut = registrar.ledger.cut_bytes
    if not folders and not cut:
        _settle_books(registrar)
        return []
    wanted = [recording_of(folder) for folder in folders]
    history = history_of(registrar.data_dir / "ledger", registrar.ledger.key.verifier, wanted)
    sealed = [folder for folder in folders if only_to_rename(folder, history)]
    registrar.store.finish(sealed)
    if goes_on:
        left = {recording_of(folder) for folder in folders if folder not in sealed}
        _settle_books(registrar, left)
        return []
    closed = [found for folder in folders if folder not in sealed and (found := _close(registrar, folder)) is not None]
    run = registrar.run.id if registrar.run is not None else 0
    registrar.ledger.record({"t": events.CRASH, "run": run, "cut": cut, "recordings": len(closed)})
    registrar.close_calls(closed, _judged_before(closed))
    _settle_books(registrar)
    return [str(call.report["id"]) for call in closed]


def _settle_books(registrar: Registrar, up: Container[str] = ()) -> None:
    _settle_rows(registrar, up)
    _enter_unknown(registrar)
    settle_verdicts(registrar)


def _judged_before(closed: Sequence[CallClosed]) -> dict[str, dict[str, Any]]:
    """Return the verdicts of calls that had ended, and were about to be discarded, when everything died."""
    return {str(call.report["id"]): dict(verdict_of(call.report)) for call in closed if is_unwanted(call.report)}


def _settle_rows(registrar: Registrar, up: Container[str] = ()) -> None:
    """Bring the catalogue up with recordings that were sealed, or discarded, right before everything died.

    up: those that go on.
    """
    rows, verdicts = [], []
    for known in registrar.catalogue.recording():
        if known.id in up:
            continue
        ended = replace(
            known, state=FINISHED, ended_us=known.ended_us or now_us(), end_reason=known.end_reason or REASON
        )
        folder = registrar.store.find(known.id)
        if folder is None:
            lost = replace(ended, outcome=PARTIAL, outcome_reasons=(REASON,), folder="", size_bytes=0)
            settled, of_it = as_discarded(ended) or (lost, [])
            rows.append(settled)
            verdicts += [(settled, one) for one in of_it]
            continue
        try:
            manifest, _ = read_manifest(folder, registrar.ledger.key.verifier)
        except BadManifest:
            continue  # `verify` says what is wrong with it
        place = str(folder.relative_to(registrar.data_dir))
        settled, of_it = as_sealed(registrar, replace(ended, ended_us=known.ended_us), manifest, place)
        rows.append(settled)
        verdicts += [(settled, one) for one in of_it]
    registrar.catalogue.upsert_calls(rows)
    registrar.verdicts.put(verdicts)


def _enter_unknown(registrar: Registrar) -> None:
    """Enter recordings in the catalogue that were sealed right before everything died, and that it never heard of.

    A call from a capture file is not in it before it ends; nor is one that was over within a commit.
    """
    sealed = []
    view = LedgerView(registrar.data_dir / "ledger", registrar.ledger.key.verifier)
    for _, entry in islice(view.backwards(), _LOOKED_BACK):
        event = read_entry(entry)
        if event["t"] == events.SEALED:
            sealed.append(str(event["rec"]))
    known = {row.id for row in registrar.catalogue.get_all(sealed)}
    for recording in [one for one in sealed if one not in known]:
        folder = registrar.store.find(recording)
        if folder is None:
            continue
        from vittne.appliance.rebuild import put_read, read_row  # noqa: PLC0415 - seldom: it reads what is sealed

        with suppress(BadManifest):  # `verify` says what is wrong with it
            manifest, _ = read_manifest(folder, registrar.ledger.key.verifier)
            place = str(folder.relative_to(registrar.data_dir))
            put_read(registrar.catalogue, [read_row(registrar.data_dir, manifest, place)])


def _close(registrar: Registrar, folder: Path) -> CallClosed | None:
    recording_id = recording_of(folder)
    parts = []
    for path in sorted(folder.glob("part-*.floe"), key=lambda p: int(p.stem.removeprefix("part-"))):
        size = scan_whole_groups(path)
        if not size:
            path.unlink()
            continue
        truncate_to(path, size)
        number = int(path.stem.removeprefix("part-"))
        modified = path.stat().st_mtime_ns
        parts.append(part_closed(summarise(path, number, size), modified, modified))
    if not parts or not registrar.keys.parts(recording_id):  # or who was recorded objected, and its key is gone
        registrar.keys.erase(recording_id)
        registrar.ledger.record({"t": events.DISCARDED, "rec": recording_id, "reason": REASON})
        registrar.ledger.flush()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        return None
    report = {**_known(registrar, recording_id), "outcome": PARTIAL, "outcome_reasons": [REASON]}
    hidden = str(folder.relative_to(registrar.store.recordings_dir))
    return CallClosed(report, hidden, tuple(parts))


def _known(registrar: Registrar, recording_id: str) -> dict[str, Any]:
    """Return what the catalogue last heard of a call, or as much as the folder says when it heard nothing."""
    now = rfc3339(now_us())
    try:
        report = dict(registrar.catalogue.get(recording_id).as_json())
    except NoSuchCall:
        report = {
            "id": recording_id,
            "call_ids": [],
            "caller": "",
            "callee": "",
            "parties": [],
            "started_at": now,
            "answered_at": now,
            "end_reason": "",
            "streams": [],
            "details": {},
        }
    report["streams"] = [{"number": n, **stream} for n, stream in enumerate(report["streams"], 1)]
    report["ended_at"] = report.get("ended_at") or now
    report["end_reason"] = report["end_reason"] or REASON
    return report
