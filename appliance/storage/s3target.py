"""An S3-compatible store. Source: the Amazon S3 API reference; retention and holds: its "Object Lock" chapters.

botocore, since obstore knows neither Object Lock nor versions: with a lock, a removed object is one of which every
version was removed. Nothing is taken from the environment or from ~/.aws, and no proxy is used: it speaks with the
endpoint that is configured, and with nobody else.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from vittne.appliance.storage.s3client import s3_client
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.target import CHUNK, CopyFailed, Listed, Lock, LockMissing, NotThere, Spent, TargetAway
from vittne.appliance.store.files import open_plain

T = TypeVar("T")

SINGLE_LIMIT: Final = 5 << 30  # bytes of one PUT; a part of 24 hours in G.711 has a fifth of it
_GONE: Final = ("404", "NoSuchKey", "NotFound", "NoSuchVersion")
_NO_VERSIONS: Final = ("NotImplemented", "MethodNotAllowed", "501", "405")
_NO_LOCK: Final = ("ObjectLockConfigurationNotFoundError", "NotImplemented", "InvalidRequest", "404", "501")
_REFUSED: Final = {
    "AccessDenied": "its policy must let this access key write, read, list, lock and delete below the prefix",
    "InvalidAccessKeyId": "put the right access key into credentials_file",
    "SignatureDoesNotMatch": "put the right access key into credentials_file",
    "NoSuchBucket": "make the bucket, or mend its name",
    "RequestTimeTooSkewed": "this machine's clock is wrong: `vittne clock`",
    "PermanentRedirect": "the bucket is in another region: mend region and endpoint",
    "AuthorizationHeaderMalformed": "the bucket is in another region: mend region",
}


class S3Target:
    """Objects in a bucket, below the prefix."""

    def __init__(self, settings: StorageTarget) -> None:
        assert settings.bucket is not None
        self.settings = settings
        self._bucket = settings.bucket
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._client = s3_client(settings)
        self._has_versions = True

    def promise(self) -> None:
        """See that the bucket answers, and has Object Lock where that is promised."""
        self._ask(lambda: self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1))
        if self.settings.lock == "none":
            return
        try:
            found = self._client.get_object_lock_configuration(Bucket=self._bucket)
            enabled = found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
        except ClientError as error:
            if _code(error) not in _NO_LOCK:
                raise self._explained(error) from error
            enabled = False
        except BotoCoreError as error:
            raise self._explained(error) from error
        if not enabled:
            what = "it promises Object Lock and the bucket has none"
            raise LockMissing(what, self.settings.name, 'make a bucket with Object Lock, or set lock = "none"')

    def put(self, key: str, path: Path, sha256: str, lock: Lock, spent: Spent) -> None:
        """Write an object with its lock. The store is told its hash, and refuses what comes otherwise (if it looks)."""
        size = path.stat().st_size
        if size > SINGLE_LIMIT:
            raise CopyFailed("a part has more than 5 GiB, too much for one request", path, "set part_minutes lower")
        more: dict[str, Any] = {}
        if self._locks and lock.until_us is not None:
            more["ObjectLockMode"] = self.settings.lock.upper()
            more["ObjectLockRetainUntilDate"] = _time(lock.until_us)
        if self._locks and lock.held:
            more["ObjectLockLegalHoldStatus"] = "ON"
        with open_plain(path) as stream:
            body = _Paced(stream, spent)
            self._ask(
                lambda: self._client.put_object(
                    Bucket=self._bucket,
                    Key=self._prefix + key,
                    Body=body,
                    ContentLength=size,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(sha256)).decode(),
                    ContentType="application/octet-stream",
                    **more,
                ),
                key,
            )

    def stands(self, key: str, sha256: str, size: int) -> bool:
        """Say whether the store says that it has an object with this hash."""
        try:
            name = self._prefix + key
            found = self._ask(
                lambda: self._client.head_object(Bucket=self._bucket, Key=name, ChecksumMode="ENABLED"), key
            )
        except NotThere:
            return False
        told = base64.b64encode(bytes.fromhex(sha256)).decode()
        return bool(found.get("ChecksumSHA256") == told and found.get("ContentLength") == size)

    def read(self, key: str) -> Iterator[bytes]:
        """Yield an object's bytes."""
        found = self._ask(lambda: self._client.get_object(Bucket=self._bucket, Key=self._prefix + key), key)
        body = found["Body"]
        try:
            while chunk := self._ask(lambda: body.read(CHUNK), key):
                yield chunk
        finally:
            body.close()

    def files(self, under: str) -> Iterator[Listed]:
        """Yield the objects whose keys begin so."""
        asked: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + under}
        while True:
            found = self._ask(lambda: self._client.list_objects_v2(**asked))
            for one in found.get("Contents", ()):
                yield Listed(str(one["Key"]).removeprefix(self._prefix), int(one["Size"]))
            if not found.get("IsTruncated"):
                return
            asked["ContinuationToken"] = found["NextContinuationToken"]

    def relock(self, key: str, lock: Lock) -> None:
        """Lengthen the retention, and set or clear the legal hold."""
        if not self._locks:
            return
        where = {"Bucket": self._bucket, "Key": self._prefix + key}
        status = {"Status": "ON" if lock.held else "OFF"}
        self._ask(lambda: self._client.put_object_legal_hold(**where, LegalHold=status), key)
        if lock.until_us is not None and lock.until_us > self.kept_until(key, ""):
            kept = {"Mode": self.settings.lock.upper(), "RetainUntilDate": _time(lock.until_us)}
            self._ask(lambda: self._client.put_object_retention(**where, Retention=kept), key)

    def remove(self, key: str) -> int | None:
        """Remove every version of an object; the latest time at which a lock of one ends."""
        until: int | None = None
        for version in self._versions(key):
            where = {"Bucket": self._bucket, "Key": self._prefix + key, **({"VersionId": version} if version else {})}
            try:
                if self._locks:  # whatever lay on it was let go of before it was erased; markers have none
                    with suppress(ClientError):
                        self._client.put_object_legal_hold(**where, LegalHold={"Status": "OFF"})
                self._client.delete_object(**where)
            except ClientError as error:
                if _code(error) in _GONE:
                    continue
                kept = self.kept_until(key, version)
                if not kept:
                    # Copying goes on where deleting is not allowed: it is tried again, and told.
                    words = f"it does not let it be removed ({_code(error)})"
                    next_step = "let this access key delete versions below the prefix"
                    raise CopyFailed(words, f"{self.settings.name}: {key}", next_step) from error
                until = max(until or 0, kept)
            except BotoCoreError as error:
                raise self._explained(error, key) from error
        return until

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def kept_until(self, key: str, version: str) -> int:
        """Return until when, in us, an object's retention keeps it; 0 when it has none."""
        more = {"VersionId": version} if version else {}
        with suppress(ClientError):
            found = self._client.head_object(Bucket=self._bucket, Key=self._prefix + key, **more)
            until = found.get("ObjectLockRetainUntilDate")
            return int(until.timestamp()) * 1_000_000 if until is not None else 0
        return 0

    @property
    def _locks(self) -> bool:
        return self.settings.lock != "none"

    def _versions(self, key: str) -> list[str]:
        """Return the ids of all versions of an object; one empty id where the store has no versions."""
        name = self._prefix + key
        if self._has_versions:
            try:
                found = self._client.list_object_versions(Bucket=self._bucket, Prefix=name)
                rows = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
                return [str(row["VersionId"]) for row in rows if row["Key"] == name]
            except ClientError as error:
                if _code(error) not in _NO_VERSIONS:
                    raise self._explained(error, key) from error
                self._has_versions = False
            except BotoCoreError as error:
                raise self._explained(error, key) from error
        return [""]

    def _ask(self, question: Callable[[], T], key: str = "") -> T:
        try:
            return question()
        except (ClientError, BotoCoreError, OSError) as error:
            raise self._explained(error, key) from error

    def _explained(self, error: Exception, key: str = "") -> TargetAway | CopyFailed:
        name = self.settings.name
        if not isinstance(error, ClientError):
            words = _printable(str(error) or type(error).__name__)
            return TargetAway(f"it cannot be reached ({words})", name, f"is {self.settings.endpoint} there?")
        code = _code(error)
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        words = _printable(f"{code} {error.response.get('Error', {}).get('Message', '')}".strip())
        if code in _GONE and key:
            return NotThere("the copy is not there", f"{name}: {key}", "`vittne storage check` says more")
        if code in _REFUSED or status in (401, 403):
            return TargetAway(
                f"it refuses us ({words})", name, _REFUSED.get(code, "see what it allows this access key")
            )
        if status >= 500 or status == 429 or not key:
            return TargetAway(f"it fails ({words})", name, "ask who runs it")
        return CopyFailed(f"it does not take this ({words})", f"{name}: {key}", "`vittne storage check` says more")


class _Paced:
    """A file to send, whose reading is paced. botocore goes back to its begin when it tries again."""

    def __init__(self, stream: BinaryIO, spent: Spent) -> None:
        self._stream = stream
        self._spent = spent

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._spent(len(data))
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _time(at_us: int) -> datetime:
    # Whole seconds, upwards: a lock must not end before the class says so.
    return datetime.fromtimestamp(-(-at_us // 1_000_000), UTC)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "·" for letter in text[:200])
