"""Cutting a span out of a finished recording (PCI DSS 3.3), so that a crash at any step loses neither version.

    hidden folder ▸ new keys kept ▸ new version written, synced, read back and compared
    ▸ "rec.cut" in the ledger, flushed: from here on the new version counts
    ▸ folders exchanged ▸ catalogue ▸ old keys erased ▸ old folder removed

Reading and writing is done by whoever cuts; what is kept of keys, and all from the ledger's entry on, by the one
writer of the directory: a recorder that runs goes on recording.

Before the ledger's entry a crash leaves the old version whole, behind it the new one; what is left to do is done by
`settle_cuts`, at the next start or the next cut. The hidden folder is there from the first step to the last.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vittne.appliance.control.operation import Caller, Do, Operation, Order, Progress, Steps
from vittne.appliance.life.asking import AskCut, approved_cut, mark_done
from vittne.appliance.life.immutable import unlink
from vittne.appliance.life.precedence import decide
from vittne.appliance.life.table import Request
from vittne.appliance.registrar import PartOpened, Registrar
from vittne.appliance.seal import events, records
from vittne.appliance.seal.history import history_of
from vittne.appliance.seal.keys import ArchiveKey, KeyStore, make_capsule
from vittne.appliance.seal.manifest import (
    MANIFEST_FILE,
    BadManifest,
    Manifest,
    SealedCut,
    SealedGap,
    digest,
    meta_body,
    read_manifest,
    write_manifest,
)
from vittne.appliance.seal.part import PartWriter
from vittne.appliance.seal.recording_checks import Archive, check_content
from vittne.appliance.seal.signing import VerifyKey, load_key
from vittne.appliance.seal.versions import (
    CUT,
    SALT_BYTES,
    Kept,
    NewPart,
    kept_records,
    next_streams,
    sealed_part,
    take_over,
    take_over_manifests,
)
from vittne.appliance.storage.table import StoredTable
from vittne.appliance.store.catalogue import NoSuchCall
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import (
    Store,
    checked_id,
    exchange,
    finished_name,
    is_being_made,
    staged_name,
    sync_path,
)
from vittne.appliance.store.rows import CallRow
from vittne.appliance.store.times import now_us, rfc3339
from vittne.capture.record import encode_json

if TYPE_CHECKING:  # a recorder that only settles needs no decoders
    from vittne.appliance.cutplan import CutPlan, StreamCut
    from vittne.appliance.seal.opener import Opener

NS_IN_MS: Final = 1_000_000
ENTERING: Final = "about to be entered in the ledger"


@dataclass(frozen=True, slots=True)
class CutOrder:
    """Who cuts, why, and what goes."""

    by: str
    reason: str
    plan: CutPlan


def cut(data_dir: Path, do: Do, key: Opener, call: CallRow, order: CutOrder) -> Manifest:
    """Cut; return the manifest of the new version. The caller has verified the recording.

    do: has the one writer do what only it may. Raises StoreError: before the ledger's entry nothing has changed;
    behind it `settle_cuts` does what is left.
    """
    folder = data_dir / call.folder
    done: list[str] = []
    try:
        done.extend(cutting(data_dir, do, key, call, order))
    except BaseException:
        if done and ENTERING not in done:  # what lies there is ours, and does not count
            with suppress(StoreError, OSError):  # the next start does it
                list(do(SETTLE_CUTS, Settle()))
        raise
    return read_manifest(folder, load_key(data_dir / "keys").verifier)[0]


def cutting(data_dir: Path, do: Do, key: Opener, call: CallRow, order: CutOrder) -> Iterator[str]:
    """Do what cut() does, one step at a time; each is named when it is done."""
    folder = data_dir / call.folder
    signing = load_key(data_dir / "keys")
    store, keys_kept = Store(data_dir, create=False), KeyStore(data_dir / "keys.db")
    lock = -1
    try:
        old, sha256 = read_manifest(folder, signing.verifier)
        staged, lock = _begin(folder)
        yield "hidden folder made"
        keys = {part.n: _key(keys_kept, key, call.id, part.n) for part in old.parts}
        last = max([*keys_kept.parts(call.id), *keys])
        anew = {n: NewPart(last + place, os.urandom(32)) for place, n in enumerate(order.plan.parts, 1)}
        added = NewPart(last + len(anew) + 1, os.urandom(32))
        public = ArchiveKey.load_public(data_dir)
        capsules = [(part.n, make_capsule(public, part.key, call.id, part.n)) for part in (*anew.values(), added)]
        yield from do(KEEP_KEYS, KeepKeys(recording=call.id, capsules=capsules))
        yield "new keys kept"
        kept = Kept()
        parts = []
        for part in take_over(folder, staged, old, keys, anew, order.plan.goes, kept):
            parts.append(part)
            yield f"{part.file} taken over"
        told = _told(call, old.version + 1, order)
        salt = secrets.token_hex(SALT_BYTES)
        event = encode_json(records.EVENT, order.plan.span.from_ns, {"event": CUT, **told, "salt": salt})
        meta = _next_meta(order.plan.meta, order.plan, told)
        ended_us = max(part.to_us for part in old.parts)
        writer = PartWriter(staged / f"part-{added.n}.floe", call.id, added.n, added.key)
        tail = [records.encode(records.META, ended_us * 1000, meta)] if meta else []
        proof = kept_records(kept, order.plan.span.from_ns)
        summary = writer.finish([event, *proof, *_gap_records(order.plan), *tail], ended_us * 1000)
        yield f"part-{added.n}.floe written"
        manifest = replace(
            next_streams(old, {stream.number: stream.packets for stream in order.plan.streams}),
            parts=(*parts, sealed_part(summary, ended_us, ended_us)),
            gaps=(*old.gaps, *_gaps(order.plan)),
            meta_sha256=digest(meta) if meta else "",
            cut=SealedCut(
                version=old.version + 1,
                before=sha256,
                kept=kept.commitment(salt.encode()),
                records=kept.records,
                packets=order.plan.packets,
                reports=order.plan.reports,
                milliseconds=told["milliseconds"],
                part=added.n,
                event=digest(_body(event)),
            ),
        )
        take_over_manifests(folder, staged, old.version)
        new_sha256 = write_manifest(staged, manifest, signing)
        store.sync_folders([staged])
        yield "new version written"
        _prove(data_dir, signing.verifier, keys_kept, key, staged, manifest)
        yield ENTERING
        yield from do(ENTER_CUT, EnterCut(recording=call.id, manifest=new_sha256, told=json.dumps(told)))
    finally:
        if lock >= 0:
            os.close(lock)
        keys_kept.close()
        store.close()


class KeepKeys(Order):
    """Capsules of parts, by number, that are about to be written."""

    recording: str
    capsules: list[tuple[int, str]]


def _keep_keys(registrar: Registrar, order: KeepKeys, _: Caller) -> Steps:
    registrar.open_parts([PartOpened(checked_id(order.recording), n, capsule) for n, capsule in order.capsules])
    yield Progress(1, 1)
    return {}


class EnterCut(Order):
    """A new version lies beside its recording: let it count. told: JSON, what is shown of the cut."""

    recording: str
    manifest: str
    told: str


def _enter_cut(registrar: Registrar, order: EnterCut, caller: Caller) -> Steps:
    call = registrar.catalogue.get(checked_id(order.recording))
    folder = registrar.data_dir / call.folder
    staged = staged_name(folder)
    manifest, sha256 = read_manifest(staged, registrar.ledger.key.verifier)
    made = manifest.cut
    if made is None or sha256 != order.manifest or made.before != _manifest_hash(folder):
        raise StoreError("the recording has changed since the cut was begun", call.id, "cut it again")
    told = json.loads(order.told)
    request = _allowed(registrar, call.id, told, caller)
    _enter(registrar, manifest, sha256)
    yield Progress(0, 0, "entered in the ledger")
    for step in _put_in_place(registrar, staged, manifest, told):
        yield Progress(0, 0, step)
    if request is not None:
        mark_done(registrar, request)
    return {}


def _allowed(registrar: Registrar, recording: str, told: dict[str, Any], caller: Caller) -> Request | None:
    """Write down why this cut is allowed; return the request that a second person approved, where one must."""
    facts = registrar.life.get(recording).facts
    decision = decide("cut", facts, now_us())
    if not decision.allowed:
        raise StoreError(f"not cut: {decision.words}", recording, "nothing was changed")
    span = AskCut(recording=recording, **{name: told[name] for name in ("from_ns", "to_ns", "party")})
    request = approved_cut(registrar, span, decision)
    approvers = [caller.name] if request is None else [request.asked_by, request.decided_by]
    registrar.audit.note(events.CUT_ALLOWED, caller, recording, decision=decision.as_json(facts), approvers=approvers)
    return request


class Settle(Order):
    """Bring to their end what interrupted cuts left."""


def _settle(registrar: Registrar, _order: Settle, _: Caller) -> Steps:
    yield Progress(0, 1)
    return {"settled": settle_cuts(registrar)}


SETTLE_CUTS: Final = Operation("cut.settle", "cutting a recording", Settle, _settle)
KEEP_KEYS: Final = Operation("cut.keys", "cutting a recording", KeepKeys, _keep_keys)
ENTER_CUT: Final = Operation("cut.enter", "cutting a recording", EnterCut, _enter_cut)


def settle_cuts(registrar: Registrar) -> list[str]:
    """Bring cuts to their end that a crash left, or undo them; return the ids. Nothing is raised for one that fails:
    it stays as it is, and `vittne verify` says so.
    """
    staged = list(registrar.store.staged())
    if not staged:
        return []
    wanted = [finished_name(folder).name for folder in staged]
    history = history_of(registrar.data_dir / "ledger", registrar.ledger.key.verifier, wanted)
    settled = []
    for folder in staged:
        finished = finished_name(folder)
        counts = history.last_seal(finished.name)
        if is_being_made(folder):
            continue
        with suppress(StoreError, OSError, BadManifest):
            if counts is not None and _manifest_hash(folder) == counts:
                manifest, _ = read_manifest(folder, registrar.ledger.key.verifier)
                for _step in _put_in_place(registrar, folder, manifest):
                    pass
                settled.append(finished.name)
            elif counts is not None and _manifest_hash(finished) == counts:
                _clear(registrar, folder)
                settled.append(finished.name)
    return settled


def _begin(folder: Path) -> tuple[Path, int]:
    """Make the hidden folder, and see that this file system can exchange two folders; return it, and its lock."""
    staged = staged_name(folder)
    one, other = staged / "one", staged / "other"
    try:
        staged.mkdir(mode=0o700)
        for probe in (one, other):
            probe.mkdir(mode=0o700)
    except OSError as error:
        raise explain(error, "make the folder of the new version", staged) from error
    exchange(one, other)
    for probe in (one, other):
        probe.rmdir()
    lock = os.open(staged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    sync_path(folder.parent)
    return staged, lock


def _key(keys: KeyStore, key: Opener, recording_id: str, part_no: int) -> bytes:
    kept = keys.get(recording_id, part_no)
    assert kept is not None  # it was verified
    return key.data_key(kept, recording_id, part_no)


def _told(call: CallRow, version: int, order: CutOrder) -> dict[str, Any]:
    """Return what is said of the cut: sealed in its EVENT, and shown in the catalogue."""
    span = order.plan.span
    begin = max(span.from_ns, call.started_us * 1000)
    end = min(span.to_ns, call.ended_us * 1000) if call.ended_us is not None else span.to_ns
    return {
        "version": version,
        "by": order.by,
        "reason": order.reason,
        "cut_at": rfc3339(now_us()),
        "from_ns": span.from_ns,
        "to_ns": span.to_ns,
        "party": span.party,
        "packets": order.plan.packets,
        "reports": order.plan.reports,
        "milliseconds": max(end - begin, 0) // NS_IN_MS,
    }


def _gap_records(plan: CutPlan) -> list[bytes]:
    return [encode_json(records.GAP, one.from_ns, _gap(one), one.number) for one in plan.streams]


def _gap(one: StreamCut) -> dict[str, Any]:
    return {
        "reason": CUT,
        "from_ns": one.from_ns,
        "to_ns": one.to_ns,
        "packets": one.packets,
        "first_sequence": one.first_sequence,
        "last_sequence": one.last_sequence,
    }


def _gaps(plan: CutPlan) -> Sequence[SealedGap]:
    return [SealedGap(plan.span.from_ns // 1000, plan.span.to_ns // 1000, CUT)]


def _body(record: bytes) -> bytes:
    _, length, *_ = records.HEADER.unpack_from(record)
    return record[records.HEADER_BYTES : records.HEADER_BYTES + length]


def _next_meta(body: bytes, plan: CutPlan, told: dict[str, Any]) -> bytes:
    """Return the body of the new version's META record; b"" when the old one has none (a crash)."""
    if not body:
        return b""
    meta = json.loads(body)
    gone = {stream.number: stream.packets for stream in plan.streams}
    for place, stream in enumerate(meta["streams"], 1):
        _take_off(stream, gone.get(stream.get("number", place), 0))
    meta["details"] = _details(meta["details"], _shown(told), _gaps(plan))
    return meta_body(meta)


def _take_off(stream: dict[str, Any], packets: int) -> None:
    if packets:
        stream["stored"] -= packets
        stream["dropped"] = {**stream["dropped"], CUT: stream["dropped"].get(CUT, 0) + packets}


def _shown(told: dict[str, Any]) -> dict[str, Any]:
    """Return a cut as `show --json` has it."""
    times = {name: rfc3339(told[f"{name}_ns"] // 1000) for name in ("from", "to")}
    return {**{name: value for name, value in told.items() if not name.endswith("_ns")}, **times}


def _details(details: Any, shown: dict[str, Any], gaps: Sequence[SealedGap]) -> dict[str, Any]:
    """Return a call's details with a cut; the same when it is in them already."""
    known = [one for one in details.get("cuts", ()) if one.get("version") != shown["version"]]
    told = [dict(gap.as_json()) for gap in gaps]
    return {
        **details,
        "flags": [*(flag for flag in details.get("flags", ()) if flag != CUT), CUT],
        "gaps": [*(gap for gap in details.get("gaps", ()) if gap not in told), *told],
        "cuts": sorted([*known, shown], key=lambda one: int(one["version"])),
    }


def _prove(data_dir: Path, verifier: VerifyKey, keys: KeyStore, key: Opener, staged: Path, manifest: Manifest) -> None:
    """Read the new version back as `verify` does, before the old one is given up. Raises StoreError."""
    archive = Archive(data_dir, verifier, None, keys, key, "", None)
    wrong = check_content(archive, staged, manifest)
    if wrong is not None:
        raise StoreError(f"the new version is not as it should be ({wrong})", staged, "nothing was changed; report it")


def _enter(registrar: Registrar, manifest: Manifest, sha256: str) -> None:
    made = manifest.cut
    assert made is not None
    registrar.ledger.record(
        {
            "t": events.CUT,
            "rec": manifest.rec,
            "version": made.version,
            "before": made.before,
            "manifest": sha256,
            "kept": made.kept,
            "event": made.event,
            "packets": made.packets,
            "reports": made.reports,
            "milliseconds": made.milliseconds,
        }
    )
    registrar.ledger.flush()


def _put_in_place(
    registrar: Registrar, staged: Path, manifest: Manifest, told: dict[str, Any] | None = None
) -> Iterator[str]:
    """Let the new version take the old one's place, and destroy what was cut. told: None when nobody knows any more."""
    exchange(staged, finished_name(staged))
    yield "exchanged"
    yield from _clearing(registrar, staged, manifest, told)


def _clear(registrar: Registrar, staged: Path) -> None:
    """Remove what the hidden folder holds, and every key that the version in its place does not need."""
    manifest, _ = read_manifest(finished_name(staged), registrar.ledger.key.verifier)
    for _ in _clearing(registrar, staged, manifest):
        pass


def _clearing(
    registrar: Registrar, staged: Path, manifest: Manifest, told: dict[str, Any] | None = None
) -> Iterator[str]:
    if manifest.cut is not None:
        _enter_in_catalogue(registrar, manifest, finished_name(staged), told)
        yield "entered in the catalogue"
    needed = {part.n for part in manifest.parts}
    registrar.keys.erase_parts(manifest.rec, [n for n in registrar.keys.parts(manifest.rec) if n not in needed])
    yield "old keys erased"
    StoredTable(registrar.catalogue).stale(manifest.rec)  # copies elsewhere are of the version before
    yield "copies are to be made anew"
    try:
        for path in sorted(staged.iterdir()):
            path.rmdir() if path.is_dir() and not path.is_symlink() else unlink(path)
            yield f"{path.name} removed"
        staged.rmdir()
    except OSError as error:
        raise explain(error, "remove the version that does not count", staged) from error
    sync_path(staged.parent)
    yield "done"


def _enter_in_catalogue(registrar: Registrar, manifest: Manifest, folder: Path, told: dict[str, Any] | None) -> None:
    """Bring the call's row up to its new version; twice changes nothing. After a crash it lacks who and why."""
    try:
        row = registrar.catalogue.get(manifest.rec)
    except NoSuchCall:
        return  # `verify` says so
    made = manifest.cut
    assert made is not None
    shown = next((one for one in row.details.get("cuts", ()) if one.get("version") == made.version), None)
    if shown is None:
        gap = manifest.gaps[-1]
        shown = (
            _shown(told)
            if told is not None
            else {
                "version": made.version,
                "by": "",
                "reason": "",
                "packets": made.packets,
                "reports": made.reports,
                "milliseconds": made.milliseconds,
                "from": rfc3339(gap.from_us),
                "to": rfc3339(gap.to_us),
            }
        )
    streams = row.streams
    if len(streams) == len(manifest.streams):  # both stand in the order of the streams' numbers
        streams = tuple(
            replace(one, stored=sealed.stored, dropped=_dropped(one.dropped, one.stored - sealed.stored))
            for one, sealed in zip(streams, manifest.streams, strict=True)
        )
    registrar.catalogue.upsert_call(
        replace(
            row,
            streams=streams,
            size_bytes=sum(part.size_bytes for part in manifest.parts),
            folder=str(folder.relative_to(registrar.data_dir)),
            details=_details(row.details, shown, manifest.gaps[-1:]),
        )
    )


def _dropped(dropped: Any, packets: int) -> dict[str, int]:
    return {**dropped, CUT: dropped.get(CUT, 0) + packets} if packets > 0 else dict(dropped)


def _manifest_hash(folder: Path) -> str | None:
    try:
        return digest((folder / MANIFEST_FILE).read_bytes())
    except OSError:
        return None


__all__ = ["ENTER_CUT", "KEEP_KEYS", "SETTLE_CUTS", "CutOrder", "cut", "cutting", "settle_cuts"]
