"""Copying beside a recorder: a real process copies, the recorder's operator enters; alarms come once and go."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cuts import REC
from lives import folder
from rig.authority import issue
from rig.bucket import Store
from rig.spoiling import spoiling
from structlog.testing import capture_logs

from vittne.appliance.config import load
from vittne.appliance.control.server import Operator
from vittne.appliance.operations import OPERATIONS
from vittne.appliance.pausebooks import PauseBooks
from vittne.appliance.registrar import Registrar
from vittne.appliance.storage.known import known_targets
from vittne.appliance.storage.runner import StorageRunner
from vittne.appliance.storage.table import StoredTable
from vittne.appliance.store.times import now_us

Vittne = Callable[..., tuple[int, str, str]]
Configured = Callable[..., Path]
Table = Callable[..., str]


@contextmanager
def runner(data: Path, config: Path) -> Iterator[tuple[StorageRunner, Registrar]]:
    registrar = Registrar(data)
    settings = load(config)
    try:
        operator = Operator(registrar, OPERATIONS)
        yield StorageRunner(operator, data, settings.storage, settings.store), registrar
    finally:
        registrar.close()


def alarms(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(one["event"]) for one in logs if str(one["event"]).startswith("alarm")]


def test_the_process_copies_and_the_recorder_enters(data: Path, configured: Configured, tmp_path: Path) -> None:
    config = configured()
    (target,) = load(config).storage

    with runner(data, config) as (running, registrar):
        assert asyncio.run(running.once(target))
        (row,) = StoredTable(registrar.catalogue).of(REC)

    assert (row.state, row.size_bytes) == ("stored", sum(one.stat().st_size for one in folder(data).iterdir()))
    assert len(list((tmp_path / "disk").rglob("part-*.floe"))) == 3


def test_what_waits_at_the_start_is_copied_while_the_books_are_kept_in_their_thread(
    data: Path, configured: Configured
) -> None:
    config = load(configured())
    registrar = Registrar(data)
    books = PauseBooks(registrar)

    async def work() -> None:
        operator = Operator(registrar, OPERATIONS, books.do)
        task = asyncio.create_task(StorageRunner(operator, data, config.storage, config.store).run())
        async with asyncio.timeout(60):
            while not await books.do(StoredTable(registrar.catalogue).of, REC):
                await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    try:
        asyncio.run(work())
        assert StoredTable(registrar.catalogue).of(REC)[0].state == "stored"
    finally:
        books.close()
        registrar.close()
    assert [one.name for one in known_targets(data)] == ["disk"]


def test_a_target_that_is_away_is_told_of_once_and_when_it_is_back(
    data: Path, configured: Configured, tmp_path: Path
) -> None:
    config = configured()
    (target,) = load(config).storage
    (tmp_path / "disk").rmdir()

    with runner(data, config) as (running, _), capture_logs() as logs:
        assert not asyncio.run(running.once(target))
        assert not asyncio.run(running.once(target))
        (tmp_path / "disk").mkdir()
        assert asyncio.run(running.once(target))

    assert alarms(logs) == ["alarm: a storage target cannot be worked with"]
    assert [one["event"] for one in logs][-1] == "a storage target is back"


def test_a_lock_that_is_promised_and_missing_is_an_alarm_at_the_start(
    data: Path, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    config = configured(bucket_table(s3.bucket(), "governance"))
    (target,) = load(config).storage

    with runner(data, config) as (running, _), capture_logs() as logs:
        assert not asyncio.run(running.once(target))

    assert alarms(logs) == ["alarm: a storage target does not lock as it promises; nothing is copied there"]


def test_who_waits_too_long_is_told_of_once(data: Path, configured: Configured) -> None:
    with runner(data, configured()) as (running, registrar), capture_logs() as logs:
        sums = running.look()["disk"]
        running.look()
        (row,) = registrar.catalogue.get_all([REC])

    assert (sums.waiting, sums.waiting_since_us) == (1, row.ended_us)
    assert alarms(logs) == ["alarm: recordings wait long for a storage target"]


def test_a_recording_that_fails_waits_longer_each_time(data: Path, configured: Configured) -> None:
    config = configured()
    (target,) = load(config).storage
    (folder(data) / "part-1.floe").unlink()
    waits = []

    with runner(data, config) as (running, registrar), capture_logs() as logs:
        table = StoredTable(registrar.catalogue)
        for _ in range(2):
            assert asyncio.run(running.once(target))
            (row,) = table.of(REC)
            waits.append(row.next_us - now_us())
            assert asyncio.run(running.once(target))  # not before its time
            assert table.of(REC) == [row]
            table.put([replace(row, next_us=0)])

    assert row.tries == 2
    assert waits[0] < waits[1]
    assert alarms(logs) == ["alarm: a recording could not be copied"]


def test_copies_are_read_back_again_after_so_many_days(data: Path, configured: Configured, tmp_path: Path) -> None:
    config = configured()
    (target,) = load(config).storage

    with runner(data, config) as (running, registrar), capture_logs() as logs:
        table = StoredTable(registrar.catalogue)
        asyncio.run(running.once(target))
        (copy,) = (tmp_path / "disk").rglob("part-0.floe")
        copy.write_bytes(b"x")
        asyncio.run(running.once(target))
        assert table.of(REC)[0].state == "stored"  # its turn is not yet

        table.put([replace(table.of(REC)[0], checked_us=1)])
        asyncio.run(running.once(target))
        assert alarms(logs) == ["alarm: a copy at a storage target is damaged"]
        asyncio.run(running.once(target))  # and it is made anew

        assert table.of(REC)[0].state == "stored"
    assert copy.read_bytes() == (folder(data) / "part-0.floe").read_bytes()


def test_a_process_that_is_left_alone_ends(data: Path, configured: Configured, bucket_table: Table, s3: Store) -> None:
    with spoiling(s3.url) as spoiler:
        spoiler.mode = "slow"
        config = configured(bucket_table(s3.bucket(), url=spoiler.url))
        (target,) = load(config).storage

        async def cancelled(running: StorageRunner) -> None:
            task = asyncio.create_task(running.once(target))
            while not spoiler.asked:
                await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        with runner(data, config) as (running, registrar):
            asyncio.run(cancelled(running))
            spoiler.mode = ""
            assert asyncio.run(running.once(target))  # nobody has its lock
            assert StoredTable(registrar.catalogue).of(REC)[0].state == "stored"


def test_a_store_that_vouches_for_its_hashes_is_not_read_back_when_it_may_be_believed(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store
) -> None:
    with spoiling(s3.url) as spoiler:
        table = bucket_table(s3.bucket(), more='verify = "checksum"', url=spoiler.url)

        assert vittne("storage", "push", "--config", configured(table))[0] == 0

        assert [one for one in spoiler.asked if one.startswith("GET") and "part-" in one] == []
        assert len([one for one in spoiler.asked if one.startswith("HEAD") and "part-" in one]) == 3


def test_a_certificate_that_nobody_vouches_for_is_refused(
    vittne: Vittne, configured: Configured, bucket_table: Table, s3: Store, tmp_path: Path
) -> None:
    root = issue("Vittne Test Root")
    name = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    leaf = issue("store", root, ca=False, usage=[ExtendedKeyUsageOID.SERVER_AUTH], extensions=[name])
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "leaf.pem").write_bytes(leaf.pem + key)
    (tmp_path / "root.pem").write_bytes(root.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "leaf.pem")
    bucket = s3.bucket()

    with spoiling(s3.url, context) as spoiler:
        good = bucket_table(bucket, url=spoiler.url, more=f'ca_file = "{tmp_path / "root.pem"}"')
        status, out, _ = vittne("storage", "push", "--config", configured(bucket_table(bucket, url=spoiler.url)))
        assert (status, "CERTIFICATE_VERIFY_FAILED" in out, s3.keys(bucket)) == (1, True, [])
        assert vittne("storage", "push", "--config", configured(good))[0] == 0


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('name = "a"', "path or bucket"),
        ('name = "a"\nbucket = "abc"', "belong together"),
        ('name = "a"\nbucket = "abc"\nendpoint = "http://s3.example.org"', "https:// is expected"),
        ('name = "a"\nbucket = "abc"\nendpoint = "https://k:s@s3.example.org"', "no password in an address"),
        ('name = "a"\npath = "/x"\nlock = "compliance"', "with a bucket only"),
        ('name = "a"\nbucket = "abc"\nendpoint = "https://s3.example.org"\nprefix = "../up"', "names of letters"),
        ('name = "a"\npath = "/x"\n[[storage]]\nname = "a"\npath = "/y"', "have one name"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(vittne: Vittne, configured: Configured, table: str, words: str) -> None:
    status, _, error = vittne("storage", "status", "--config", configured(table))

    assert (status, words in error) == (1, True), error
