"""What opens data keys: an archive that is unlocked, or somebody who has the keys of one recording and no others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from vittne.appliance.seal.capsule import CapsuleRefused, Kept


class Opener(Protocol):
    """A vault (keyring/vault.py), or less."""

    def data_key(self, kept: Kept, recording_id: str, part_no: int) -> bytes:
        """Return a data key, 32 bytes. Raises CapsuleRefused, StoreError."""
        ...


class Locked:
    """Opens nothing, whatever could be opened here: somebody locked the archive, or nobody unlocked it. why: words."""

    def __init__(self, why: str) -> None:
        self.why = why

    def data_key(self, kept: Kept, recording_id: str, part_no: int) -> bytes:
        """Raise CapsuleRefused."""
        del kept, recording_id, part_no
        raise CapsuleRefused(self.why)


class GivenKeys:
    """Keys of a recording's parts that were opened elsewhere."""

    def __init__(self, recording_id: str, keys: Mapping[int, bytes]) -> None:
        self._recording_id = recording_id
        self._keys = dict(keys)

    def data_key(self, kept: Kept, recording_id: str, part_no: int) -> bytes:
        """Return a data key. Raises CapsuleRefused: it was not given."""
        del kept
        if recording_id != self._recording_id or part_no not in self._keys:
            raise CapsuleRefused(f"the key of part {part_no} was not given")
        return self._keys[part_no]
