"""From a question to a stamp on the disk: the steps that the scheduler, the commands and the import share."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from vittne.appliance.ownthreads import OwnThreads
from vittne.appliance.seal.ledgerstate import CHECKPOINT_FILE
from vittne.appliance.seal.note import NOTE_LIMIT, BadNote, Checkpoint, open_checkpoint
from vittne.appliance.seal.signing import VerifyKey
from vittne.appliance.stamps import folders
from vittne.appliance.stamps.asking import Question, ask_about
from vittne.appliance.stamps.checking import Trust, Verified, check_token, load_trust, signing_chain
from vittne.appliance.stamps.client import ask
from vittne.appliance.stamps.folders import Stamp
from vittne.appliance.stamps.revocation import REVOKED, Said, ask_revocation
from vittne.appliance.stamps.settings import AuthoritySettings
from vittne.appliance.stamps.token import BadToken
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us, rfc3339

THREADS = OwnThreads("stamps")  # disks, openssl and an authority's certificates


class NotStamped(StoreError):
    """An authority answered, and its answer is no stamp over our checkpoint."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with what belongs to it. round_trip_us: None when somebody carried it."""

    authority: AuthoritySettings
    note: bytes
    size: int
    question: Question
    raw: bytes
    asked_us: int
    answered_us: int
    round_trip_us: int | None = None


def newest_note(data_dir: Path, key: VerifyKey) -> tuple[bytes, Checkpoint]:
    """Return the ledger's newest signed checkpoint. Raises StoreError."""
    path = data_dir / "ledger" / CHECKPOINT_FILE
    note = folders.read_file(path)
    try:
        found = open_checkpoint(note[: NOTE_LIMIT + 1], key)
    except BadNote as error:
        what = f"the ledger's checkpoint cannot be trusted: {error}"
        raise StoreError(what, path, "run `vittne verify --all`") from error
    if not found.size:
        raise StoreError("there is nothing to stamp yet", path, "record something first")
    return note, found


def stamp_there(data_dir: Path, authority: str, note: bytes, size: int) -> Path | None:
    """Return the folder of an authority's stamp over this very checkpoint; None when there is none.

    Raises StoreError when it stamped another checkpoint of that size: the ledger was put back and written anew.
    """
    folder = folders.stamps_dir(data_dir) / folders.stamp_name(size, authority)
    if not folder.exists():
        return None
    if _text(folders.read_file(folder / folders.NOTE_FILE)) != _text(note):
        what = f"{authority} has stamped another ledger of {size} entries here: this one was put back, or exchanged"
        raise StoreError(what, folder, "compare with your backups and checkpoints kept elsewhere")
    return folder


async def fetch_stamp(data_dir: Path, key: VerifyKey, authority: AuthoritySettings, revocation: bool) -> Path:
    """Let an authority stamp the newest checkpoint; return the folder. Raises StoreError, Unanswered, NotStamped.

    What computes, waits for the disk or runs openssl does so in a thread. The stamp still needs its entry in
    the ledger, when its folder has no ENTRY_FILE.
    """
    note, checkpoint = await THREADS.run(newest_note, data_dir, key)
    there = await THREADS.run(stamp_there, data_dir, authority.name, note, checkpoint.size)
    if there is not None:
        return there
    trust = await THREADS.run(load_trust, authority.ca_file)  # first: an answer should not wait for it in vain
    question = ask_about(note, authority.hash, authority.policy or "")
    asked_us, began = now_us(), time.monotonic_ns()
    raw = await ask(authority, question.der)
    round_trip_us = (time.monotonic_ns() - began) // 1000
    answered_us = asked_us + round_trip_us
    answer = Answer(authority, note, checkpoint.size, question, raw, asked_us, answered_us, round_trip_us)
    verified = await THREADS.run(look_at, data_dir, answer, trust)
    chain = await THREADS.run(signing_chain, verified.token, trust)
    said = await ask_revocation(chain) if revocation else Said()
    return await THREADS.run(keep, data_dir, answer, verified, chain, said)


def alarms(stamp: Stamp, clocks_apart_us: int) -> list[str]:
    """Return what somebody should see at once about a stamp; it counts all the same."""
    found = []
    apart = stamp.clock_difference_us
    if apart is not None and abs(apart) > clocks_apart_us + (stamp.accuracy_us or 0):
        found.append("alarm: an authority's clock and this machine's differ")
    if any(state.startswith(REVOKED) for state in stamp.revocation.values()):
        found.append("alarm: a certificate of an authority was revoked")
    return found


def look_at(data_dir: Path, answer: Answer, trust: Trust) -> Verified:
    """Return what an answer proves. Whatever it is, it is kept: one that proves nothing as the last refused.

    Raises NotStamped, StoreError.
    """
    asked = answer.question
    try:
        return check_token(answer.raw, answer.note, trust, asked.nonce, asked.policy)
    except BadToken as error:
        files = {
            folders.NOTE_FILE: answer.note,
            folders.REQUEST_FILE: asked.der,
            folders.TOKEN_FILE: answer.raw,
            "why.txt": f"{rfc3339(answer.answered_us)} {error}\n".encode(),
        }
        folder = folders.put_refused(data_dir, answer.authority.name, files)
        what = f"the answer of {answer.authority.name} is not accepted: {error}"
        raise NotStamped(what, folder, "it is kept there; see docs/time.md") from error


def keep(data_dir: Path, answer: Answer, verified: Verified, chain: list[x509.Certificate], said: Said) -> Path:
    """Write a stamp's folder. It is in the ledger only after enter() (entering.py). Raises StoreError."""
    token = verified.token
    stamp = Stamp(
        authority=answer.authority.name,
        size=answer.size,
        token=hashlib.sha256(answer.raw).hexdigest(),
        gen_time=rfc3339(token.gen_time_us),
        accuracy_us=token.accuracy_us,
        serial=str(token.serial),
        policy=token.policy,
        hash=token.hash,
        nonce=f"{answer.question.nonce:x}",
        verified_by=verified.verified_by,
        library_said=verified.library_said,
        way=folders.CARRIED if answer.round_trip_us is None else folders.NETWORK,
        asked_at=rfc3339(answer.asked_us),
        answered_at=rfc3339(answer.answered_us),
        clock_difference_us=difference(answer, token.gen_time_us),
        signer=chain[0].subject.rfc4514_string()[:300] if chain else "",
        revocation=said.states,
    )
    files = {
        folders.NOTE_FILE: answer.note,
        folders.REQUEST_FILE: answer.question.der,
        folders.TOKEN_FILE: answer.raw,
        folders.CHAIN_FILE: b"".join(one.public_bytes(Encoding.PEM) for one in chain),
        **said.files,
        folders.STAMP_FILE: stamp.text(),
    }
    folder = folders.stamps_dir(data_dir) / folders.stamp_name(answer.size, answer.authority.name)
    folders.put_folder(folder, files)
    return folder


def difference(answer: Answer, gen_time_us: int) -> int | None:
    """Return by how much the authority's clock is ahead of ours, 0 when genTime lies within the round trip."""
    if answer.round_trip_us is None:
        return None
    # Most authorities cut their time to the second, RFC 3161 allows it: a whole second may be that much older.
    rounded = 999_999 if gen_time_us % 1_000_000 == 0 else 0
    if gen_time_us > answer.answered_us:
        return gen_time_us - answer.answered_us
    return min(gen_time_us + rounded - answer.asked_us, 0)


def _text(note: bytes) -> bytes:
    """Return what of a note is signed: a witness may add signatures later."""
    return note.rpartition(b"\n\n")[0]
