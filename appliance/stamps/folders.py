"""Stamps on the disk.

    DIR/stamps/<size>-<authority>/   checkpoint   the signed note that was stamped
                                     request.tsq  what was asked (RFC 3161 TimeStampReq)
                                     token.tsr    what was answered (TimeStampResp), as it came
                                     chain.pem    the certificate that signed, and its issuers as far as known
                                     stamp.json   what the token says, who verified it, when and how it came
                                     *.crl, ocsp.der   what was said about revocation when it was stamped
                                     entry        number of its entry in the ledger; written last
    DIR/stamps/asked/<size>-<authority>-<nonce>/   requests that somebody carries: checkpoint, request.tsq
    DIR/stamps/refused/<authority>/  the last answer of an authority that was not accepted, and why

A folder is hidden until all in it is synced, then it is renamed: there is no half stamp. What a crash left hidden
is removed an hour later, and a stamp that the ledger does not have yet is entered at the next start (entering.py).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import open_plain, sync_path, write_atomically

STAMPS: Final = "stamps"
NOTE_FILE: Final = "checkpoint"
REQUEST_FILE: Final = "request.tsq"
TOKEN_FILE: Final = "token.tsr"  # noqa: S105 - a time stamp token, no secret
CHAIN_FILE: Final = "chain.pem"
STAMP_FILE: Final = "stamp.json"
ENTRY_FILE: Final = "entry"
NETWORK: Final = "network"
CARRIED: Final = "carried"
VERSION: Final = 1
_ASKED: Final = "asked"
_REFUSED: Final = "refused"
_ASKED_KEPT: Final = 64
_WRITING_NS: Final = 3600 * 10**9
_FILE_LIMIT: Final = 1 << 20
_NAME: Final = re.compile(r"(0|[1-9]\d{0,17})-([a-z0-9][a-z0-9_-]{0,31})")


@dataclass(frozen=True, slots=True)
class Stamp:
    """stamp.json. Times are RFC 3339, UTC; hashes hex."""

    authority: str
    size: int  # entries of the ledger that the stamped checkpoint covers
    token: str  # SHA-256 of token.tsr
    gen_time: str  # what the authority says
    accuracy_us: int | None
    serial: str
    policy: str
    hash: str
    nonce: str
    verified_by: str
    library_said: str  # why rfc3161-client refused what openssl accepted
    way: str  # NETWORK or CARRIED
    asked_at: str  # this machine's clock
    answered_at: str
    clock_difference_us: int | None  # authority's clock less ours, within half the round trip; None when carried
    signer: str = ""
    revocation: dict[str, str] = field(default_factory=dict)  # of each certificate, by its place in chain.pem
    v: int = VERSION

    def text(self) -> bytes:
        """Return the file's content."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was exported and waits for its answer."""

    folder: Path
    authority: str
    note: bytes
    request: bytes


def stamp_name(size: int, authority: str) -> str:
    """Return the name of a stamp's folder."""
    return f"{size}-{authority}"


def is_stamp_name(name: str) -> bool:
    """Say whether a text can be the name of a stamp's folder: nothing else becomes a path."""
    return _NAME.fullmatch(name) is not None


def stamps_dir(data_dir: Path) -> Path:
    """Return where stamps are; it need not exist."""
    return data_dir / STAMPS


def put_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with files, whole or not at all, durable on return. Raises StoreError, also when it is there."""
    if folder.exists():
        raise StoreError("there is one already", folder, "look at what is there")
    # A name of its own: a command and the recorder may fetch one stamp at a time each.
    hidden = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.new")
    try:
        _make(folder.parent)
        hidden.mkdir(mode=0o700)
        for name, data in files.items():
            _write(hidden / name, data)
        sync_path(hidden)
        os.rename(hidden, folder)
    except OSError as error:
        raise explain(error, "keep a time stamp", folder) from error
    sync_path(folder.parent)


def put_refused(data_dir: Path, authority: str, files: Mapping[str, bytes]) -> Path:
    """Keep an answer that was not accepted in the place of the one before; return its folder. Raises StoreError."""
    folder = stamps_dir(data_dir) / _REFUSED / authority
    try:
        _remove(folder)
    except OSError as error:
        raise explain(error, "replace a refused time stamp", folder) from error
    put_folder(folder, files)
    return folder


def put_asked(data_dir: Path, size: int, authority: str, nonce: int, note: bytes, request: bytes) -> None:
    """Remember a request that somebody carries away; the oldest of more than 64 is forgotten. Raises StoreError."""
    parent = stamps_dir(data_dir) / _ASKED
    put_folder(parent / f"{stamp_name(size, authority)}-{nonce:x}", {NOTE_FILE: note, REQUEST_FILE: request})
    try:
        known = sorted(_visible(parent), key=lambda folder: folder.stat().st_mtime_ns)
        for folder in known[:-_ASKED_KEPT]:
            _remove(folder)
    except OSError as error:
        raise explain(error, "forget a request", parent) from error


def forget_asked(asked: Asked) -> None:
    """Remove a request that was answered. Raises StoreError."""
    try:
        _remove(asked.folder)
    except OSError as error:
        raise explain(error, "forget a request", asked.folder) from error


def all_asked(data_dir: Path) -> Iterator[Asked]:
    """Yield the requests that wait, the newest first."""
    for folder in sorted(_visible(stamps_dir(data_dir) / _ASKED), reverse=True):
        found = _NAME.fullmatch(folder.name.rpartition("-")[0])
        if found is not None:
            yield Asked(folder, found[2], read_file(folder / NOTE_FILE), read_file(folder / REQUEST_FILE))


def all_stamps(data_dir: Path) -> list[Path]:
    """Return the folders of stamps, by size."""
    found = [(match, folder) for folder in _visible(stamps_dir(data_dir)) if (match := _NAME.fullmatch(folder.name))]
    return [folder for _, folder in sorted(found, key=lambda one: (int(one[0][1]), one[0][2]))]


def authority_of(folder: Path) -> str:
    """Return the authority's name from the name of its stamp's folder."""
    return folder.name.partition("-")[2]


def sweep(data_dir: Path) -> None:
    """Remove what a crash left hidden. Only for who writes. Raises StoreError."""
    top = stamps_dir(data_dir)
    # A command may be writing one at this moment, without the lock.
    before_ns = time.time_ns() - _WRITING_NS
    try:
        for parent in (top, top / _ASKED, top / _REFUSED):
            for folder in parent.glob(".*.new") if parent.is_dir() else ():
                if folder.stat().st_mtime_ns < before_ns:
                    _remove(folder)
    except OSError as error:
        raise explain(error, "remove what was left of a time stamp", top) from error


def read_stamp(folder: Path) -> Stamp:
    """Return what stamp.json in a folder says. Raises StoreError."""
    path = folder / STAMP_FILE
    try:
        said: dict[str, Any] = json.loads(read_file(path))
        stamp = Stamp(**{one.name: said[one.name] for one in fields(Stamp)})
        if stamp_name(stamp.size, stamp.authority) != folder.name or not isinstance(stamp.size, int):
            raise ValueError("it is another's")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError("this is no stamp of ours", path, "keep it as it is and compare with a backup") from error
    return stamp


def read_file(path: Path) -> bytes:
    """Return the content of a plain file of at most 1 MiB. Raises StoreError."""
    try:
        with open_plain(path) as stream:
            data = stream.read(_FILE_LIMIT + 1)
    except OSError as error:
        raise explain(error, "read a time stamp", path) from error
    if len(data) > _FILE_LIMIT:
        raise StoreError("this is too large for a time stamp", path, "look at what it is")
    return data


def mark_entered(folder: Path, index: int) -> None:
    """Note the number of a stamp's entry in the ledger. Raises StoreError."""
    write_atomically(folder / ENTRY_FILE, b"%d\n" % index)


def _visible(parent: Path) -> list[Path]:
    try:
        with os.scandir(parent) as found:
            return [Path(one.path) for one in found if one.name[0] != "." and one.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain(error, "list time stamps", parent) from error


def _make(folder: Path) -> None:
    for one in (folder.parent, folder):
        if not one.is_dir():
            one.mkdir(mode=0o700, exist_ok=True)
            sync_path(one.parent)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
