"""What the ledger says of recordings is the same on the disk as in memory, and memory stays flat."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.history import read_history
from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.seal.spilled import Spill, read_spilled
from vittne.appliance.store.files import Store

H = "ab" * 32


def rec(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def entered(data: Path, events: Sequence[Mapping[str, Json]]) -> None:
    ledger = open_ledger(data)
    for event in events:
        ledger.record(event)
    ledger.close()


def test_both_say_the_same_of_every_recording(tmp_path: Path) -> None:
    Store(tmp_path).close()
    cut: dict[str, Json] = {"before": H, "kept": H, "event": H, "packets": 1, "reports": 0, "milliseconds": 2}
    entered(
        tmp_path,
        [
            *({"t": "rec.open", "rec": rec(n), "part": part, "capsule": H} for n in range(5) for part in (0, 1)),
            *({"t": "rec.seal", "rec": rec(n), "manifest": f"{n}" * 64, "state": "sealed"} for n in (0, 1, 2)),
            {"t": "rec.cut", "rec": rec(1), "version": 2, "manifest": "c" * 64, **cut},
            {"t": "rec.discard", "rec": rec(3), "reason": "x"},
            {"t": "rec.erase", "rec": rec(2), "row": H, "reason": "expired", "manifest": H},
        ],
    )
    key = open_ledger(tmp_path)
    key.close()

    known, _ = read_history(tmp_path / "ledger", key.key.verifier)
    spill = Spill()
    told, _ = read_spilled(tmp_path / "ledger", key.key.verifier, spill)

    assert dict(told.seals) == dict(known.seals)
    assert dict(told.cuts) == dict(known.cuts)
    assert (set(told.opened), set(told.discarded)) == (known.opened, known.discarded)
    assert (dict(told.erased), dict(told.erasures)) == (known.erased, known.erasures)
    assert {(one, part): told.capsule(one, part) for one, part in known.capsules} == known.capsules
    assert (len(told.seals), rec(4) in told.seals, told.capsule(rec(9), 0)) == (3, False, None)
    with pytest.raises(KeyError):
        told.erasures[rec(0)]
    spill.close()


def test_ten_times_as_many_recordings_take_no_more_memory(tmp_path: Path) -> None:
    Store(tmp_path).close()
    most = []
    for begin, end in ((0, 500), (500, 5_000)):
        entered(tmp_path, [{"t": "rec.open", "rec": rec(n), "part": 0, "capsule": H} for n in range(begin, end)])
        ledger = open_ledger(tmp_path)
        ledger.close()
        tracemalloc.start()
        spill = Spill()
        told, _ = read_spilled(tmp_path / "ledger", ledger.key.verifier, spill)
        assert sum(1 for name in told.opened if name not in told.seals) == end
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        spill.close()

    assert most[1] < 1.5 * most[0] + (512 << 10)
