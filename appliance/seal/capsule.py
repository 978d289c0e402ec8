"""Capsules: data keys sealed for the archive key, and the database that keeps them.

A capsule is a compact JWE (RFC 7516): ECDH-ES+A256KW on P-256, A256GCM. Anybody who has the
public key can make one. Its payload is JSON and says which recording and part the key is
for, so that a row put in another's place is refused:

    {"v":1,"recording":"<uuid>","part":0,"key":"<base64url of 32 bytes>"}
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import stat
import threading
from collections.abc import Collection, Sequence
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
        raise CapsuleRefused(f"the archive key does not open this capsule{_made_for(capsule, kid)}") from error
    return _key_in(opened.plaintext or b"", recording_id, part_no)


def _made_for(capsule: str, kid: str) -> str:
    """Say for which other key a capsule was made, as far as that can be read."""
    try:
        head = capsule.partition(".")[0]
        named = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    except (ValueError, KeyError, TypeError):
        return ""
    if named == kid or not isinstance(named, str):
        return ""
    return f": it was made for {named[:64]!r}, this is {kid!r}"


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
CREATE TABLE IF NOT EXISTS capsules (
    recording_id TEXT NOT NULL,
    part_no INTEGER NOT NULL,
    capsule TEXT NOT NULL,
    PRIMARY KEY (recording_id, part_no)
) WITHOUT ROWID
"""


class KeyStore:
    """Capsules in DIR/keys.db, apart from the files they open. Raises StoreError.

    May be used from any thread, one at a time. Erasing a row overwrites it in the database and
    empties the write-ahead log; copies that the disk or a backup kept end at the next key epoch.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the database; 0600."""
        self.path = path
        self._lock = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError as error:
            raise explain(error, "open the store of keys", path) from error
        if mode & 0o077:
            raise StoreError(f"mode {mode:04o} lets others in", path, "chmod 0600 it; who read it?")
        try:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "trusted_schema=OFF"):
                self._db.execute(f"PRAGMA {pragma}").fetchall()
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            self._db.close()

    def put(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """Keep (recording_id, part_no, capsule) rows: all or none, durable on return.

        The same row again is no error. Another capsule for a part that has one is (KeyTaken): the first
        may be the only way to what is already written.
        """
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany("INSERT INTO capsules VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows)
                clash = next((row for row in rows if self._get(row[0], row[1]) != row[2]), None)
                self._db.execute("ROLLBACK" if clash else "COMMIT")
            except sqlite3.Error as error:
                self._back_out()
                raise self._explained(error) from error
        if clash:
            raise KeyTaken(f"part {clash[1]} of {clash[0]} has another key already", self.path, "use a new part")

    def get(self, recording_id: str, part_no: int) -> str | None:
        """Return a part's capsule; None when there is none, or none any more."""
        with self._lock:
            try:
                return self._get(recording_id, part_no)
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def erase(self, recording_id: str) -> int:
        """Overwrite all capsules of a recording, durable on return; return how many there were.

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
        """Return the numbers of the parts that have a capsule."""
        with self._lock:
            try:
                query = "SELECT part_no FROM capsules WHERE recording_id = ? ORDER BY part_no"
                return [int(row[0]) for row in self._db.execute(query, (recording_id,))]
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def _erase(self, which: str, values: tuple[str | int, ...]) -> int:
        with self._lock:
            try:
                gone = self._db.execute(f"DELETE FROM capsules WHERE {which}", values).rowcount  # noqa: S608 - ours
                busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                raise self._explained(error) from error
        if busy:
            raise StoreError("the log of the key store is still being read", self.path, "erase again")
        return gone

    def recordings(self) -> set[str]:
        """Return the ids of the recordings that have a capsule."""
        with self._lock:
            try:
                return {str(row[0]) for row in self._db.execute("SELECT DISTINCT recording_id FROM capsules")}
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def count(self) -> int:
        """Return how many capsules there are."""
        with self._lock:
            try:
                return int(self._db.execute("SELECT count(*) FROM capsules").fetchone()[0])
            except sqlite3.Error as error:
                raise self._explained(error) from error

    def _get(self, recording_id: str, part_no: int) -> str | None:
        where = (recording_id, part_no)
        row = self._db.execute("SELECT capsule FROM capsules WHERE recording_id = ? AND part_no = ?", where).fetchone()
        return None if row is None else str(row[0])

    def _back_out(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _explained(self, error: sqlite3.Error) -> StoreError:
        return StoreError(f"the store of keys fails ({error})", self.path, "look at the disk; restore keys.db")
