"""Signed notes, and the checkpoint of a ledger as one.

Sources: C2SP signed-note and tlog-checkpoint. A note is text ending in a newline, an empty line, and lines
"— name base64(key id || signature)"; the signature is over the text with its last newline. A checkpoint's
text is origin, size and base64 root, a line each; lines after these are extensions and signed as well.
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from vittne.appliance.seal.signing import SigningKey
from vittne.appliance.seal.verifykey import SIGNATURE_LIMIT, VerifyKey

NOTE_LIMIT: Final = 65_536
_MARK: Final = "— "
_LINE: Final = re.compile(
    rb"checkpoint origin=([!-~]{1,200}) size=(\d{1,18}) root=([0-9A-Za-z+/=]{44}) signature=([0-9A-Za-z+/=]{92,104})"
)


class BadNote(ValueError):
    """A note that is not well-formed, or not signed by the key asked for."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A ledger's state: this many entries have this root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Return what is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def sign_note(text: str, key: SigningKey) -> bytes:
    """Return the note of a text. The text must end in a newline and have no empty last line."""
    signature = base64.b64encode(key.verifier.key_id + key.sign(text.encode())).decode()
    return f"{text}\n{_MARK}{key.name} {signature}\n".encode()


def note_of(text: str, name: str, signature: bytes) -> bytes:
    """Return the note of a text that was signed before; signature: key id and signature in base64."""
    return f"{text}\n{_MARK}{name} ".encode() + signature + b"\n"


def signature_of(note: bytes) -> bytes:
    """Return key id and signature, in base64, of a note with one signature."""
    return note[note.rindex(b" ") + 1 : -1]


def open_note(note: bytes, key: VerifyKey) -> str:
    """Return the text of a note that key has signed. Raises BadNote.

    Signatures of other keys are passed over, as C2SP asks: a witness may have added one.
    """
    if len(note) > NOTE_LIMIT:
        raise BadNote("it is longer than a note may be")
    try:
        text, found, signatures = note.decode().rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise BadNote("it is not UTF-8 text") from error
    if not found or not signatures.endswith("\n"):
        raise BadNote("it has no signature lines")
    text += "\n"
    if any(_is_by(key, line, text) for line in signatures.split("\n")[:-1]):
        return text
    raise BadNote(f"it carries no valid signature of {key.name}")


def open_checkpoint(note: bytes, key: VerifyKey) -> Checkpoint:
    """Return the checkpoint in a note that key signed, its origin being the key's name. Raises BadNote.

    Of keys that it followed it takes those up to the size at which the next one followed.
    """
    text, signer = _text_and_signer(note, key)
    lines = text.split("\n")
    if len(lines) < 4:
        raise BadNote("it is not a checkpoint: three lines are needed")
    origin, size, encoded = lines[:3]
    if origin != key.name:
        raise BadNote("it is the checkpoint of another ledger")
    if not (size.isascii() and size.isdigit() and len(size) < 19 and str(int(size)) == size):
        raise BadNote("its size is not a number")
    try:
        root = base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise BadNote("its root is not base64") from error
    if len(root) != 32:
        raise BadNote("its root has not 32 bytes")
    if signer.until is not None and int(size) > signer.until:
        raise BadNote("it is signed by a key that another one had followed by then")
    return Checkpoint(origin, int(size), root)


def _text_and_signer(note: bytes, key: VerifyKey) -> tuple[str, VerifyKey]:
    try:
        return open_note(note, key), key
    except BadNote:
        for former in key.former:
            with suppress(BadNote):
                return open_note(note, former), former
        raise


def checkpoint_line(note: bytes) -> str:
    """Return the log's own checkpoint in a note as one line, for logs of lines: note_in_line() reads it."""
    text, _, signatures = note.decode().rpartition("\n\n")
    origin, size, root = text.split("\n")[:3]
    signature = next(line.split(" ")[2] for line in signatures.split("\n") if line.startswith(f"{_MARK}{origin} "))
    return f"checkpoint origin={origin} size={size} root={root} signature={signature}"


def note_in_line(line: bytes) -> bytes | None:
    """Return the note that a line of somebody's log tells of; None when there is none in it."""
    found = _LINE.search(line)
    if found is None:
        return None
    origin, size, root, signature = (part.decode() for part in found.groups())
    return note_of(f"{origin}\n{size}\n{root}\n", origin, signature.encode())


def _is_by(key: VerifyKey, line: str, text: str) -> bool:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    if not line.startswith(_MARK) or name != key.name:
        return False
    try:
        raw = base64.b64decode(encoded, validate=True)
    except ValueError:
        return False
    if len(raw) > 4 + SIGNATURE_LIMIT or raw[:4] != key.key_id:
        return False
    return key.signed(raw[4:], text.encode())
