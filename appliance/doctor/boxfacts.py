"""What a machine says about itself as a recorder: cards, clock, disk, memory, files, certificate. Read, not judged."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from vittne.appliance.api.tls import certificate_end, files_of
from vittne.appliance.backup.standing import warnings
from vittne.appliance.clock.state import ClockState, sample
from vittne.appliance.config import Config
from vittne.appliance.doctor.disk import DiskSpeed, measure
from vittne.appliance.doctor.recorderfacts import RecorderFacts
from vittne.appliance.events.state import DiskState, disk_state
from vittne.appliance.ringsettings import ring_size
from vittne.appliance.seal.keys import KeysMissing
from vittne.appliance.store.catalogue import Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.times import now_us
from vittne.capture.interfaces import Interface, look_up
from vittne.capture.offloads import lost_by_driver, merging_offloads, speed_mbit
from vittne.capture.ringsize import RingSize

_PRIVATE: Final = ("keys", "keys.db", "tls/key.pem", "recordings", "catalogue.db")  # nobody else's, below the data
_MOST_FILES: Final = 16


@dataclass(frozen=True, slots=True)
class Card:
    """An interface. found: None where there is none of this name; ring: what is, or would be, opened on it."""

    name: str
    found: Interface | None
    offloads: tuple[str, ...] = ()
    lost: dict[str, int] = field(default_factory=dict)  # by the driver's own names (ethtool -S), since it came up
    speed_mbit: int | None = None
    ring: RingSize | None = None


@dataclass(frozen=True, slots=True)
class Box:
    """holder: who has the data directory and is no recorder that answers; "": nobody. open_files: that others may read.

    certificate_days: until it ends, None where there is none; is_own: made and renewed here.
    locked_bytes: memory that may be locked, None: as much as there is. lacking: of keys and backups, in words.
    disk_problem: why nothing could be written.
    """

    config: Config
    recorder: RecorderFacts | None = None
    holder: str = ""
    cards: tuple[Card, ...] = ()
    clock: ClockState | None = None
    space: DiskState | None = None
    speed: DiskSpeed | None = None
    disk_problem: str = ""
    open_files: tuple[str, ...] = ()
    certificate_days: float | None = None
    is_own: bool = False
    certificate_problem: str = ""
    locked_bytes: int | None = None
    has_keys: bool = True
    lacking: tuple[str, ...] = ()
    config_file: str = ""


def look_at_box(
    config: Config,
    catalogue: Catalogue | None,
    recorder: RecorderFacts | None,
    holder: str = "",
    file: Path | None = None,
) -> Box:
    """Return what there is to see. Takes a second or two: the disk is tried. file: the configuration's."""
    data = config.data
    names = recorder.interfaces if recorder is not None and recorder.interfaces else config.interfaces
    speed, problem = _speed(data)
    days, is_own, wrong = _certificate(config)
    has_keys, lacking = _keys(config)
    return Box(
        config=config,
        recorder=recorder,
        holder=holder,
        cards=tuple(look_at_card(name, config) for name in names),
        clock=sample(),
        space=disk_state(catalogue, data, now_us()) if catalogue is not None else None,
        speed=speed,
        disk_problem=problem,
        open_files=open_files(data, file),
        certificate_days=days,
        is_own=is_own,
        certificate_problem=wrong,
        locked_bytes=_locked_limit(),
        has_keys=has_keys,
        lacking=lacking,
        config_file=str(file) if file is not None else "",
    )


def look_at_card(name: str, config: Config) -> Card:
    """Return what there is to know of an interface."""
    try:
        found = look_up(name)
    except OSError:  # a sandbox without AF_NETLINK
        found = None
    if found is None:
        return Card(name, None)
    merging = () if found.is_loopback else tuple(merging_offloads(name))
    return Card(name, found, merging, lost_by_driver(name), speed_mbit(name), ring_size(config, name))


def open_files(data: Path, config: Path | None = None) -> tuple[str, ...]:
    """Return what others may read and should not, by path."""
    wanted = [data / name for name in _PRIVATE]
    keys = data / "keys"
    wanted += sorted(path for path in keys.iterdir() if path.suffix != ".pub") if keys.is_dir() else []
    if config is not None and _names_secrets(config):
        wanted.append(config)
    # What lies in a folder that nobody else may enter is nobody else's.
    is_shut = _mode(data) & 0o077 == 0
    found = [str(path) for path in wanted if _mode(path) & 0o077 and (path == config or not is_shut)]
    return tuple(found[:_MOST_FILES])


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _names_secrets(config: Path) -> bool:
    try:
        text = config.read_text(encoding="utf-8", errors="replace").lower()
    except OSError:
        return False
    return any(f"{word} =" in text or f"{word}=" in text for word in ("password", "secret", "secret_key", "token"))


def _speed(data: Path) -> tuple[DiskSpeed | None, str]:
    try:
        return measure(data), ""
    except OSError as error:
        return None, error.strerror or type(error).__name__


def _certificate(config: Config) -> tuple[float | None, bool, str]:
    """Return in how many days it ends, whether it is our own, and what is wrong with it."""
    if not config.api.enabled:
        return None, False, ""
    files = files_of(config.data, config.api)
    if files.names and not files.certificate.exists():
        return None, True, ""  # made at the first start
    try:
        left = certificate_end(files.certificate) - datetime.now(UTC)
    except StoreError as error:
        return None, bool(files.names), str(error)
    return left.total_seconds() / 86_400, bool(files.names), ""


def _keys(config: Config) -> tuple[bool, tuple[str, ...]]:
    try:
        return True, tuple(warnings(config.data, config.backup))
    except KeysMissing:
        return False, ()
    except StoreError as error:
        return True, (str(error),)


def _locked_limit() -> int | None:
    most = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    return None if most == resource.RLIM_INFINITY or os.geteuid() == 0 else most
