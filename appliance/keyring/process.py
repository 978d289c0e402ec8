"""The key process: alone holds root and private key in memory, and opens one data key at a time for its parent.

    python -m vittne.appliance.keyring.process FD

FD is a socket to the parent (messages.py). It opens no file of the data directory. When the parent goes, it goes.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from vittne.appliance.keyring import harden, messages
from vittne.appliance.keyring.envelope import decoded, encoded
from vittne.appliance.keyring.errors import KeysLocked
from vittne.appliance.keyring.providers import unseal
from vittne.appliance.keyring.ring import parse_ring
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.keyring.wrapping import WrongKey
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.store.errors import StoreError

Request = dict[str, Any]
Answer = dict[str, Any]

_LOCKED: Final = "the archive's keys are locked"


class KeyHolder:
    """Answers requests; holds a vault while it is unlocked."""

    def __init__(self, state: Answer) -> None:
        """state: what harden could do, for status."""
        self._state = state
        self._vault: Vault | None = None
        self._served = 0
        self._can: Final[dict[str, Callable[[Request], Answer]]] = {
            "unlock": self._unlock,
            "lock": self._lock,
            "take": self._take,
            "status": self._status,
            "data_key": self._data_key,
            "new_bucket": self._new_bucket,
            "adopt": self._adopt,
        }

    def answer(self, request: Request) -> Answer:
        """Do what is asked; an error that was expected is an answer as well."""
        try:
            return {"ok": self._can[request["do"]](request)}
        except (CapsuleRefused, WrongKey) as error:
            return {"refused": str(error)}
        except StoreError as error:
            return {"error": messages.error_to_json(error)}

    def _unlock(self, request: Request) -> Answer:
        ring = parse_ring(request["ring"].encode(), request["where"])
        secret = None if request["secret"] is None else decoded(request["secret"])
        root = unseal(ring.root.envelope, ring.root.id, secret, request["where"])
        self._vault = Vault.open(ring, root)
        return {"root": ring.root.id, "provider": ring.provider}

    def _lock(self, _: Request) -> Answer:
        was_open = self._vault is not None
        self._vault = None
        gc.collect()
        return {"was_open": was_open}

    def _take(self, request: Request) -> Answer:
        """Go on with another ring under the same root. KeysMismatch when the root is another one too."""
        self._open().take(parse_ring(request["ring"].encode(), request["where"]))
        return {}

    def _status(self, _: Request) -> Answer:
        ring = self._vault.ring if self._vault is not None else None
        told: Answer = {}
        if ring is not None:
            told = {"root": ring.root.id, "provider": ring.provider, "epoch": ring.epoch.number, "ring": ring.mac}
        return {"unlocked": ring is not None, "served": self._served, **told, **self._state}

    def _data_key(self, request: Request) -> Answer:
        kept = messages.kept_from_json(request["kept"])
        key = self._open().data_key(kept, request["rec"], request["part"])
        self._served += 1
        return {"key": encoded(key)}

    def _new_bucket(self, _: Request) -> Answer:
        epoch, wrapped = self._open().new_bucket()
        return {"epoch": epoch, "wrapped": encoded(wrapped)}

    def _adopt(self, request: Request) -> Answer:
        rows = [(one["part"], messages.kept_from_json(one["kept"])) for one in request["rows"]]
        adopted = self._open().adopt(request["rec"], rows, messages.bucket_from_json(request["bucket"]))
        return {"rows": [[n, encoded(key)] for _, key, _, n in adopted]}

    def _open(self) -> Vault:
        if self._vault is None:
            raise KeysLocked(_LOCKED, "vittne-keys", "vittne keys unlock")
        return self._vault


def serve(channel: socket.socket, holder: KeyHolder) -> None:
    """Answer one request after the other until the other side is gone."""
    stream = channel.makefile("rb")
    while head := stream.read(messages.LENGTH_BYTES):
        body = stream.read(messages.length_of(head))
        if not body:
            return
        try:
            channel.sendall(messages.pack(holder.answer(json.loads(body))))
        except BrokenPipeError:
            return


def main(fd: int) -> int:
    """Harden this process, then serve the parent at the other end of a socket."""
    channel = socket.socket(fileno=fd)
    is_locked = harden.lock_memory()
    user = harden.drop_privileges()
    # Only now: changing the user sets both back.
    harden.follow_parent()
    harden.keep_to_ourselves()
    serve(channel, KeyHolder({"memory_locked": is_locked, "user": user}))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
