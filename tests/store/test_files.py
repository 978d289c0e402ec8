"""Folders of recordings: hidden while written, durable when named."""

from __future__ import annotations

import errno
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import Store, is_id, recording_of, write_atomically
from vittne.appliance.store.times import from_rfc3339, rfc3339

NOON = 1_700_049_600_000_000  # 2023-11-15T12:00:00Z
REC = "11111111-2222-4333-8444-555555555555"


def test_a_recording_is_hidden_until_it_is_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hidden = store.open_recording(REC, NOON)
    (hidden / "part-0.floe").write_bytes(b"x")

    assert hidden == tmp_path / f"recordings/2023/11/15/.{REC}"
    assert (list(store.finished()), list(store.unfinished())) == ([], [hidden])
    store.sync_folders([hidden])
    (finished,) = store.finish([hidden])

    assert finished == tmp_path / f"recordings/2023/11/15/{REC}"
    assert (finished / "part-0.floe").read_bytes() == b"x"
    assert (list(store.finished()), list(store.unfinished())) == ([finished], [])


def test_many_recordings_are_synced_at_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hidden = [store.open_recording(str(uuid.UUID(int=n)), NOON) for n in range(20)]

    store.sync_folders(hidden)

    assert [recording_of(folder) for folder in store.finish(hidden)] == [str(uuid.UUID(int=n)) for n in range(20)]


def test_a_recording_is_found_hidden_and_finished(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hidden = store.open_recording(REC, NOON)

    assert store.find(REC) == hidden
    assert store.finish([hidden]) == [store.find(REC)]
    assert store.find(str(uuid.UUID(int=0))) is None


def test_what_a_crash_left_is_opened_again(tmp_path: Path) -> None:
    hidden = Store(tmp_path).open_recording(REC, NOON)
    (hidden / "part-0.floe").write_bytes(b"x")

    assert Store(tmp_path).open_recording(REC, NOON) == hidden
    assert (hidden / "part-0.floe").exists()


def test_a_finished_recording_is_never_overwritten(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for _ in range(2):
        hidden = store.open_recording(REC, NOON)
        (hidden / "part-0.floe").touch()
        if not list(store.finished()):
            store.finish([hidden])

    with pytest.raises(StoreError, match="already something here"):
        store.finish([hidden])


def test_nobody_else_can_look_in(tmp_path: Path) -> None:
    store = Store(tmp_path / "data")
    hidden = store.open_recording(REC, NOON)

    folders = [tmp_path / "data", *(path for path in (tmp_path / "data").rglob("*") if path.is_dir()), hidden]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}


@pytest.mark.parametrize("name", ["", "..", "../../etc", REC.upper().replace("1", "A"), REC + "/x", "{" + REC + "}"])
def test_only_ids_become_paths(name: str, tmp_path: Path) -> None:
    store = Store(tmp_path)

    with pytest.raises(ValueError, match="UUID"):
        store.open_recording(name, NOON)


@given(st.text(max_size=40))
def test_an_id_has_no_path_in_it(text: str) -> None:
    assert not is_id(text) or (len(text) == 36 and set(text) <= set("0123456789abcdef-"))


def test_foreign_things_among_the_recordings_do_no_harm(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hidden = store.open_recording(REC, NOON)
    (tmp_path / "recordings/README").touch()
    (tmp_path / "recordings/2023/lost+found").mkdir()
    (hidden.parent / ".swp").touch()

    assert store.find(REC) == hidden
    assert list(store.unfinished()) == [hidden]


def test_a_directory_without_recordings_is_no_data_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no data directory"):
        Store(tmp_path, create=False)

    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "recordings").touch()

    with pytest.raises(StoreError, match="cannot make a folder: there is already something here"):
        Store(tmp_path)


def test_room_on_the_disk_is_known(tmp_path: Path) -> None:
    space = Store(tmp_path).space()

    assert 0 < space.free <= space.total


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x", b"first, and longer")
    write_atomically(tmp_path / "x", b"second")

    assert (tmp_path / "x").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_errors_say_what_where_and_what_next(tmp_path: Path) -> None:
    error = explain(OSError(errno.ENOSPC, "No space left on device"), "write a part", tmp_path)

    assert error.what == "cannot write a part: no space left on the disk"
    assert error.where == str(tmp_path)
    assert "free space" in error.next_step


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_of_the_wire_can_be_written_and_read(at_ns: int) -> None:
    assert from_rfc3339(rfc3339(at_ns // 1000)) == at_ns // 1000
