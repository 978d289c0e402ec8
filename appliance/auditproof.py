"""The proof of one row of the audit trail, in plain words: row, entry, tree, signature, stamp."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.audit import commitment
from vittne.appliance.seal.events import ERASED, SEARCHED
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.note import BadNote
from vittne.appliance.seal.scan import read_entry
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.seal.succession import following
from vittne.appliance.seal.tlogproof import BadProof, TlogProof
from vittne.appliance.seal.verdict import HOLDS, Check, fails, holds, unchecked
from vittne.appliance.stamps.folders import all_stamps, read_stamp
from vittne.appliance.stamps.settings import StampsConfig
from vittne.appliance.stamps.verifying import trust_of, verify_stamps
from vittne.appliance.store.audit import AuditRow
from vittne.appliance.store.errors import StoreError

ROW: Final = "row"
TREE: Final = "ledger"
STAMP: Final = "stamp"


@dataclass(frozen=True, slots=True)
class RowProof:
    """What proves a row. path: hashes in hex from the entry to root; text: the proof as a file (C2SP tlog-proof)."""

    row: AuditRow
    checks: tuple[Check, ...]
    size: int = 0
    root: str = ""
    path: tuple[str, ...] = ()
    stamp: str = ""
    text: str = ""


def prove_row(data: Path, row: AuditRow, stamps: StampsConfig) -> RowProof:
    """Return the proof of a row, checked. Raises StoreError where the ledger or its key cannot be read."""
    if row.entry is None:
        return RowProof(row, (fails(ROW, "the ledger has no entry of this row: nothing fixes what it says"),))
    key = load_verifier(data / "keys")
    view = LedgerView(data / "ledger", key)
    try:
        entry = view.entry(row.entry)
    except StoreError as error:
        return RowProof(row, (fails(ROW, error.what),))
    said = _says(row, entry)
    if row.entry >= view.published.size:
        words = "the entry is in the ledger, and not in its public files yet: that takes a minute"
        return RowProof(row, (said, unchecked(TREE, words)), view.checkpoint.size)
    try:
        found = view.prove(row.entry)
        checkpoint = found.check(following(data / "ledger", key), entry)
    except (StoreError, BadProof, BadNote, ValueError) as error:
        return RowProof(row, (said, fails(TREE, str(error))), view.published.size)
    steps = len(found.path)
    words = (
        f"entry {row.entry} of {checkpoint.size}: {steps} {'hash leads' if steps == 1 else 'hashes lead'} from it to "
        f"the root that {checkpoint.origin} signed"
    )
    name, stamped = _stamped(data, row.entry, stamps, key)
    return RowProof(
        row,
        (said, holds(TREE, words), stamped),
        checkpoint.size,
        checkpoint.root.hex(),
        _steps(found),
        name,
        _text(found),
    )


def _steps(found: TlogProof) -> tuple[str, ...]:
    return tuple(one.hex() for one in found.path)


def _text(found: TlogProof) -> str:
    return found.text().decode("utf-8", "replace")


def _says(row: AuditRow, entry: bytes) -> Check:
    said = read_entry(entry)
    if said.get("t") != row.kind or said.get("rec", "") != row.recording:
        return fails(ROW, f"entry {row.entry} is about something else: the row was altered")
    if not row.salt:
        words = "the row named somebody and was emptied when that was erased: the entry shows only that it was there"
        return (
            unchecked(ROW, words)
            if row.kind in (SEARCHED, ERASED) or row.recording
            else fails(ROW, "the row was emptied")
        )
    if said.get("row") != commitment(row):
        return fails(ROW, f"entry {row.entry} has the hash of other words: the row was altered")
    return holds(ROW, f"SHA-256 over the row and its salt is what entry {row.entry} of the ledger says")


def _stamped(data: Path, entry: int, config: StampsConfig, key: VerifyKey) -> tuple[str, Check]:
    """Return the first stamp that covers an entry, and whether it holds."""
    folder = next(_covering(data, entry), None)
    if folder is None:
        why = "wait for the next one" if config.authorities else "no authority is configured ([stamps])"
        return "", unchecked(STAMP, f"no time stamp of somebody else covers it yet: {why}")
    (verdict,) = verify_stamps(data, trust_of(config), [folder], key)
    wrong = [one for one in verdict.checks if one.result != HOLDS]
    told = wrong or [one for one in verdict.checks if one.name == "token"]
    words = "; ".join(one.words for one in told)
    return folder.name, Check(STAMP, told[0].result if told else HOLDS, words)


def _covering(data: Path, entry: int) -> Iterator[Path]:
    for folder in all_stamps(data):
        try:
            if read_stamp(folder).size > entry:
                yield folder
        except (StoreError, ValueError):
            continue
