"""Verification: of one recording, and of the whole data directory with what lies around the recordings.

A recording that was removed, smuggled in, exchanged, put back in an older version or altered in one bit is
noticed, as long as the ledger's key (DIR/keys/ledger.vkey) is the true one: keep a copy of that line
elsewhere and give it as `trusted`. Who has the private key, or puts back ledger, keys and recordings together as
they were before, is not noticed here: that takes checkpoints kept elsewhere (witness/).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from vittne.appliance.seal.keys import KeysLocked, KeysMissing, KeyStore, unlock
from vittne.appliance.seal.opener import Locked
from vittne.appliance.seal.recording_checks import Archive, check_erased, check_recording
from vittne.appliance.seal.scan import Scan
from vittne.appliance.seal.signing import VerifyKey, read_verifier
from vittne.appliance.seal.spilled import Spill, Spilled, SpilledHistory, read_spilled
from vittne.appliance.seal.succession import following
from vittne.appliance.seal.tiles import LedgerDamaged
from vittne.appliance.seal.verdict import Check, Verdict, fails, holds, unchecked
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store, is_id, recording_of

if TYPE_CHECKING:
    from vittne.appliance.seal.opener import Opener

ARCHIVE = "archive"
_TOGETHER = 500
_SHOWN = 3  # ids named in a sentence; the count is always given

# Has the parts of a recording's folder there meanwhile; gives why it cannot, "" when they are.
AtHand = Callable[[Path, Path], AbstractContextManager[str]]
Progress = Callable[[int, int], None]  # bytes looked at, bytes in all


@contextmanager
def all_here(_: Path, __: Path) -> Iterator[str]:
    """Take what is in a folder for all there is."""
    yield ""


def verify(
    data_dir: Path,
    recording_id: str,
    trusted: VerifyKey | None = None,
    progress: Progress | None = None,
    at_hand: AtHand = all_here,
    opener: Opener | None = None,
) -> Verdict:
    """Verify one recording by its id. StoreError when the directory or its public key cannot be read.

    at_hand: has a folder's parts there meanwhile, where they are kept elsewhere. opener: opens what is in it; None:
    the archive is unlocked here, if that needs nobody's passphrase.
    """
    with _Verifier(data_dir, trusted, progress, at_hand, opener) as verifier:
        return verifier.recording(recording_id)


def verify_all(
    data_dir: Path,
    trusted: VerifyKey | None = None,
    progress: Progress | None = None,
    at_hand: AtHand = all_here,
) -> Iterator[Verdict]:
    """Yield a verdict for each recording as it is reached, and last the one about the archive as a whole.

    May run while calls are recorded. Raises StoreError as verify does.
    """
    with _Verifier(data_dir, trusted, progress, at_hand) as verifier:
        yield from verifier.everything()


@dataclass(slots=True)
class _Meter:
    """Adds up bytes for a progress bar."""

    tell: Progress | None
    total: int = 0
    done: int = 0

    def advance(self, size: int) -> None:
        self.done += size
        if self.tell is not None:
            self.tell(min(self.done, self.total), self.total)


class _Verifier:
    def __init__(
        self,
        data_dir: Path,
        trusted: VerifyKey | None,
        progress: Progress | None,
        at_hand: AtHand = all_here,
        opener: Opener | None = None,
    ) -> None:
        self._at_hand = at_hand
        self._store = Store(data_dir, create=False)
        # Folders first, ledger after: a folder has its name only once its entry is signed.
        self._spill = Spill()  # what is known of each recording: there may be millions
        self._finished: Spilled[Path] = Spilled(self._spill, lambda some: Path(some[-1]))
        for folder in self._store.finished():
            self._finished.add(folder.name, str(folder), only_last=True)
        self._hidden = {recording_of(folder): folder for folder in self._store.unfinished()}
        self._around: list[Check] = []
        key = read_verifier(data_dir / "keys") if trusted is None else trusted
        with suppress(LedgerDamaged):  # the check of the ledger says it
            key = following(data_dir / "ledger", key)
        self._history = self._read_ledger(data_dir / "ledger", key)
        archive_key, why_no_key = opener, ""
        if isinstance(opener, Locked):
            archive_key, why_no_key = None, opener.why
        elif opener is None:
            archive_key, why_no_key = self._open_archive_key(data_dir)
        self._archive = Archive(
            data_dir,
            key,
            self._history,
            self._open_key_store(data_dir / "keys.db"),
            archive_key,
            why_no_key,
            self._open_catalogue(data_dir / CATALOGUE_FILE),
        )
        self._meter = _Meter(progress)

    def __enter__(self) -> _Verifier:
        return self

    def __exit__(self, *error: object) -> None:
        self._store.close()
        self._spill.close()
        if self._archive.key_store is not None:
            self._archive.key_store.close()
        if self._archive.catalogue is not None:
            self._archive.catalogue.close()

    def recording(self, recording_id: str) -> Verdict:
        """Return the verdict about one recording, wherever it is, or is not."""
        folder = self._folder(recording_id) if is_id(recording_id) else None
        if folder is None and self._history is not None and recording_id in self._history.erasures:
            return Verdict(recording_id, tuple(check_erased(self._archive, recording_id)))
        if folder is None:
            return Verdict(recording_id, (self._absent(recording_id),))
        with self._at_hand(self._archive.data_dir, folder) as elsewhere:
            self._meter.total += self._work([folder])
            checks = tuple(check_recording(self._archive, folder, self._meter.advance, elsewhere))
        return Verdict(recording_id, checks)

    def everything(self) -> Iterator[Verdict]:
        """Yield the verdicts about all recordings, then the one about the archive."""
        self._meter.total = self._work(self._folders())
        for folder in self._folders():
            # The recorder may have given it its name in the meantime.
            found = folder if folder.exists() else self._store.find(recording_of(folder)) or folder
            with self._at_hand(self._archive.data_dir, found) as elsewhere:
                checks = tuple(check_recording(self._archive, found, self._meter.advance, elsewhere))
            yield Verdict(recording_of(folder), checks)
        yield Verdict(ARCHIVE, (*self._around, *self._archive_checks()))

    def _folders(self) -> Iterator[Path]:
        for name, folder in self._finished.items():
            if is_id(name):
                yield folder
        for name, folder in self._hidden.items():
            if self._history is not None and name in self._history.seals:
                yield folder

    def _archive_checks(self) -> Iterator[Check]:
        strangers = [name for name in self._finished if not is_id(name)]
        if strangers:
            yield fails("folders", f"{_named(strangers)} between the recordings: these are not ours")
        if self._history is not None:
            yield self._removed(self._history)
            yield self._smuggled(self._history)
            yield self._lost(self._history)
            yield self._erased(self._history)
            if self._archive.catalogue is not None:
                yield self._unknown_rows(self._archive.catalogue, self._history)

    def _removed(self, history: SpilledHistory) -> Check:
        gone = [name for name in history.seals if name not in history.erased and self._folder(name) is None]
        if gone:
            return fails("removed", f"{_named(gone)} in the ledger, but not on the disk: removed, or a disk is missing")
        return holds("removed", f"all {len(history.seals)} sealed recordings are there or were erased by entry")

    def _smuggled(self, history: SpilledHistory) -> Check:
        foreign = [name for name in self._finished if is_id(name) and name not in history.seals]
        if foreign:
            return fails("smuggled", f"{_named(foreign)} on the disk, but not in the ledger: put in by somebody")
        return holds("smuggled", "no recording lies here that the ledger does not know")

    def _lost(self, history: SpilledHistory) -> Check:
        ended = (history.seals, history.discarded, history.erased)
        going = (name for name in history.opened if not any(name in one for one in ended))
        lost = [name for name in going if self._folder(name) is None]
        if lost:
            return fails("begun", f"{_named(lost)} begun and never finished, and nothing is on the disk: removed")
        going_on = sum(name not in history.seals for name in self._hidden)
        words = f"; {going_on} are being written, or wait for the next start" if going_on else ""
        return holds("begun", f"whatever was begun was finished, discarded or is on the disk{words}")

    def _erased(self, history: SpilledHistory) -> Check:
        """Look for keys and names of what was erased; folders that are left were looked at one by one."""
        if self._archive.key_store is None:
            return unchecked("erased", "there is no key store (keys.db) here")
        try:
            back = [name for name in history.erasures if self._archive.key_store.parts(name)]
            catalogue = self._archive.catalogue
            for some in batched(history.erasures):
                rows = [] if catalogue is None else catalogue.get_all(some)
                back += [row.id for row in rows if row.erased_us is None]
        except StoreError as error:
            return fails("erased", str(error))
        if back:
            words = "in the ledger as erased, and keys or names are here: a backup was put back, or a crash came"
            return fails("erased", f"{_named(back)} {words}; `vittne erase --settle` erases anew")
        return holds("erased", f"of {len(history.erasures)} erased recordings neither keys nor names are here")

    def _unknown_rows(self, catalogue: Catalogue, history: SpilledHistory) -> Check:
        known = (history.seals, history.opened, history.erased)
        rows = (recording_of(Path(folder)) for _, _, folder in catalogue.folders())
        strangers = (name for name in rows if not any(name in one for one in known))
        unknown = sorted({name for name in strangers if self._folder(name) is None})
        if unknown:
            return fails("catalogue", f"{_named(unknown)} in the catalogue, but neither in the ledger nor on the disk")
        return holds("catalogue", "every recording that the catalogue lists is in the ledger")

    def _absent(self, recording_id: str) -> Check:
        if self._history is None:
            return fails("folder", "there is no such recording, and the ledger is damaged")
        if recording_id in self._history.seals:
            return fails("folder", "the ledger says that it was sealed, but it is gone: it was removed")
        return fails("folder", "there is no such recording, nor was there ever one by this id")

    def _folder(self, recording_id: str) -> Path | None:
        folder = self._finished.get(recording_id) or self._hidden.get(recording_id)
        if folder is not None and folder.exists():
            return folder
        return self._store.find(recording_id) if is_id(recording_id) else None

    def _work(self, folders: Iterable[Path]) -> int:
        sizes = sum(_size(part) for folder in folders for part in folder.glob("part-*.floe"))
        return sizes * (2 if self._archive.archive_key is not None else 1)

    def _read_ledger(self, directory: Path, key: VerifyKey) -> SpilledHistory | None:
        try:
            history, scan = read_spilled(directory, key, self._spill)
        except LedgerDamaged as error:
            self._around.append(fails("ledger", f"{error.what} ({error.where}): {error.next_step}"))
            return None
        self._around.append(holds("ledger", _ledger_words(scan)))
        return history

    def _open_archive_key(self, data_dir: Path) -> tuple[Opener | None, str]:
        try:
            return unlock(data_dir), ""
        except (KeysLocked, KeysMissing) as error:
            self._around.append(unchecked("archive key", f"{error.what}: contents are not opened"))
            return None, f"{error.what}: not opened"
        except StoreError as error:
            self._around.append(fails("archive key", str(error)))
            return None, f"{error.what}: not opened"

    def _open_key_store(self, path: Path) -> KeyStore | None:
        if not path.exists():
            return None
        try:
            return KeyStore(path)
        except StoreError as error:
            self._around.append(fails("key store", str(error)))
            return None

    def _open_catalogue(self, path: Path) -> Catalogue | None:
        if not path.exists():
            self._around.append(unchecked("catalogue", "there is none here; it can be written again"))
            return None
        try:
            return Catalogue(path, read_only=True)
        except StoreError as error:
            self._around.append(fails("catalogue", str(error)))
            return None


def batched(names: Iterable[str]) -> Iterator[list[str]]:
    """Yield names, some hundred at a time."""
    rest = iter(names)
    while some := list(islice(rest, _TOGETHER)):
        yield some


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _ledger_words(scan: Scan) -> str:
    tail = f"; {scan.tail_bytes} bytes after them are not signed yet" if scan.tail_bytes else ""
    return f"{scan.checkpoint.size} entries have the root that {scan.checkpoint.origin} signed{tail}"


def _named(names: list[str]) -> str:
    """Return how many, and the first few by name."""
    shown = ", ".join(repr(name)[1:-1][:60] for name in names[:_SHOWN])
    more = ", ..." if len(names) > _SHOWN else ""
    return f"{len(names)} ({shown}{more}) {'is' if len(names) == 1 else 'are'}"
