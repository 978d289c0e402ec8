"""Keys changed beside a recorder that runs: it writes, the command has the root, and a kill of either loses nothing."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pytest
from ledgers import entries
from rig.keys import Keys, copy_store, recording, reopened
from rig.killing import survives
from running import running

from vittne.appliance import key_operations as ops
from vittne.appliance.__main__ import run
from vittne.appliance.control.client import perform
from vittne.appliance.keyring import renewal
from vittne.appliance.keyring.desk import KeyDesk
from vittne.appliance.keyring.opening import OpenKeys, open_vault
from vittne.appliance.keyring.ring import read_ring
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.keys_beside import RecorderBooks, RecorderStore
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.canonical import Json
from vittne.appliance.seal.capsule import CapsuleRefused, KeyStore
from vittne.appliance.seal.keys import ArchiveKey
from vittne.appliance.seal.ledger import open_ledger
from vittne.appliance.seal.scan import scan_ledger
from vittne.appliance.seal.signing import load_verifier
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.rows import FINISHED, CallRow

TOLD: dict[str, Json] = {"t": "key.shares", "key": "ab", "threshold": 3, "shares": 5}


@pytest.fixture
def data(keys: Keys) -> Path:
    """Three recordings that were adopted, one that waits in a capsule; nobody holds the directory."""
    for number in range(3):
        keys.adopt(keys.record(number), "main", "ab"[number % 2], "2030-01")
    keys.record(3)
    keys.ledger.close()
    return keys.data_dir


def call(data: Path, *words: object) -> None:
    assert run(["keys", *map(str, words), "--data", str(data)]) == 0


def opened(data: Path, keys: Keys, secret: bytes | None = None) -> bool:
    """Say whether every data key that was put in opens, as it was."""
    with reopened(data, secret) as now:
        return {part: now.data_key(*part) for part in keys.truth} == keys.truth


def test_an_epoch_beside_a_recorder_kills_old_copies_and_leaves_the_workers_pair(
    keys: Keys, data: Path, tmp_path: Path
) -> None:
    worker = ArchiveKey.load_public(data)  # as a capture worker has it, before and after
    copy = copy_store(data, tmp_path / "copy")
    erased = keys.erase(recording(0))

    with running(data):
        call(data, "epoch")
        (data / "keys/archive.pub").write_bytes(worker.pem())
        keys.record(7)
        assert opened(data, keys)
        call(data, "epoch")

    ring = read_ring(data)
    assert (ring.epoch.number, len(ring.epochs), ring.renewing) == (3, 1, "")
    assert ring.archive[0].kid == worker.kid  # it may make more of them until the recorder ends
    assert opened(data, keys)
    for part in erased:
        kept = copy.get(*part)
        assert kept is not None
        with pytest.raises(CapsuleRefused):
            open_vault(data).data_key(kept, *part)
    copy.close()
    call(data, "epoch")
    assert [pair.retiring for pair in read_ring(data).archive] == [False]
    assert opened(data, keys)


@pytest.mark.parametrize("what", ["--root", "--archive", "--bucket"])
def test_keys_are_rotated_beside_a_recorder(keys: Keys, data: Path, tmp_path: Path, what: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse")
    secret.chmod(0o600)

    with running(data):
        call(data, "passphrase", "--new-passphrase-file", secret)
        new = ["--new-passphrase-file", secret] if what == "--root" else []
        call(data, "rotate", what, "--passphrase-file", secret, *new)

    assert opened(data, keys, b"correct horse")
    assert [one["t"] for one in entries(data)][-2:] == ["key.seal", "key.rotate"] or what == "--archive"


@pytest.mark.parametrize("fips", [False, True])
def test_the_ledger_goes_on_under_a_new_key_while_the_recorder_writes_it(data: Path, fips: bool) -> None:
    old = load_verifier(data / "keys")
    with running(data):
        perform(data, ops.TELL, ops.Tell(event=TOLD))
        line = perform(data, ops.ROTATE_LEDGER, ops.RotateLedger(fips=fips))["key"]
        perform(data, ops.TELL, ops.Tell(event=TOLD))

    now = load_verifier(data / "keys")
    assert (now.text(), now.former) == (line, (old,))
    assert [one["t"] for one in entries(data)][-3:] == ["key.shares", "key.rotate", "key.shares"]
    for trusted in (old, now):
        scan_ledger(data / "ledger", trusted)


def test_a_ledger_that_could_not_come_back_at_once_comes_back_with_all_that_was_recorded(data: Path) -> None:
    ledger, head = open_ledger(data), data / "keys/ledger.head"
    with pytest.raises(StoreError), ledger.handed_over():
        head.rename(data / "away")  # as a disk that fails just now would have it

    ledger.record(TOLD)
    with pytest.raises(StoreError):
        ledger.flush()
    (data / "away").rename(head)
    ledger.flush()
    ledger.close()

    assert entries(data)[-1]["t"] == "key.shares"


def test_of_two_who_change_keys_at_once_the_second_is_refused(data: Path) -> None:
    with running(data):
        books, vault = RecorderBooks(data), open_vault(data)
        call(data, "epoch")
        with (
            pytest.raises(StoreError, match="changed by somebody else"),
            OpenKeys(data, vault, RecorderStore) as keys,
        ):
            for _ in renewal.epoch_steps(keys, books, "main", books.since):
                pass

    assert read_ring(data).epoch.number == 2


def test_no_ring_is_put_in_place_that_lacks_a_key_which_is_needed(keys: Keys, data: Path) -> None:
    with running(data):
        books, vault = RecorderBooks(data), open_vault(data)
        begun = vault.renewing("epoch", "2030-01-01T00:00:00.000000Z")
        event = {"t": "key.epoch", "epoch": 2, "state": "done"}
        books.put_ring(vault.ring, begun, event)
        vault.take(begun)
        for since in (books.since, ""):
            with pytest.raises(StoreError, match="left"):
                books.put_ring(begun, vault.renewed(since), event)

    assert read_ring(data) == begun
    assert opened(data, keys)


def epoch_beside(data: Path) -> Iterable[object]:
    books = RecorderBooks(data)
    with OpenKeys(data, open_vault(data), RecorderStore) as keys:
        yield from renewal.epoch_steps(keys, books, "main", books.since)


def both(data: Path) -> Iterable[object]:
    with running(data):
        yield from epoch_beside(data)


def ledger_key(data: Path) -> Iterable[object]:
    with running(data):
        yield perform(data, ops.ROTATE_LEDGER, ops.RotateLedger())


# What a change of the ring does is killed at every step in test_renewal.py; here are those between the orders.
@pytest.mark.sweep
@pytest.mark.parametrize(("act", "stride"), [(both, 1), (ledger_key, 2)], ids=["epoch", "ledger"])
def test_recorder_and_command_killed_at_any_step_lose_nothing(
    keys: Keys, data: Path, tmp_path: Path, act: Callable[[Path], Iterable[object]], stride: int
) -> None:
    keys.store.empty_log()
    old = load_verifier(data / "keys")
    steps, finished = 0, False
    while not finished:
        steps += stride
        copy = Path(shutil.copytree(data, tmp_path / f"data-{steps}"))
        finished = survives(steps, partial(act, copy))
        holds(copy, keys)
        scan_ledger(copy / "ledger", old)
        shutil.rmtree(copy)
    assert steps > 10


@pytest.mark.sweep
def test_a_command_killed_at_any_step_leaves_the_recorder_whole(keys: Keys, data: Path, tmp_path: Path) -> None:
    steps, finished = 0, False
    while not finished:
        steps += 1
        copy = Path(shutil.copytree(data, tmp_path / f"data-{steps}"))
        with running(copy):
            finished = survives(steps, partial(epoch_beside, copy))
            assert opened(copy, keys)
            perform(copy, ops.TELL, ops.Tell(event=TOLD))
            call(copy, "epoch")
        holds(copy, keys)
    assert steps > 5


def holds(data: Path, keys: Keys) -> None:
    """What must hold after a crash; then the next command ends what was begun."""
    Registrar(data).close()
    assert opened(data, keys)
    call(data, "epoch")
    assert opened(data, keys)
    ring = read_ring(data)
    assert (ring.renewing, len(ring.archive), len(ring.epochs)) == ("", 1, 1)


def test_the_recorders_key_process_follows_a_renewal_and_wraps_nothing_amid_it(keys: Keys, data: Path) -> None:
    registrar = Registrar(data)
    rows = [CallRow(recording(n), FINISHED, (f"{n}@x",), "a", "b", 1_893_456_000_000_000) for n in (3, 4)]

    async def act() -> None:
        desk = KeyDesk(registrar, KeysConfig())
        await desk.keys.start()
        await desk.unlock(None, "start")
        with OpenKeys(data, open_vault(data)) as other:
            steps = renewal.epoch_steps(other, registrar.ledger, "main", registrar.public.kid)
            assert next(steps) == "epoch begun"
            registrar.catalogue.upsert_calls(rows)
            assert await desk.adopt_finished() == 0  # of the old epoch, which is about to go
            assert not await desk._follow()
            assert await desk.adopt_finished() == 0
            for _ in steps:
                pass
        keys.record(4)
        assert await desk._follow()
        assert await desk.adopt_finished() == 1
        assert await desk.keys.data_key(recording(4), 0) == keys.truth[recording(4), 0]
        await desk.keys.close()

    asyncio.run(act())
    assert KeyStore(data / "keys.db").waiting() == []
    assert opened(data, keys)
    registrar.close()
