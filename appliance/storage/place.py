"""A target as one archive uses it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vittne.appliance.seal.verifykey import VerifyKey
from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.storage.target import Target


@dataclass(frozen=True, slots=True)
class Place:
    """A target as one archive uses it. box: that archive's folder there."""

    target: Target
    box: str
    data_dir: Path
    key: VerifyKey

    @property
    def name(self) -> str:
        """What the target is called."""
        return self.target.settings.name

    def key_of(self, place: str, file: str = "") -> str:
        """Return the key of a file of a recording."""
        return f"{self.box}/{place}/{file}"


def open_target(settings: StorageTarget, data_dir: Path) -> Target:
    """Return a target, not looked at yet. Raises StoreError (credentials, certificates)."""
    if settings.path is not None:
        from vittne.appliance.storage.pathtarget import PathTarget  # noqa: PLC0415 - only the kind that is used

        return PathTarget(settings, data_dir)
    from vittne.appliance.storage.s3target import S3Target  # noqa: PLC0415

    return S3Target(settings)
