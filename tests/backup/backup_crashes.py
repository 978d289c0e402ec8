"""A backup that dies at every one of its steps. Run as a program: backup_crashes.py FOLDER

Before, there is a snapshot; since then one call was cut, one erased and one recorded. After each death what the place
holds is restored and read through, the next backup goes on, and what that holds is restored and read through.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cuts import REC, cut_span, three_parts
from deaths import dying
from recordings import record
from scenarios import basic, network

from vittne.appliance.backup.process import point
from vittne.appliance.backup.restore import restore
from vittne.appliance.backup.write import Backup, Wanted
from vittne.appliance.control.client import perform
from vittne.appliance.life.operations import ERASE, Erase
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.verify import verify_all
from vittne.appliance.store.catalogue import Catalogue, Search

EVERY = 4  # one of so many places


def back_up(data: Path, dest: Path) -> None:
    for _ in Backup(Wanted(data, dest, None, 30), lambda: point(data)).steps():
        pass


def check(dest: Path, folder: Path, data: Path) -> set[str]:
    """Restore; return the parts that are there."""
    to = folder / "restored"
    shutil.rmtree(to, ignore_errors=True)
    found = restore(dest, to, archive_key=data / "keys/keyring.json")
    assert found.problems == [], found.problems
    wrong = [verdict for verdict in verify_all(to) if not verdict.ok]
    assert wrong == [], wrong
    return parts(to / "recordings")


def parts(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("part-*")}


def grow_old(dest: Path) -> None:
    """Have the first snapshot be one that the next backup removes."""
    (snapshot,) = (dest / "snapshots").iterdir()
    text = (snapshot / "snapshot.json").read_text()
    begin = text.index('"at": "') + 7
    (snapshot / "snapshot.json").write_text(text[:begin] + "2020" + text[begin + 4 :])
    snapshot.rename(snapshot.with_name("2020" + snapshot.name[4:]))


def main(folder: Path) -> None:
    data, before = record(basic.basic_call(), folder).data, folder / "before"
    three_parts(data)
    before.mkdir()
    back_up(data, before)
    grow_old(before)
    old = parts(data / "recordings")
    cut_span(data, 500, 900)
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        plain = next(call.id for call in catalogue.list_calls(Search()) if call.id != REC)
    record(network.one_direction(), folder)
    perform(data, ERASE, Erase(recording=plain, reason="asked"))
    new = parts(data / "recordings")
    Registrar(data).close()
    dest, at, deaths = folder / "dest", 1, 0
    while True:
        shutil.rmtree(dest, ignore_errors=True)
        shutil.copytree(before, dest)
        died = dying(at, lambda: back_up(data, dest))
        assert check(dest, folder, data) in ((old, new) if died else (new,))
        if not died:
            break
        back_up(data, dest)
        assert check(dest, folder, data) == new
        assert parts(dest / "recordings") == new
        assert list(dest.rglob(".*")) == []
        deaths, at = deaths + 1, at + EVERY
    print(deaths)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
