"""A drill: some recordings brought back from a backup, opened, decoded and compared with the originals.

What it proves: with this backup, and the key and passphrase at hand, calls can be heard again.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from vittne.appliance.backup.bring import List, bring, bring_recordings, choose_snapshot
from vittne.appliance.backup.copying import manifest_digest
from vittne.appliance.backup.place import AWAY, ERASED, NoBackup, Place
from vittne.appliance.backup.standing import proof_of
from vittne.appliance.opened import open_recording
from vittne.appliance.playback import Playback
from vittne.appliance.seal.keys import KeyStore
from vittne.appliance.seal.recording_checks import Archive, check_recording
from vittne.appliance.seal.signing import KEY_FILE, load_key
from vittne.appliance.store.catalogue import CATALOGUE_FILE, Catalogue
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import write_atomically
from vittne.appliance.store.rows import CallRow


@dataclass(slots=True)
class Drill:
    """What came of it. recordings: tried; good: as they should be; compared: with an original that is there."""

    at_us: int
    size: int
    behind: int | None = None  # entries of the archive's ledger that the backup does not have
    recordings: int = 0
    good: int = 0
    compared: int = 0
    proof: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Everything that was tried is as it should be."""
        return not self.problems


def drill(source: Path, data_dir: Path | None, count: int, before_us: int | None, archive_key: Path | None) -> Drill:
    """Try a backup. data_dir: the archive, where it is still there. count: recordings besides newest and oldest.

    Raises StoreError when ledger or keys cannot be brought back at all.
    """
    place = Place(source)
    snapshot = choose_snapshot(place, before_us)
    with tempfile.TemporaryDirectory(prefix="vittne-drill-") as scratch:
        work = Path(scratch) / "archive"
        brought = bring(place, snapshot, work, archive_key)
        found = Drill(snapshot.at_us, brought.size, proof=proof_of(work))
        _check_signing(work, brought.secrets, found)
        chosen = _chosen((place.newest() or snapshot).wanted(), count)
        bad: set[str] = set()

        def failed(recording: str, words: str) -> None:
            bad.add(recording)
            found.problems.append(f"{recording}: {words}")

        found.recordings = len(chosen)
        there = list(bring_recordings(place, brought, chosen, lambda _: None, failed))
        store = KeyStore(work / "keys.db")
        try:
            archive = Archive(work, brought.key, brought.history, store, brought.archive_key, "", None)
            for recording in there:
                folder = work / "recordings" / chosen[recording][1]
                words = _wrong(archive, folder, data_dir, found)
                if words:
                    failed(recording, words)
        finally:
            store.close()
        found.good = len(chosen) - len(bad)
    return found


def decoded_digest(data_dir: Path, call: CallRow, folder: Path) -> str:
    """Return SHA-256 of everything that is heard of a recording, both parties. Raises StoreError."""
    from vittne.appliance.export import render  # noqa: PLC0415 - it loads FFmpeg

    sha256 = hashlib.sha256()
    with open_recording(data_dir, str(folder.relative_to(data_dir)), folder.name) as opened:
        for chunk in render(Playback(opened).voices(call)).chunks():
            sha256.update(chunk.tobytes())
        if opened.problems:
            raise StoreError(opened.problems[0], folder, "see `vittne verify`")
    return sha256.hexdigest()


def _wrong(archive: Archive, folder: Path, data_dir: Path | None, found: Drill) -> str:
    """Say what is wrong with a recording that was brought back; "" when nothing is."""
    for check in check_recording(archive, folder, lambda _: None):
        if not check.ok or (check.name == "content" and check.result != "holds"):
            return f"{check.name}: {check.words}"
    with Catalogue(archive.data_dir / CATALOGUE_FILE, read_only=True) as catalogue:
        call = catalogue.get(folder.name)
    try:
        heard = decoded_digest(archive.data_dir, call, folder)
        original = None if data_dir is None else data_dir / folder.relative_to(archive.data_dir)
        if data_dir is None or original is None or manifest_digest(original) != manifest_digest(folder):
            return ""  # it was cut or erased since, or the archive is gone
        found.compared += 1
        if decoded_digest(data_dir, call, original) != heard:
            return "it sounds otherwise than the original"
    except StoreError as error:
        return str(error)
    return ""


def _check_signing(work: Path, secrets: dict[str, bytes], found: Drill) -> None:
    """See that the key that signs came back too: without it the archive cannot go on."""
    try:
        write_atomically(work / "keys" / KEY_FILE, secrets[f"keys/{KEY_FILE}"])
        load_key(work / "keys")
    except KeyError:
        found.problems.append("the ledger's key is not in the backup: the archive could be heard, but not go on")
    except StoreError as error:
        found.problems.append(str(error))


def _chosen(wanted: List, count: int) -> dict[str, tuple[str, str]]:
    """Return the newest, the oldest and some more recordings; they lie in folders by day."""
    known = sorted(
        (name for name, (state, _) in wanted.items() if state != ERASED and not state.startswith(AWAY)),
        key=lambda name: wanted[name][1],
    )
    if not known:
        raise NoBackup("there is no recording in the backup", "drill", "try it when there is one")
    rest = known[1:-1]
    names = {known[0], known[-1], *random.SystemRandom().sample(rest, min(count, len(rest)))}
    return {name: wanted[name] for name in known if name in names}
