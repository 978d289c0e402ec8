"""Stored stamps, checked again: against their checkpoint, the authority's certificates and the ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vittne.appliance.seal.ledger import LedgerDamaged
from vittne.appliance.seal.note import BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.seal.succession import following
from vittne.appliance.seal.verdict import Check, Verdict, fails, holds, unchecked
from vittne.appliance.stamps import folders
from vittne.appliance.stamps.asking import read_question
from vittne.appliance.stamps.checking import Trust, check_token, load_trust
from vittne.appliance.stamps.entering import LedgerView, read_ledger
from vittne.appliance.stamps.settings import StampsConfig
from vittne.appliance.stamps.token import BadToken
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import rfc3339

ALL: Final = "stamps"
TrustOf = Callable[[str], Trust]


def trust_of(config: StampsConfig, ca_file: Path | None = None) -> TrustOf:
    """Return what gives the certificates to believe for an authority's name: the file given, else as configured."""
    files = {one.name: one.ca_file for one in config.authorities}
    loaded: dict[Path | None, Trust] = {}

    def trust(authority: str) -> Trust:
        path = ca_file or files.get(authority)
        if path not in loaded:
            loaded[path] = load_trust(path)
        return loaded[path]

    return trust


def verify_stamps(
    data_dir: Path, trust: TrustOf, names: Sequence[Path] | None = None, key: VerifyKey | None = None
) -> list[Verdict]:
    """Return a verdict for each stamp, by size, and one about all of them.

    names: only these folders, and nothing about all. key: the true one, kept elsewhere.
    May run while calls are recorded. Raises StoreError when the directory or its public key cannot be read.
    """
    key = load_verifier(data_dir / "keys") if key is None else following(data_dir / "ledger", key)
    chosen = list(names) if names is not None else folders.all_stamps(data_dir)
    notes = [_open_note(folder, key) for folder in chosen]
    sizes = {note.size for note in notes if isinstance(note, Checkpoint)}
    try:
        ledger: LedgerView | str = read_ledger(data_dir, key, sizes)
    except LedgerDamaged as error:
        ledger = error.what
    pairs = zip(chosen, notes, strict=True)
    verdicts = [Verdict(folder.name, tuple(_checks(folder, note, ledger, trust))) for folder, note in pairs]
    if names is None:
        verdicts.append(Verdict(ALL, (_all_there(chosen, ledger),)))
    return verdicts


def _checks(folder: Path, note: Checkpoint | str, ledger: LedgerView | str, trust: TrustOf) -> list[Check]:
    if isinstance(note, str):
        return [fails("checkpoint", note)]
    try:
        stamp = folders.read_stamp(folder)
        raw = folders.read_file(folder / folders.TOKEN_FILE)
        question = read_question(folders.read_file(folder / folders.REQUEST_FILE))
        stamped = folders.read_file(folder / folders.NOTE_FILE)
    except StoreError as error:
        return [fails("files", str(error))]
    return [
        holds("checkpoint", f"{note.size} entries, signed by {note.origin}")
        if note.size == stamp.size
        else fails("checkpoint", f"it has {note.size} entries, and the folder says {stamp.size}"),
        _token(stamp, raw, stamped, question.nonce, question.policy, trust),
        *_in_ledger(note, hashlib.sha256(raw).hexdigest(), ledger),
    ]


def _token(stamp: folders.Stamp, raw: bytes, note: bytes, nonce: int, policy: str, trust: TrustOf) -> Check:
    try:
        believed = trust(stamp.authority)
    except StoreError as error:
        return unchecked("token", str(error))
    try:
        found = check_token(raw, note, believed, nonce, policy)
    except BadToken as error:
        return fails("token", f"{error}; believed were the certificates in {believed.source}")
    accuracy = "" if found.token.accuracy_us is None else f", within {found.token.accuracy_us / 1e6:g} s"
    when = f"the checkpoint existed at {rfc3339(found.token.gen_time_us)}{accuracy}"
    if rfc3339(found.token.gen_time_us) != stamp.gen_time or hashlib.sha256(raw).hexdigest() != stamp.token:
        return fails("token", f"{when}; but stamp.json says something else: it was altered, or the token exchanged")
    return holds("token", f"{when}, says {stamp.signer or stamp.authority}; verified by {found.verified_by}")


def _in_ledger(note: Checkpoint, token: str, ledger: LedgerView | str) -> list[Check]:
    if isinstance(ledger, str):
        return [fails("ledger", ledger)]
    found = ledger.roots.get(note.size)
    if found is None:
        words = f"the ledger has {ledger.size} entries, and {note.size} were stamped: it was put back or shortened"
        return [fails("ledger", words)]
    if found != note.root:
        return [fails("ledger", f"its first {note.size} entries are not those that were stamped: it was written anew")]
    covered = holds("ledger", f"its first {note.size} entries are those that were stamped")
    if token not in ledger.tokens:
        # A recorder enters it right after; a stamp beside the ledger is worth as much, but may vanish unnoticed.
        return [covered, unchecked("entry", "the ledger does not have this token yet: the next start enters it")]
    return [covered, holds("entry", f"entry {ledger.tokens[token]} has this token's hash")]


def _all_there(chosen: Sequence[Path], ledger: LedgerView | str) -> Check:
    if isinstance(ledger, str):
        return fails("ledger", ledger)
    there = {_digest(folder / folders.TOKEN_FILE) for folder in chosen}
    gone = sorted(index for token, index in ledger.tokens.items() if token not in there)
    if gone:
        shown = ", ".join(map(str, gone[:3])) + (", ..." if len(gone) > 3 else "")
        return fails("removed", f"{len(gone)} stamps that the ledger knows (entries {shown}) are not here: removed")
    return holds("removed", f"all {len(ledger.tokens)} stamps that the ledger knows are here")


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(folders.read_file(path)).hexdigest()
    except StoreError:
        return ""


def _open_note(folder: Path, key: VerifyKey) -> Checkpoint | str:
    """Return the checkpoint that was stamped, or words for what is wrong with it."""
    try:
        return open_checkpoint(folders.read_file(folder / folders.NOTE_FILE), key)
    except BadNote as error:
        return f"what was stamped is no checkpoint of this ledger: {error}"
    except StoreError as error:
        return str(error)
