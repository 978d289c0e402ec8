"""Stamps without a network: requests go out as files, answers come back as files.

A request that was exported waits in DIR/stamps/asked with the checkpoint that it is about; the answer is
matched to it by imprint and nonce. Exporting needs no lock: it reads the signed checkpoint and adds a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vittne.appliance.outfile import whole_file
from vittne.appliance.seal.note import BadNote, open_checkpoint
from vittne.appliance.seal.signing import VerifyKey, load_verifier
from vittne.appliance.stamps import folders
from vittne.appliance.stamps.asking import ask_about, read_question
from vittne.appliance.stamps.checking import load_trust, signing_chain
from vittne.appliance.stamps.folders import Asked
from vittne.appliance.stamps.revocation import Said
from vittne.appliance.stamps.settings import AuthoritySettings, StampsConfig
from vittne.appliance.stamps.taking import Answer, keep, look_at, newest_note, stamp_there
from vittne.appliance.stamps.token import ANSWER_LIMIT, BadToken, Token, read_answer
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us


@dataclass(frozen=True, slots=True)
class Exported:
    """A request that was written to a file."""

    authority: str
    size: int
    file: Path


def export_requests(data_dir: Path, authorities: Sequence[AuthoritySettings], where: Path) -> list[Exported]:
    """Write a .tsq file for the newest checkpoint, one for each authority. Raises StoreError."""
    note, checkpoint = newest_note(data_dir, load_verifier(data_dir / "keys"))
    if not where.is_dir():
        raise StoreError("there is no such folder", where, "make it, or name another with -o")
    found = []
    for authority in authorities:
        question = ask_about(note, authority.hash, authority.policy or "")
        file = where / f"{folders.stamp_name(checkpoint.size, authority.name)}.tsq"
        folders.put_asked(data_dir, checkpoint.size, authority.name, question.nonce, note, question.der)
        with whole_file(str(file), force=True) as (stream, _):
            stream.write(question.der)
        found.append(Exported(authority.name, checkpoint.size, file))
    return found


def import_answer(data_dir: Path, key: VerifyKey, config: StampsConfig, raw: bytes) -> Path:
    """Make a stamp of the answer to an exported request; return its folder. Raises StoreError, NotStamped.

    raw: bytes of a TimeStampResp, as `openssl ts -reply` and every authority give it. No lock is needed; the stamp
    still needs its entry in the ledger (operation.py). An answer that is a stamp already is that one.
    """
    try:
        token = read_answer(raw)
    except BadToken as error:
        what = f"this cannot be imported: {error}"
        raise StoreError(what, "import", "give the answer (.tsr) as the authority gave it") from error
    asked = _asked_for(data_dir, token)
    if asked is None:
        return _known_already(data_dir, raw)
    size = _ours(asked, key)
    authority = next((one for one in config.authorities if one.name == asked.authority), None)
    if authority is None:
        next_step = "put it back into [stamps], with its ca_file"
        raise StoreError(f"the authority {asked.authority} is not configured any more", "import", next_step)
    folder = stamp_there(data_dir, authority.name, asked.note, size)
    if folder is None:
        asked_us = (asked.folder / folders.REQUEST_FILE).stat().st_mtime_ns // 1000
        question = read_question(asked.request)
        answer = Answer(authority, asked.note, size, question, raw, asked_us, answered_us=now_us())
        trust = load_trust(authority.ca_file)
        verified = look_at(data_dir, answer, trust)
        folder = keep(data_dir, answer, verified, signing_chain(verified.token, trust), Said())
    folders.forget_asked(asked)
    return folder


def read_answer_file(path: Path) -> bytes:
    """Return the content of a .tsr file. Raises StoreError."""
    raw = folders.read_file(path)
    if len(raw) > ANSWER_LIMIT:
        raise StoreError("this is too long for an answer of an authority", path, "give the .tsr file")
    return raw


def _asked_for(data_dir: Path, token: Token) -> Asked | None:
    for asked in folders.all_asked(data_dir):
        question = read_question(asked.request)
        if (question.imprint, question.nonce) == (token.imprint, token.nonce):
            return asked
    return None


def _known_already(data_dir: Path, raw: bytes) -> Path:
    for folder in folders.all_stamps(data_dir):
        if folders.read_file(folder / folders.TOKEN_FILE) == raw:
            return folder
    what = "no request that was exported from here has this imprint and nonce"
    raise StoreError(what, "import", "export one with `vittne stamp export`; the last 64 are remembered")


def _ours(asked: Asked, key: VerifyKey) -> int:
    """Return the size of the checkpoint that a request is about."""
    try:
        return open_checkpoint(asked.note, key).size
    except BadNote as error:
        what = f"the checkpoint that was to be stamped cannot be trusted: {error}"
        raise StoreError(what, asked.folder, "export a request anew") from error
