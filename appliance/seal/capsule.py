"""Capsules: data keys sealed for the archive key, and the database that keeps data keys in either form.

A capsule is a compact JWE (RFC 7516): ECDH-ES+A256KW on P-256, A256GCM. Anybody who has the
public key can make one. Its payload is JSON and says which recording and part the key is
for, so that a row put in another's place is refused:

    {"v":1,"recording":"<uuid>","part":0,"key":"<base64url of 32 bytes>"}

Once the archive is unlocked a data key is wrapped again under a bucket (keyring/), 40 bytes, in the capsule's place.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from vittne.appliance.store.errors import StoreError, explain

ALGORITHM: Final = "ECDH-ES+A256KW"
ENCRYPTION: Final = "A256GCM"
TYPE: Final = "vittne-capsule"
_ALLOWED: Final = [ALGORITHM, ENCRYPTION]
_CAPSULE_LIMIT: Final = 4096
_KEY_BYTES: Final = 32
_BUSY_S: Final = 5.0


class KeyTaken(StoreError):
    """A part has another capsule already."""


class CapsuleRefused(ValueError):
    """A capsule that this archive key does not open, or that is for something else."""


def make_capsule_for(jwk: ECKey, kid: str, key: bytes, recording_id: str, part_no: int) -> str:
    """Return key sealed for the public half in jwk."""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"a data key has {_KEY_BYTES} bytes")
    text = base64.urlsafe_b64encode(key).rstrip(b"=").decode("ascii")
    payload = json.dumps({"v": 1, "recording": recording_id, "part": part_no, "key": text}, separators=(",", ":"))
    header = {"alg": ALGORITHM, "enc": ENCRYPTION, "kid": kid, "typ": TYPE}
    return jwe.encrypt_compact(header, payload.encode(), jwk, algorithms=_ALLOWED)


def open_capsule_with(jwk: ECKey, kid: str, capsule: str, recording_id: str, part_no: int) -> bytes:
    """Return the key in a capsule, 32 bytes; CapsuleRefused when it is not for us or not for this part."""
    if len(capsule) > _CAPSULE_LIMIT:
        raise CapsuleRefused("no capsule is that long")
    try:
        opened = jwe.decrypt_compact(capsule, jwk, algorithms=_ALLOWED)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise CapsuleRefused(f"the archive key does not open this capsule{_other_key(capsule, kid)}") from error
    return _key_in(opened.plaintext or b"", recording_id, part_no)


def made_for(capsule: str) -> str:
    """Return the kid of the key that a capsule was made for, "" when it names none. Believe it after opening."""
    try:
        head = capsule[:_CAPSULE_LIMIT].partition(".")[0]
        named = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    except (ValueError, KeyError, TypeError):
        return ""
    return named[:64] if isinstance(named, str) else ""


def _other_key(capsule: str, kid: str) -> str:
    """Say for which other key a capsule was made, as far as that can be read."""
    named = made_for(capsule)
    return f": it was made for {named!r}, this is {kid!r}" if named not in ("", kid) else ""


def _key_in(payload: bytes, recording_id: str, part_no: int) -> bytes:
    try:
        content: Any = json.loads(payload)
        version, recording, part = content["v"], content["recording"], content["part"]
        text: str = content["key"]
        key = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, KeyError, TypeError) as error:
        raise CapsuleRefused("the capsule holds no data key") from error
    if version != 1 or len(key) != _KEY_BYTES:
        raise CapsuleRefused("the capsule holds no data key that this version knows")
    if (recording, part) != (recording_id, part_no):
        raise CapsuleRefused(f"the capsule is not for part {part_no} of {recording_id}")
    return key


_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS buckets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL,
    retention TEXT NOT NULL,
    month TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    created TEXT NOT NULL,
    retiring INTEGER NOT NULL DEFAULT 0,
    wrapped BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS data_keys (
    recording_id TEXT NOT NULL,
    part_no INTEGER NOT NULL,
    bucket INTEGER,
    key BLOB NOT NULL,
    PRIMARY KEY (recording_id, part_no)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS waiting ON data_keys (recording_id) WHERE bucket IS NULL;
"""
_BUCKET: Final = "id, site, retention, month, epoch, created, retiring, wrapped"

Row = tuple[int, bytes, str, int]  # bucket, wrapped key, recording, part: a row as it is to become


@dataclass(frozen=True, slots=True)
class Bucket:
    """A key that wraps data keys: one for each site, retention class and month. wrapped: under its epoch's key."""

    id: int
    site: str
    retention: str
    month: str  # YYYY-MM, of the call's start
    epoch: int
    created: str
    retiring: bool
    wrapped: bytes

    @property
    def place(self) -> tuple[str, str, str]:
        """What it is for."""
        return self.site, self.retention, self.month


@dataclass(frozen=True, slots=True)
class Kept:
    """A data key as it is kept: wrapped under a bucket, or in a capsule while it waits for the archive's key."""

    bucket: Bucket | None
    key: bytes

    @property
    def capsule(self) -> str:
        """The capsule; "" when it is none any more."""
        return self.key.decode("utf-8", "replace") if self.bucket is None else ""


class KeyStore:
    """Data keys in DIR/keys.db, apart from the files they open. Raises StoreError.

    May be used from any thread, one at a time. Erasing a row overwrites it in the database and
    empties the write-ahead log; copies that the disk or a backup kept end at the next key epoch.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the database; 0600."""
        self.path = path
        self._lock = threading.Lock()
        try:
            # Only where there is none: closing a file drops this process's POSIX locks on it, also those of another
            # connection here; the next process that closes its own would then take itself for the last one, and
            # remove the log that this one still writes into.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise explain(error, "open the store of keys", path) from error
        if mode & 0o077:
            raise StoreError(f"mode {mode:04o} lets others in", path, "chmod 0600 it; who read it?")
        with self._explaining():
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
                self._db.execute(f"PRAGMA {pragma}").fetchall()
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()

    def put(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """Keep (recording_id, part_no, capsule) rows: all or none, durable on return.

        The same row again is no error. Another capsule for a part that has a key is (KeyTaken): the first
        may be the only way to what is already written.
        """
        with self._locked():
            self._db.execute("BEGIN IMMEDIATE")
            values = [(rec, part, capsule.encode()) for rec, part, capsule in rows]
            self._db.executemany("INSERT INTO data_keys VALUES (?, ?, NULL, ?) ON CONFLICT DO NOTHING", values)
            clash = next((row for row in values if self._raw(row[0], row[1]) != (None, row[2])), None)
            self._db.execute("ROLLBACK" if clash else "COMMIT")
        if clash:
            raise KeyTaken(f"part {clash[1]} of {clash[0]} has another key already", self.path, "use a new part")

    def get(self, recording_id: str, part_no: int) -> Kept | None:
        """Return a part's key as it is kept; None when there is none, or none any more."""
        with self._locked():
            row = self._raw(recording_id, part_no)
            return None if row is None else Kept(None if row[0] is None else self._bucket(row[0]), row[1])

    def keys_of(self, recording_id: str) -> list[tuple[int, Kept]]:
        """Return (part_no, key) of all parts of a recording, in the order of their numbers."""
        found = ((n, self.get(recording_id, n)) for n in self.parts(recording_id))
        return [(n, kept) for n, kept in found if kept is not None]

    def waiting(self, after: str = "", limit: int = 1000) -> list[str]:
        """Return recordings that have capsules, by id, from behind one on."""
        query = (
            "SELECT DISTINCT recording_id FROM data_keys WHERE bucket IS NULL AND recording_id > ? ORDER BY 1 LIMIT ?"
        )
        with self._locked():
            return [str(row[0]) for row in self._db.execute(query, (after, limit))]

    def capsule_kids(self) -> set[str]:
        """Return which keys of the archive capsules were made for, as they say; "" for one that says none."""
        with self._locked():
            rows = self._db.execute("SELECT key FROM data_keys WHERE bucket IS NULL").fetchall()
        return {made_for(bytes(row[0]).decode("utf-8", "replace")) for row in rows}

    def scan(self, after: tuple[str, int], limit: int) -> list[tuple[int | None, bytes, str, int]]:
        """Return rows (bucket, key, recording_id, part_no) in the order of recording and part, from behind one on."""
        query = "SELECT bucket, key, recording_id, part_no FROM data_keys WHERE (recording_id, part_no) > (?, ?)"
        with self._locked():
            return self._db.execute(f"{query} ORDER BY recording_id, part_no LIMIT ?", (*after, limit)).fetchall()

    def buckets(self) -> list[Bucket]:
        """Return all buckets."""
        with self._locked():
            rows = self._db.execute(f"SELECT {_BUCKET} FROM buckets ORDER BY id").fetchall()  # noqa: S608 - ours
            return [_bucket_of(row) for row in rows]

    def rows_by_bucket(self) -> dict[int | None, int]:
        """Return how many data keys each bucket has; None stands for capsules."""
        with self._locked():
            return dict(self._db.execute("SELECT bucket, count(*) FROM data_keys GROUP BY bucket").fetchall())

    def bucket_for(self, place: tuple[str, str, str], make: Callable[[], tuple[int, bytes]], now: str) -> Bucket:
        """Return the bucket in use for a (site, retention class, month); make gives (epoch, wrapped) of a new one."""
        with self._locked():
            where = "site = ? AND retention = ? AND month = ? AND NOT retiring"
            query = f"SELECT {_BUCKET} FROM buckets WHERE {where} ORDER BY id DESC LIMIT 1"  # noqa: S608 - ours
            row = self._db.execute(query, place).fetchone()
            if row is None:
                columns = "(site, retention, month, epoch, created, wrapped)"
                values = (*place, *(made := make())[:1], now, made[1])
                self._db.execute(f"INSERT INTO buckets {columns} VALUES (?, ?, ?, ?, ?, ?)", values)  # noqa: S608
                row = self._db.execute(query, place).fetchone()
            return _bucket_of(row)

    def retire_buckets(self, numbers: Collection[int]) -> None:
        """Use buckets no more for what is new; durable on return."""
        with self._locked():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("UPDATE buckets SET retiring = 1 WHERE id = ?", [(n,) for n in numbers])
            self._db.execute("COMMIT")

    def drop_buckets(self, numbers: Collection[int]) -> None:
        """Remove buckets that no row needs, and leave no copy of them or of erased rows in the database's files."""
        with self._locked():
            self._db.execute("BEGIN IMMEDIATE")
            query = (
                "DELETE FROM buckets WHERE id = ? AND NOT EXISTS (SELECT 1 FROM data_keys WHERE bucket = buckets.id)"
            )
            self._db.executemany(query, [(n,) for n in numbers])
            self._db.execute("COMMIT")
            self._db.execute("VACUUM")
            self._empty_log()

    def replace(self, rows: Sequence[Row]) -> None:
        """Put wrapped keys in the place of what rows hold: all or none, durable. Rows that were erased stay erased.

        So does a row as it is whose new bucket has begun to retire since: whoever wrapped it does so again.
        """
        in_use = "EXISTS (SELECT 1 FROM buckets WHERE id = ?1 AND NOT retiring)"
        update = f"UPDATE data_keys SET bucket = ?1, key = ?2 WHERE recording_id = ?3 AND part_no = ?4 AND {in_use}"  # noqa: S608
        with self._locked():
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(update, rows)
            self._db.execute("COMMIT")

    def empty_log(self) -> None:
        """Empty the write-ahead log: what was replaced is in no file any more. StoreError while somebody reads."""
        with self._locked():
            self._empty_log()

    def erase(self, recording_id: str) -> int:
        """Overwrite all keys of a recording, durable on return; return how many there were.

        Raises StoreError when the write-ahead log could not be emptied, because another process
        reads the database: call again, the rows are gone but not yet their last copy.
        """
        return self._erase("recording_id = ?", (recording_id,))

    def erase_all(self, recording_ids: Collection[str]) -> int:
        """Do the same to many recordings, in one transaction."""
        places = ", ".join("?" * len(recording_ids))
        return self._erase(f"recording_id IN ({places})", tuple(recording_ids))

    def erase_parts(self, recording_id: str, part_nos: Collection[int]) -> int:
        """Do the same to some parts of a recording."""
        places = ", ".join("?" * len(part_nos))
        return self._erase(f"recording_id = ? AND part_no IN ({places})", (recording_id, *sorted(part_nos)))

    def parts(self, recording_id: str) -> list[int]:
        """Return the numbers of the parts that have a key."""
        with self._locked():
            query = "SELECT part_no FROM data_keys WHERE recording_id = ? ORDER BY part_no"
            return [int(row[0]) for row in self._db.execute(query, (recording_id,))]

    def recordings(self) -> set[str]:
        """Return the ids of the recordings that have a key."""
        with self._locked():
            return {str(row[0]) for row in self._db.execute("SELECT DISTINCT recording_id FROM data_keys")}

    def count(self) -> int:
        """Return how many keys there are."""
        with self._locked():
            return int(self._db.execute("SELECT count(*) FROM data_keys").fetchone()[0])

    def _erase(self, which: str, values: tuple[str | int, ...]) -> int:
        with self._locked():
            gone = self._db.execute(f"DELETE FROM data_keys WHERE {which}", values).rowcount  # noqa: S608 - ours
            self._empty_log()
        return gone

    def _empty_log(self) -> None:
        if self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            raise StoreError("the log of the key store is still being read", self.path, "erase again")

    def _raw(self, recording_id: str, part_no: int) -> tuple[int | None, bytes] | None:
        query = "SELECT bucket, key FROM data_keys WHERE recording_id = ? AND part_no = ?"
        row = self._db.execute(query, (recording_id, part_no)).fetchone()
        return None if row is None else (row[0], bytes(row[1]))

    def _bucket(self, number: int) -> Bucket:
        row = self._db.execute(f"SELECT {_BUCKET} FROM buckets WHERE id = ?", (number,)).fetchone()  # noqa: S608 - ours
        if row is None:
            raise StoreError(f"the store of keys lacks bucket {number}", self.path, "restore keys.db")
        return _bucket_of(row)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock, self._explaining():
            try:
                yield
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            what = f"the store of keys fails ({error})"
            raise StoreError(what, self.path, "look at the disk; restore keys.db") from error


def _bucket_of(row: tuple[Any, ...]) -> Bucket:
    number, site, retention, month, epoch, created, retiring, wrapped = row
    return Bucket(number, site, retention, month, epoch, created, bool(retiring), bytes(wrapped))
