"""A ledger's writer that dies at every one of its steps. Run as a program: ledger_crashes.py FOLDER

For each step a child of this process begins with the same ledger, kills itself at that step, and tells its parent
before what was confirmed to it. Then a reader looks at what is left, the next writer goes on, and all is read through.
Each time once more as after a power cut: what was written and not synced is empty.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from vittne.appliance.seal.ledger import Ledger
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.scan import scan_ledger
from vittne.appliance.seal.signing import load_key, load_verifier, new_key, save_key
from vittne.appliance.store.files import Store
from vittne.appliance.store.times import from_rfc3339

ROUNDS = 4
A_ROUND = 90
MORE = 60
FIRST = 200  # entries before: the first round fills a bundle
RECORDINGS = [f"11111111-2222-4333-8444-{n:012}" for n in range(200)]  # some 8 kB: the journal is begun anew soon


class Mortal(Ledger):
    """Kills its process at its n-th step; 0: never. Counts steps."""

    dies_at = 0
    steps = 0
    _within = False

    def beginning(self) -> Iterator[str]:
        return self._counted(super().beginning())

    def flushing(self) -> Iterator[str]:
        return self._counted(super().flushing())

    def publishing(self) -> Iterator[str]:
        return self._counted(super().publishing())

    def _counted(self, steps: Iterator[str]) -> Iterator[str]:
        outermost, Mortal._within = not Mortal._within, True
        for step in steps:
            if outermost:
                Mortal.steps += 1
                if Mortal.steps == Mortal.dies_at:
                    os.kill(os.getpid(), signal.SIGKILL)
            yield step
        if outermost:
            Mortal._within = False


def fill(ledger: Ledger, count: int) -> None:
    """Record entries whose times, in microseconds, are their places."""
    for _ in range(count):
        ledger.record({"t": "pause.change", "recs": RECORDINGS}, at_us=ledger.size)


def write(data_dir: Path, tell: int) -> None:
    ledger = Mortal(data_dir / "ledger", load_key(data_dir / "keys"))
    for number in range(ROUNDS):
        fill(ledger, A_ROUND)
        os.write(tell, b"%d\n" % ledger.flush().size)
        if number % 2:
            ledger.publish()
    ledger.close()


def die(data_dir: Path, step: int) -> int:
    """Let a child write and die; return how many entries were confirmed to it."""
    listen, tell = os.pipe()
    child = os.fork()
    if not child:
        Mortal.dies_at = step
        write(data_dir, tell)
        os._exit(0)
    os.close(tell)
    with os.fdopen(listen) as told:
        confirmed = [FIRST, *map(int, told.read().split())][-1]
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"it lived through step {step}"
    return confirmed


def cut_power(data_dir: Path) -> None:
    """Empty what need not have reached the disk: files that the journal still stands for."""
    base = int((data_dir / "ledger/journal").read_bytes().split(b" ", 2)[1])
    for path in (data_dir / "ledger/tile").rglob("*"):
        kept = path.name.isdigit() and ".p" not in path.parent.name and (int(path.name) + 1) * 256 <= base
        if path.is_file() and not kept:
            path.write_bytes(b"")


def check(data_dir: Path, confirmed: int, readers: bool) -> None:
    directory, key = data_dir / "ledger", load_verifier(data_dir / "keys")
    if readers:
        assert scan_ledger(directory, key).checkpoint.size >= confirmed
    ledger = Ledger(directory, load_key(data_dir / "keys"))
    found = ledger.size
    assert found >= confirmed
    assert (found - FIRST) % A_ROUND == 0, "half a flush"
    fill(ledger, MORE)
    ledger.close()
    scan = scan_ledger(directory, key)
    assert scan.checkpoint.size == scan.published.size == found + MORE
    assert [path for path in directory.rglob(".*") if path.is_file()] == []
    times = [from_rfc3339(entry[7:34].decode()) for _, entry in LedgerView(directory, key).entries()]
    assert times == list(range(found + MORE))


def main(folder: Path) -> None:
    begun = folder / "begun"
    Store(begun).close()
    key = new_key()
    ledger = Ledger.create(begun / "ledger", key)
    save_key(begun / "keys", key)
    fill(ledger, FIRST)
    ledger.close()
    whole = shutil.copytree(begun, folder / "whole")
    write(whole, os.open(os.devnull, os.O_WRONLY))
    total, Mortal.steps = Mortal.steps, 0
    for step in range(1, total + 1):
        died = shutil.copytree(begun, folder / "died")
        confirmed = die(died, step)
        unsynced = shutil.copytree(died, folder / "unsynced")
        check(died, confirmed, readers=True)
        cut_power(unsynced)
        check(unsynced, confirmed, readers=False)
        shutil.rmtree(died)
        shutil.rmtree(unsynced)
    print(total)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
