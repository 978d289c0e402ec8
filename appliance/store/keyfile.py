"""Keys of 32 bytes that lie in files of their own beneath DIR/keys: made once, read ever after, never overwritten."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import sync_path

KEY_BYTES: Final = 32


class KeyGone(StoreError):
    """The file of a key is not there, or holds none."""


class KeyFile(NamedTuple):
    """One such key."""

    path: Path
    what: str  # completes "this is not ...": "the key of webhooks' secrets"
    remedy: str  # what to do when it is gone or another thing

    def read(self) -> bytes:
        """Return the key. Raises KeyGone, StoreError."""
        try:
            key = self.path.read_bytes()
        except FileNotFoundError:
            raise KeyGone(f"{self.what} is gone", self.path, self.remedy) from None
        except OSError as error:
            raise explain(error, f"read {self.what}", self.path) from error
        if len(key) != KEY_BYTES:
            raise KeyGone(f"this is not {self.what}", self.path, self.remedy)
        return key

    def read_or_make(self) -> bytes:
        """Return the key, made where there is no file yet. Raises KeyGone, StoreError."""
        if not self.path.exists():
            self._put_new()
        return self.read()

    def _put_new(self) -> None:
        """Put a new key there, whole and durable; where somebody else was first, theirs stays."""
        half = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        try:
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
                stream.write(secrets.token_bytes(KEY_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
            try:
                os.link(half, self.path)  # fails where there is one, as rename does not
            except FileExistsError:
                pass
            finally:
                half.unlink()
        except OSError as error:
            raise explain(error, f"write {self.what}", self.path) from error
        sync_path(self.path.parent)
