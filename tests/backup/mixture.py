"""Everything that changes an archive, mixed at random, with kills in it. As a program: mixture.py FOLDER SEED ROUNDS

A round is one deed in a child that kills itself somewhere in it, or lives. Then comes what a start does; after that the
archive is read through, held against its catalogue and its ledger, and now and then backed up and restored.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deaths import dying
from ledgers import entries
from scenarios import basic, network

from vittne.appliance.backup.process import point
from vittne.appliance.backup.restore import restore
from vittne.appliance.backup.write import Backup, Wanted
from vittne.appliance.control.client import perform
from vittne.appliance.cut_command import CutOptions, run
from vittne.appliance.life.operations import ERASE, Erase
from vittne.appliance.rebuild import differences
from vittne.appliance.recover import recover
from vittne.appliance.registrar import Registrar
from vittne.appliance.replay import FileRun
from vittne.appliance.seal import events
from vittne.appliance.seal.verify import verify_all
from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.files import Store
from vittne.appliance.store.lock import DataLock
from vittne.capture.pipeline import Settings

MOST_CALLS = 120  # a death is somewhere in so many


def seal(data: Path, captures: list[Path], which: int) -> None:
    with DataLock(data, "recording"):
        registrar = Registrar(data)
        recover(registrar)
        FileRun(registrar, Settings(), slab_bytes=4 << 20, processes=0).run([str(captures[which])], "test")
        registrar.close()


def note(data: Path, count: int) -> None:
    with DataLock(data, "recording"):
        registrar = Registrar(data)
        for n in range(count):
            registrar.ledger.record({"t": events.GAP, "reason": "test", "packets": n})
            registrar.ledger.flush()
        registrar.close()


def back_up(data: Path, dest: Path) -> None:
    for _ in Backup(Wanted(data, dest, None, 30), lambda: point(data)).steps():
        pass


def start(data: Path) -> None:
    """Do what a start does with what it finds."""
    with DataLock(data, "recording"):
        registrar = Registrar(data)
        recover(registrar)
        registrar.close()


def recorded(data: Path) -> list[str]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return [call.id for call in catalogue.list_calls(Search()) if call.folder and call.erased_us is None]


def check(data: Path) -> None:
    wrong = [verdict for verdict in verify_all(data) if not verdict.ok]
    assert wrong == [], wrong
    # A recording that a crash ended says nothing of its call.
    differing = [one for one in differences(data) if not one[1].startswith("cannot be compared: a crash")]
    assert differing == [], differing
    store = Store(data, create=False)
    assert [*store.unfinished(), *store.staged()] == [], "something is half done"
    there = {folder.name for folder in store.finished()}
    store.close()
    told = entries(data)
    sealed = {str(entry["rec"]) for entry in told if entry["t"] == events.SEALED}
    erased = {str(entry["rec"]) for entry in told if entry["t"] == events.ERASED}
    assert there - erased == sealed - erased, "the ledger tells otherwise"
    assert not set(recorded(data)) & erased


def restored(data: Path, dest: Path, folder: Path) -> None:
    back_up(data, dest)
    shutil.rmtree(folder, ignore_errors=True)
    found = restore(dest, folder, archive_key=data / "keys/keyring.json")
    assert found.problems == [], found.problems
    check(folder)
    assert sorted(recorded(folder)) == sorted(recorded(data))


def deed(chance: random.Random, data: Path, dest: Path, captures: list[Path]) -> tuple[str, Callable[[], object]]:
    """Choose what is done next."""
    known = recorded(data)
    name = chance.choice(["seal", "seal", "note", "back up", "back up", *(["cut", "cut", "erase"] if known else [])])
    if name == "seal":
        which = chance.randrange(len(captures))
        return name, lambda: seal(data, captures, which)
    if name == "note":
        count = chance.randrange(1, 40)
        return name, lambda: note(data, count)
    if name == "back up":
        return name, lambda: back_up(data, dest)
    one, begin = chance.choice(known), chance.random()
    if name == "erase":
        return name, lambda: perform(data, ERASE, Erase(recording=one, reason="asked"))
    options = CutOptions(one, f"+{begin:.3f}", f"+{begin + 0.5:.3f}", "both", "card", "Ann", yes=True)
    return name, lambda: run(data, options)


def main(folder: Path, seed: int, rounds: int) -> None:
    chance = random.Random(seed)
    data, dest = folder / "data", folder / "dest"
    dest.mkdir()
    Store(data).close()
    captures = [basic.basic_call().write(folder / "a.pcap"), network.one_direction().write(folder / "b.pcap")]
    seal(data, captures, 0)
    deaths = 0
    for number in range(rounds):
        name, work = deed(chance, data, dest, captures)
        at = chance.randrange(1, MOST_CALLS) if chance.random() < 0.8 else 0
        try:
            died = dying(at, work)
            deaths += died
            start(data)
            check(data)
            if number % 4 == 3:
                restored(data, dest, folder / "restored")
        except BaseException:
            print(f"seed {seed}, round {number}: {name}, killed at {at}", file=sys.stderr)
            raise
    restored(data, dest, folder / "restored")
    print(deaths)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
