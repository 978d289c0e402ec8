"""The immutable flag: files of a locked recording are altered by nobody until the lock ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cuts import REC, three_parts
from lives import ANN, FAR_US, classed, folder

from vittne.appliance.control.operation import Steps
from vittne.appliance.life.immutable import CannotProtect, is_immutable, protect, release, unlink, why_not
from vittne.appliance.life.policy import LifePolicy
from vittne.appliance.life.retention import RUN_RETENTION, RunRetention
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.verify import verify

Vittne = Callable[..., tuple[int, str, str]]

# Where nobody may set the flag (no capability, or a file system without) the refusals are what is tested.
MAY_SET = why_not(Path("/var/tmp")) is None
only_where_it_can_be_set = pytest.mark.skipif(not MAY_SET, reason="needs CAP_LINUX_IMMUTABLE and ext4, xfs or btrfs")


@pytest.fixture
def released(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files pytest can remove afterwards."""
    yield tmp_path
    for path in tmp_path.rglob("*"):
        if path.is_file() and is_immutable(path):
            release(path)


def sweep(data: Path, is_on: bool = True) -> None:
    registrar = Registrar(data)
    registrar.life_policy = LifePolicy(immutable=is_on)
    steps: Steps = RUN_RETENTION.do(registrar, RunRetention(), ANN)
    for _ in steps:
        pass
    registrar.close()


def test_many_who_try_the_flag_at_once_find_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(why_not, [tmp_path] * 200))
    assert set(found) == {why_not(tmp_path)}
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_the_flag_says_so() -> None:
    with pytest.raises(CannotProtect, match="ext4, xfs or btrfs"):
        protect(Path("/proc/self/status"))
    assert not is_immutable(Path("/proc/self/status"))


@only_where_it_can_be_set
def test_an_immutable_file_is_neither_written_nor_removed_until_it_is_released(released: Path) -> None:
    path = released / "file"
    path.write_bytes(b"said")
    protect(path)

    with pytest.raises(PermissionError):
        path.open("wb")
    with pytest.raises(PermissionError):
        path.unlink()
    assert is_immutable(path)
    unlink(path)
    assert not path.exists()
    assert why_not(released) is None
    assert list(released.iterdir()) == []


@only_where_it_can_be_set
def test_the_nightly_run_sets_it_while_a_lock_lives_and_clears_it_afterwards(released: Path) -> None:
    data = released / "data"
    three_parts(data)
    classed(data, "mifid-5y", FAR_US, FAR_US)

    sweep(data)
    assert all(is_immutable(path) for path in folder(data).iterdir())
    assert verify(data, REC).ok
    classed(data, "mifid-5y", 1, FAR_US)
    sweep(data)

    assert not any(is_immutable(path) for path in folder(data).iterdir())


@only_where_it_can_be_set
def test_cutting_and_erasing_clear_it_first(vittne: Vittne, released: Path) -> None:
    data = released / "data"
    three_parts(data)
    classed(data, "mifid-5y", FAR_US, FAR_US)
    sweep(data)
    span = ("--from", "+1.2", "--to", "+1.7", "--reason", "card", "--yes", "--by", "Ann")
    assert vittne("cut", REC, *span, "--data", data)[0] == 3
    request = vittne("request", "list", "--data", data)[1].splitlines()[1].split()[0]
    vittne("request", "approve", request, "--by", "Bob", "--data", data)

    status, _, error = vittne("cut", REC, *span, "--data", data)

    assert status == 0, error
    assert verify(data, REC).ok
    sweep(data)
    classed(data, "gdpr-90d", None, FAR_US)
    status, _, error = vittne("erase", REC, "--reason", "asked", "--data", data)
    assert status == 0, error
    assert not list(folder(data).glob("part-*"))


@only_where_it_can_be_set
def test_sealing_sets_it_for_a_class_with_a_lock(released: Path) -> None:
    from vittne.appliance.config import checked  # noqa: PLC0415
    from vittne.appliance.policy.decide import policy_rules  # noqa: PLC0415

    data = released / "data"
    rules = policy_rules(checked({"retention": [{"name": "all", "class": "mifid-5y"}]}, "test"))
    three_parts(data, policy=rules, life=LifePolicy(immutable=True))

    assert all(is_immutable(path) for path in folder(data).iterdir())
