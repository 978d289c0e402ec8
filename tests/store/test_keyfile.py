"""Key files: made once, and never overwritten by whoever comes second."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.keyfile import KEY_BYTES, KeyFile, KeyGone


def a_file(folder: Path) -> KeyFile:
    return KeyFile(folder / "keys" / "some.key", "the key of something", "put it back")


def test_a_key_is_made_once_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    key = a_file(tmp_path).read_or_make()

    assert len(key) == KEY_BYTES
    assert a_file(tmp_path).read() == a_file(tmp_path).read_or_make() == key
    assert stat.S_IMODE(a_file(tmp_path).path.stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["some.key"]


def test_many_who_make_it_at_once_all_get_the_one_that_stays(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        keys = set(threads.map(lambda _: a_file(tmp_path).read_or_make(), range(64)))

    assert keys == {a_file(tmp_path).read()}


def test_a_key_that_is_gone_is_not_made_anew_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(KeyGone, match="the key of something is gone"):
        a_file(tmp_path).read()

    assert not a_file(tmp_path).path.exists()


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
def test_a_file_that_holds_no_key_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    a_file(tmp_path).path.parent.mkdir()
    a_file(tmp_path).path.write_bytes(content)

    with pytest.raises(KeyGone, match="this is not the key of something"):
        a_file(tmp_path).read_or_make()

    assert a_file(tmp_path).path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"")

    with pytest.raises(StoreError, match="cannot"):
        a_file(tmp_path).read_or_make()
