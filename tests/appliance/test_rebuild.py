"""The catalogue is a cache: it can be written again from the recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cuts import cut_span, three_parts
from recordings import record
from scenarios import basic, transfers

from vittne.appliance.store.catalogue import Catalogue, Search
from vittne.appliance.store.lock import DataLock
from vittne.appliance.store.rows import CallRow

Vittne = Callable[..., tuple[int, str, str]]


def rows(data: Path) -> list[CallRow]:
    with Catalogue(data / "catalogue.db", read_only=True) as catalogue:
        return [row for row in catalogue.list_calls(Search(unanswered=True)) if row.folder]


def archive(tmp_path: Path, vittne: Vittne) -> Path:
    found = record(basic.basic_call(), tmp_path)
    moved = transfers.blind_transfer().write(tmp_path / "moved.pcap")
    assert vittne("record", "--pcap", moved, "--data", found.data)[0] == 0
    three_parts(found.data)
    cut_span(found.data, 500, 900)
    return found.data


def test_a_lost_catalogue_is_written_again_from_the_recordings(vittne: Vittne, tmp_path: Path) -> None:
    data = archive(tmp_path, vittne)
    before = rows(data)
    for path in data.glob("catalogue.db*"):
        path.unlink()

    status, out, error = vittne("rebuild", "--data", data)

    assert (status, f"{len(before)} recordings" in out) == (0, True), error
    assert rows(data) == before
    assert vittne("verify", "--all", "--data", data)[0] == 0
    assert vittne("rebuild", "--check", "--data", data)[0] == 0


def test_a_catalogue_that_was_altered_is_found_out(vittne: Vittne, tmp_path: Path) -> None:
    from dataclasses import replace  # noqa: PLC0415

    data = archive(tmp_path, vittne)
    with Catalogue(data / "catalogue.db") as catalogue:
        altered = replace(rows(data)[0], caller="sip:nobody@example.org")
        catalogue.upsert_call(altered)

    status, out, _ = vittne("rebuild", "--check", "--data", data)

    assert (status, altered.id in out, "something else of caller" in out) == (1, True, True)


def test_a_recording_that_cannot_be_read_is_there_all_the_same_and_named(vittne: Vittne, tmp_path: Path) -> None:
    data = archive(tmp_path, vittne)
    first = rows(data)[-1]
    path = data / first.folder / "part-0.floe"
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)

    status, _, error = vittne("rebuild", "--data", data)

    assert (status, first.id in error) == (1, True)
    assert {row.id for row in rows(data)} >= {first.id}


def test_a_directory_that_somebody_writes_is_left_alone(vittne: Vittne, tmp_path: Path) -> None:
    data = archive(tmp_path, vittne)
    with DataLock(data, "recording"):
        status, _, error = vittne("rebuild", "--data", data)

    assert (status, "recording, since" in error) == (1, True)
