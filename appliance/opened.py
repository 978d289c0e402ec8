"""A recording's parts, decrypted: a row of groups that can be read again and again in bounded memory.

Works on a finished recording and on one that is still being written (its folder is hidden): then what is
there so far is read.
"""

from __future__ import annotations

import json
import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from vittne.appliance.seal.keys import CapsuleRefused, open_keys
from vittne.appliance.seal.manifest import MANIFEST_FILE, MANIFEST_LIMIT
from vittne.appliance.seal.part import PartDamaged, PartReader
from vittne.appliance.seal.records import Columns, RecordsDamaged, columns
from vittne.appliance.storage.known import KNOWN_FILE
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import checked_id, open_plain, recording_of

if TYPE_CHECKING:
    from vittne.appliance.keyring.opening import OpenKeys

Advance = Callable[[int, int], None]  # bytes read, bytes in all

_CACHE_BYTES: Final = 32 << 20
_PART_NAME: Final = re.compile(r"part-(\d{1,6})\.floe")


class NotPlayable(StoreError):
    """A recording that cannot be opened."""


@dataclass(frozen=True, slots=True)
class Group:
    """Where a group is."""

    part: int  # index into the readers, not the part's number
    number: int  # in its part
    offset: int


class OpenedRecording:
    """All groups of a recording, in order. problems: what could not be read, in words."""

    def __init__(self, folder: Path, keys: dict[int, bytes]) -> None:
        """keys: the data key of each part by its number, in the order in which parts are read."""
        self.id = recording_of(folder)
        self.is_live = folder.name.startswith(".")
        self.problems: list[str] = []
        self._numbers = list(keys)
        self._readers: list[PartReader] = []
        self._groups: list[Group] = []
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._cached = 0
        try:
            for n in self._numbers:
                # Whether END is missing is looked at here: a cut part is heard up to its cut.
                path = folder / f"part-{n}.floe"
                self._readers.append(PartReader(path, self.id, n, keys[n], finished=False))
        except StoreError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files."""
        for reader in self._readers:
            reader.close()

    def read(self, advance: Advance | None = None) -> Iterator[tuple[int, bytes, Columns]]:
        """Yield (number, plaintext, its records as columns) of every group, once, from the start.

        The number is what plaintext() takes. A damaged part is read up to its damage, which is
        noted in `problems`; authentication makes sure that nothing behind it slips in.
        """
        self._groups.clear()
        sizes = [reader.path.stat().st_size for reader in self._readers]
        done = 0
        for index, reader in enumerate(self._readers):
            offsets = reader.index()
            try:
                for number, plain in enumerate(reader.groups()):
                    rows = columns(plain)
                    if number == len(offsets):  # written since
                        offsets = reader.index()
                    self._groups.append(Group(index, number, offsets[number]))
                    yield len(self._groups) - 1, plain, rows
                    if advance is not None:
                        advance(done + offsets[number], sum(sizes))
            except (PartDamaged, RecordsDamaged) as error:
                # The last group of a live recording may be half written at this moment.
                if not self.is_live or index < len(self._readers) - 1:
                    name = f"part {self._numbers[index]}"
                    self.problems.append(f"{name} can only be read in part ({error}); `vittne verify` says more")
            done += sizes[index]
            if advance is not None:
                advance(done, sum(sizes))

    def last_groups(self, count: int) -> Iterator[tuple[bytes, Columns]]:
        """Yield (plaintext, its records) of the last groups of the last part, the very last one first."""
        reader = self._readers[-1]
        offsets = reader.index()
        for number in reversed(range(max(0, len(offsets) - count), len(offsets))):
            try:
                plain = next(reader.groups(number, offsets[number]))
                yield plain, columns(plain)
            except (PartDamaged, RecordsDamaged) as error:
                raise NotPlayable(str(error), self.id, "`vittne verify` says more") from error

    def part_of(self, number: int) -> int:
        """Return the number of the part that a group is in, once read() gave it."""
        return self._numbers[self._groups[number].part]

    def plaintext(self, number: int) -> bytes:
        """Return a group's records again; the last few are kept in memory."""
        plain = self._cache.get(number)
        if plain is not None:
            self._cache.move_to_end(number)
            return plain
        group = self._groups[number]
        plain = next(self._readers[group.part].groups(group.number, group.offset))
        self._cache[number] = plain
        self._cached += len(plain)
        while self._cached > _CACHE_BYTES and len(self._cache) > 1:
            self._cached -= len(self._cache.popitem(last=False)[1])
        return plain


def open_recording(data_dir: Path, folder: str, recording_id: str) -> OpenedRecording:
    """Open a recording: the archive is unlocked in this process for a moment.

    folder: as the catalogue has it, below the data directory. Raises StoreError: no recording,
    KeysLocked, KeysMissing, KeysExposed, a capsule that is gone or not ours. What is kept elsewhere is brought back:
    that may take as long as the network does.
    """
    found = folder_of(data_dir, folder, checked_id(recording_id))
    bring_back_missing(data_dir, found)
    return OpenedRecording(found, data_keys(data_dir, found))


def bring_back_missing(data_dir: Path, folder: Path) -> None:
    """Have all parts of a finished recording here. Raises StoreError when they are elsewhere, and that is away."""
    if not (data_dir / KNOWN_FILE).exists():
        return  # no storage target was ever configured
    from vittne.appliance.storage.fetching import bring_back  # noqa: PLC0415 - only where something may be elsewhere

    bring_back(data_dir, folder)


def parts_of(folder: Path) -> list[int]:
    """Return the numbers of the parts in a recording's folder, in the order in which they are read.

    Raises StoreError: there are none.
    """
    numbers = part_numbers(folder)
    if not numbers:
        raise NotPlayable("nothing is in the recording yet", folder, "try again in a moment")
    return numbers


def data_keys(data_dir: Path, folder: Path) -> dict[int, bytes]:
    """Return the data key of each part in a recording's folder, in the order in which parts are read.

    Raises StoreError, as open_recording does.
    """
    recording_id, numbers = recording_of(folder), parts_of(folder)
    with open_keys(data_dir) as keys:
        return {n: _data_key(keys, recording_id, n) for n in numbers}


def folder_of(data_dir: Path, folder: str, recording_id: str) -> Path:
    """Return where a recording is now. folder: as the catalogue has it. Raises NotPlayable."""
    if not folder:
        raise NotPlayable("nothing was recorded of this call", recording_id, "`vittne show` says why")
    path = data_dir / folder
    # Finished since the catalogue was asked, or not yet entered there.
    for candidate in (path, path.with_name(recording_id), path.with_name(f".{recording_id}")):
        if candidate.is_dir():
            return candidate
    raise NotPlayable("the recording is not on the disk", path, "`vittne verify` says whether it was removed")


def part_numbers(folder: Path) -> list[int]:
    """Return the numbers of the parts that are there, in the order of the manifest: a cut one is in its old place."""
    try:
        found = [_PART_NAME.fullmatch(name) for name in os.listdir(folder)]
    except OSError as error:
        raise explain(error, "read a recording", folder) from error
    numbers = sorted(int(name[1]) for name in found if name)
    order = {n: place for place, n in enumerate(_order(folder))}
    return sorted(numbers, key=lambda n: order.get(n, len(order)))


def _order(folder: Path) -> list[int]:
    """Return the numbers of parts as the manifest lists them; nothing while there is none, or where it is damaged."""
    try:
        with open_plain(folder / MANIFEST_FILE) as stream:
            return [int(part["n"]) for part in json.loads(stream.read(MANIFEST_LIMIT))["parts"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _data_key(keys: OpenKeys, recording_id: str, part_no: int) -> bytes:
    try:
        return keys.data_key(recording_id, part_no)
    except CapsuleRefused as error:
        raise NotPlayable(str(error), recording_id, "use the keys that it was sealed for") from error
