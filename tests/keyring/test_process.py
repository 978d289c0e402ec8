"""The key process: what it opens, what it forgets, and what can be had from it by looking."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from ledgers import entries
from rig.hardware import MODULE, PIN, make_token
from rig.keys import Keys, recording

from vittne.appliance.keyring import desk, rotation
from vittne.appliance.keyring.cache import LONGEST_S, MOST, KeyCache
from vittne.appliance.keyring.client import KeyProcess
from vittne.appliance.keyring.desk import KeyDesk
from vittne.appliance.keyring.envelope import encoded
from vittne.appliance.keyring.errors import KeysLocked, KeysMissing, PinRefused
from vittne.appliance.keyring.ring import read_ring
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.capsule import CapsuleRefused
from vittne.appliance.store.rows import FINISHED, RECORDING, CallRow

SECRET = b"correct horse"


def with_process(keys: Keys, act: Callable[[KeyProcess], Awaitable[None]]) -> None:
    async def run() -> None:
        async with KeyProcess(keys.data_dir, keys.store) as process:
            await act(process)

    asyncio.run(run())


def protect(keys: Keys) -> None:
    rotation.reseal(keys.data_dir, keys.vault, keys.ledger, KeysConfig(), SECRET)


def test_it_is_locked_until_the_passphrase_comes_and_after_lock(keys: Keys) -> None:
    rec = keys.record(1)
    protect(keys)

    async def act(process: KeyProcess) -> None:
        assert (await process.status())["unlocked"] is False
        with pytest.raises(KeysLocked, match="vittne keys unlock"):
            await process.data_key(rec, 0)
        with pytest.raises(KeysLocked, match="VITTNE_ARCHIVE_PASSPHRASE_FILE"):
            await process.unlock(None)
        with pytest.raises(KeysLocked, match="does not open"):
            await process.unlock(b"wrong horse")
        told = await process.unlock(SECRET)
        assert told == {"root": keys.vault.ring.root.id, "provider": "passphrase"}
        assert await process.data_key(rec, 0) == keys.truth[rec, 0]
        status = await process.status()
        assert (status["unlocked"], status["served"], status["waiting"], status["epoch"]) == (True, 1, 1, 1)
        assert await process.lock() is True
        with pytest.raises(KeysLocked):
            await process.data_key(rec, 0)

    with_process(keys, act)


def test_it_wraps_capsules_under_their_bucket_and_opens_both_forms(keys: Keys) -> None:
    recs = [keys.record(number, parts=3) for number in range(3)]

    async def act(process: KeyProcess) -> None:
        await process.unlock(None)
        assert await process.adopt(recs[0], "main", "a", "2030-01") == 3
        assert await process.adopt(recs[1], "main", "a", "2030-01") == 3
        assert await process.adopt(recs[1], "main", "b", "2030-01") == 3
        assert await process.adopt(recs[1], "main", "b", "2030-01") == 0
        found = await asyncio.gather(*(process.data_key(rec, part) for rec, part in keys.truth))
        assert found == list(keys.truth.values())

    with_process(keys, act)
    assert keys.store.waiting() == [recs[2]]
    assert [bucket.retention for bucket in keys.store.buckets()] == ["a", "b"]
    assert keys.opened() == keys.truth


def test_an_erased_key_is_not_given_out_of_its_cache(keys: Keys) -> None:
    rec = keys.record(1)

    async def act(process: KeyProcess) -> None:
        await process.unlock(None)
        await process.data_key(rec, 0)
        keys.store.erase(rec)
        with pytest.raises(KeysMissing, match="was it erased"):
            await process.data_key(rec, 0)

    with_process(keys, act)


def test_a_capsule_that_is_none_is_refused_and_the_process_lives_on(keys: Keys) -> None:
    rec = keys.record(1)
    keys.store.put([(recording(2), 0, "a.b.c.d.e")])

    async def act(process: KeyProcess) -> None:
        await process.unlock(None)
        with pytest.raises(CapsuleRefused):
            await process.data_key(recording(2), 0)
        with pytest.raises(CapsuleRefused):
            await process.adopt(recording(2), "main", "a", "2030-01")
        assert await process.data_key(rec, 0) == keys.truth[rec, 0]

    with_process(keys, act)


def test_a_process_that_was_killed_is_locked_and_can_be_started_again(keys: Keys) -> None:
    rec = keys.record(1)

    async def act(process: KeyProcess) -> None:
        await process.unlock(None)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        while not process.is_dead:
            await asyncio.sleep(0.01)
        with pytest.raises(KeysLocked, match="ended"):
            await process.status()
        assert process.is_dead
        await process.close()
        await process.start()
        with pytest.raises(KeysLocked):
            await process.data_key(rec, 0)
        await process.unlock(None)
        assert await process.data_key(rec, 0) == keys.truth[rec, 0]

    with_process(keys, act)


def test_nobody_reads_its_memory_and_it_writes_no_core(keys: Keys) -> None:
    async def act(process: KeyProcess) -> None:
        status = await process.status()
        proc = Path(f"/proc/{process.pid}")
        limits = (proc / "limits").read_text()
        assert next(line for line in limits.splitlines() if line.startswith("Max core")).split()[4:6] == ["0", "0"]
        assert "NoNewPrivs:\t1" in (proc / "status").read_text()
        assert proc.stat().st_uid == 0  # of a process that is not dumpable: root's, whoever runs it
        locked = next(line for line in (proc / "status").read_text().splitlines() if line.startswith("VmLck"))
        assert (int(locked.split()[1]) > 0) is status["memory_locked"]
        # Nothing of what we were given in the environment, which may name files with secrets.
        environment = (proc / "environ").read_bytes() if os.geteuid() == 0 else b""
        assert b"VITTNE" not in environment

    os.environ["VITTNE_ARCHIVE_PASSPHRASE_FILE"] = "/nowhere"
    try:
        with_process(keys, act)
    finally:
        del os.environ["VITTNE_ARCHIVE_PASSPHRASE_FILE"]


def test_it_goes_when_its_parent_is_killed(keys: Keys) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:

        async def run() -> None:
            process = KeyProcess(keys.data_dir, keys.store)
            await process.start()
            await process.status()
            os.write(writer, str(process.pid).encode())
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(run())
    os.waitpid(child, 0)
    grandchild = int(os.read(reader, 20))
    # It is nobody's child now: wait for it as for a stranger.
    fd = os.pidfd_open(grandchild) if Path(f"/proc/{grandchild}").exists() else None
    if fd is not None:
        assert select.select([fd], [], [], 20)[0], "it lives on"


def test_it_opens_a_root_that_a_token_keeps(keys: Keys, tokens: None) -> None:
    make_token("process")
    config = KeysConfig(provider="pkcs11", pkcs11_module=MODULE, pkcs11_token="process")
    rotation.reseal(keys.data_dir, keys.vault, keys.ledger, config, PIN)
    rec = keys.record(1)

    async def act(process: KeyProcess) -> None:
        with pytest.raises(PinRefused):
            await process.unlock(b"1")
        with pytest.raises(PinRefused, match="not tried again"):
            await process.unlock(b"1")

    with_process(keys, act)
    rotation.reseal(keys.data_dir, keys.vault, keys.ledger, KeysConfig(), SECRET)

    async def again(process: KeyProcess) -> None:
        assert (await process.unlock(SECRET))["provider"] == "passphrase"
        assert await process.data_key(rec, 0) == keys.truth[rec, 0]

    with_process(keys, again)


def test_a_key_is_cached_for_five_minutes_from_its_opening() -> None:
    cache = KeyCache()
    cache.put("a", 0, b"key", now=100.0)

    assert cache.get("a", 0, now=100.0 + LONGEST_S - 0.001) == b"key"  # using it does not make it live longer
    assert cache.get("a", 0, now=100.0 + LONGEST_S) is None
    assert len(cache) == 0
    assert LONGEST_S == 300


def test_the_cache_has_a_bound_and_forgets_what_it_is_told_to() -> None:
    cache = KeyCache()
    for number in range(MOST + 10):
        cache.put("a", number, b"key", now=0.0)

    assert len(cache) == MOST
    assert cache.get("a", 9, now=1.0) is None
    cache.drop("a", MOST)
    assert cache.get("a", MOST, now=1.0) is None
    cache.clear()
    assert len(cache) == 0


# Beside a recorder


def a_call(number: int, state: str) -> CallRow:
    return CallRow(recording(number), state, (f"{number}@x",), "a", "b", 1_893_456_000_000_000)


def test_a_recorder_unlocks_from_a_file_wraps_what_is_finished_and_answers_at_its_door(
    keys: Keys, tmp_path: Path
) -> None:
    protect(keys)
    keys.record(1)
    live = keys.record(2)
    keys.ledger.close()
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET)
    secret.chmod(0o600)
    registrar = Registrar(keys.data_dir)
    registrar.catalogue.upsert_calls([a_call(1, FINISHED), a_call(2, RECORDING)])

    async def run() -> None:
        keys_desk = KeyDesk(registrar, KeysConfig(passphrase_file=secret, site="berlin"))
        task = asyncio.create_task(keys_desk.run())
        while len(registrar.keys.waiting()) != 1:
            assert not task.done()
            await asyncio.sleep(0.01)
        data = keys.data_dir
        status = await asyncio.to_thread(desk.ask, data, {"do": "status"})
        assert status is not None
        assert status["unlocked"] is True
        assert await asyncio.to_thread(desk.ask, data, {"do": "lock"}) == {"was_open": True}
        with pytest.raises(KeysLocked, match="does not open"):
            await asyncio.to_thread(desk.ask, data, {"do": "unlock", "secret": encoded(b"wrong horse")})
        told = await asyncio.to_thread(desk.ask, data, {"do": "unlock", "secret": encoded(SECRET)})
        assert told == {"root": read_ring(data).root.id, "provider": "passphrase"}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert registrar.keys.waiting() == [live]
    assert [bucket.place for bucket in registrar.keys.buckets()] == [("berlin", "unsorted", "2030-01")]
    registrar.close()
    told = [(event["t"], event["by"]) for event in entries(keys.data_dir) if event["t"] in ("key.unlock", "key.lock")]
    me = f"uid {os.geteuid()}"
    assert told == [("key.unlock", "start"), ("key.lock", me), ("key.unlock", me)]
    assert desk.ask(keys.data_dir, {"do": "status"}) is None


def test_a_locked_recorder_says_so_and_waits(keys: Keys) -> None:
    protect(keys)
    keys.record(1)
    keys.ledger.close()
    registrar = Registrar(keys.data_dir)

    async def run() -> None:
        task = asyncio.create_task(KeyDesk(registrar, KeysConfig()).run())
        status = None
        while status is None:
            assert not task.done()
            await asyncio.sleep(0.01)
            try:
                status = await asyncio.to_thread(desk.ask, keys.data_dir, {"do": "status"})
            except KeysLocked:  # the process is not up yet
                status = None
        assert status["unlocked"] is False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert registrar.keys.waiting() == [recording(1)]
    registrar.close()
