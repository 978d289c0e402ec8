"""A second recorder as a witness, over HTTPS: what it signs, what it refuses, and who carries checkpoints to it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from api.harness import Served, run_served
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from structlog.testing import capture_logs

from vittne.appliance.api.witness import ROUTES, WITNESS
from vittne.appliance.registrar import Registrar
from vittne.appliance.seal.cosignature import WitnessKey, cosign, parse_witness_key
from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.seal.ledgerview import LedgerView
from vittne.appliance.seal.note import Checkpoint, open_checkpoint, sign_note
from vittne.appliance.seal.signing import new_key
from vittne.appliance.store.files import Store
from vittne.appliance.witness.cosigner import request
from vittne.appliance.witness.publisher import CheckpointPublisher, Pusher, Timing
from vittne.appliance.witness.settings import DirectorySettings, LedgerConfig, WitnessSettings
from vittne.appliance.witness.target import Published
from vittne.appliance.witness.witness import Witness

QUICK = Timing(send_s=5, back_off_s=(0.01,))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    Store(tmp_path / "ours").close()
    return open_ledger(tmp_path / "ours")


def grow(ledger: Ledger, count: int) -> Published:
    for _ in range(count):
        ledger.record({"t": "stop"})
    return Published(*ledger.publish_note())


def run(tmp_path: Path, ledger: Ledger, use: Callable[[Served, Witness], Awaitable[None]]) -> None:
    """Run a test beside a second recorder that is a witness of the ledger."""
    other = tmp_path / "other"
    Registrar(other).close()
    witness = Witness(other, [ledger.key.verifier])

    async def whole(served: Served) -> None:
        await use(served, witness)

    run_served(other, whole, routes=ROUTES, fill=lambda app: app.__setitem__(WITNESS, witness))


def settings(served: Served, witness: Witness, key: WitnessKey | None = None) -> LedgerConfig:
    host, port = served.address
    target = WitnessSettings(
        name="other",
        url=f"https://{host}:{port}/api/v1/witness/",
        key=(key or witness.key).text(),
        ca_file=served.certificate.files.certificate,
    )
    return LedgerConfig(publish_s=1, witness=(target,))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def signature_of(key: WitnessKey, note: bytes) -> int | None:
    text, _, lines = note.decode().rpartition("\n\n")
    times = [key.time_of(line, text + "\n") for line in lines.split("\n")]
    return next((at_s for at_s in times if at_s is not None), None)


def test_checkpoints_come_back_cosigned(tmp_path: Path, ledger: Ledger) -> None:
    grow(ledger, 3)

    async def use(served: Served, witness: Witness) -> None:
        publisher = CheckpointPublisher(ledger, settings(served, witness), QUICK)
        running = asyncio.create_task(publisher.run())
        await until(lambda: publisher.pushers[0].sent == 3)
        grow(ledger, 300)
        await until(lambda: publisher.pushers[0].sent == 303)
        running.cancel()

        for name in ("checkpoint", "checkpoint.cosigned"):
            assert signature_of(witness.key, (ledger.directory / name).read_bytes())
        proof = LedgerView(ledger.directory, ledger.key.verifier).prove(3)
        assert signature_of(witness.key, proof.note)
        assert proof.check(ledger.key.verifier).size == 303
        place = hashlib.sha256(ledger.key.name.encode()).hexdigest()
        found = await served.get(f"witness/{place}/checkpoint")
        assert found.status == 200
        assert open_checkpoint(found.body, ledger.key.verifier) == ledger.published
        assert signature_of(witness.key, found.body)
        assert (await served.get(f"witness/{'0' * 64}/checkpoint")).status == 404

    run(tmp_path, ledger, use)


def test_a_note_with_a_cosignature_opens_the_ledger_again(tmp_path: Path, ledger: Ledger) -> None:
    published = grow(ledger, 3)
    Store(tmp_path).close()
    witness = Witness(tmp_path, [ledger.key.verifier])
    line = witness.add_checkpoint(request(ledger.directory, 0, published), at_s=1_700_000_000).body
    ledger.keep_cosigned(published.checkpoint, line)
    ledger.close()

    assert open_ledger(tmp_path / "ours").size == 3
    note = (tmp_path / "ours/ledger/checkpoint.cosigned").read_bytes()
    assert signature_of(witness.key, note) == 1_700_000_000


def test_a_witness_signs_no_ledger_that_was_written_anew(tmp_path: Path, ledger: Ledger) -> None:
    Store(tmp_path).close()
    witness = Witness(tmp_path, [ledger.key.verifier])
    first = grow(ledger, 300)
    second = grow(ledger, 5)

    assert witness.add_checkpoint(request(ledger.directory, 0, first), 1).status == 200
    again = Witness(tmp_path, [ledger.key.verifier])  # it remembers over a restart
    assert again.key == witness.key
    assert again.add_checkpoint(request(ledger.directory, 0, second), 2).body == b"300\n"
    assert again.add_checkpoint(request(ledger.directory, 0, second), 2).content_type == "text/x.tlog.size"
    forged = Checkpoint(ledger.key.name, 305, bytes(32))
    lie = Published(forged, sign_note(forged.text(), ledger.key))
    assert again.add_checkpoint(request(ledger.directory, 300, second)[:-1] + b"x\n", 2).status == 403
    body = request(ledger.directory, 300, second).partition(b"\n\n")[0] + b"\n\n" + lie.note
    assert again.add_checkpoint(body, 2).status == 422
    assert again.add_checkpoint(request(ledger.directory, 300, second), 2).status == 200
    assert again.add_checkpoint(request(ledger.directory, 305, second), 3).status == 200
    assert again.add_checkpoint(request(ledger.directory, 0, first), 3).status == 409  # back to what was


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda body: body.replace(b"old 0", b"old 00"), 400),
        (lambda body: body.replace(b"old 0", b"new 0"), 400),
        (lambda body: body.replace(b"old 0", b"old 9"), 400),
        (lambda body: body.replace(b"old 0\n", b"old 0\n" + b"A" * 43 + b"=\n"), 422),
        (lambda body: body.replace(b"old 0\n", b"old 0\nAAAA\n"), 400),
        (lambda body: body.replace(b"\n\nvittne/", b"\n\nothers/"), 404),
        (lambda body: body[:-10] + b"A" * 9 + b"\n", 403),
        (lambda _: b"", 400),
        (lambda _: b"\xff\xfe\n\n\xff", 400),
    ],
)
def test_requests_that_are_not_as_they_should_be_are_refused(
    change: Callable[[bytes], bytes], status: int, tmp_path: Path, ledger: Ledger
) -> None:
    Store(tmp_path).close()
    witness = Witness(tmp_path, [ledger.key.verifier])
    body = change(request(ledger.directory, 0, grow(ledger, 3)))

    assert witness.add_checkpoint(body, 1).status == status
    assert not list((tmp_path / "witness").iterdir())


def test_a_ledger_that_was_shortened_is_told_by_the_witness(tmp_path: Path, ledger: Ledger) -> None:
    grow(ledger, 3)

    async def use(served: Served, witness: Witness) -> None:
        longer = Checkpoint(ledger.key.name, 9, bytes(32))
        witness.add_checkpoint(b"old 0\n\n" + sign_note(longer.text(), ledger.key), 1)
        publisher = CheckpointPublisher(ledger, settings(served, witness), QUICK)
        with capture_logs() as logs:
            running = asyncio.create_task(publisher.run())
            await until(lambda: publisher.pushers[0].last_error)
            await asyncio.sleep(0.05)
            running.cancel()

        assert "the witness saw 9 entries of this ledger, 3 are here" in publisher.pushers[0].last_error
        told = [one["event"] for one in logs if one["log_level"] == "error"]
        assert told == ["checkpoints of the ledger are not taken"]

    run(tmp_path, ledger, use)


def test_a_signature_by_another_key_is_not_kept(tmp_path: Path, ledger: Ledger) -> None:
    grow(ledger, 3)

    async def use(served: Served, witness: Witness) -> None:
        stranger = WitnessKey(witness.key.name, new_key().verifier.public)
        publisher = CheckpointPublisher(ledger, settings(served, witness, stranger), QUICK)
        running = asyncio.create_task(publisher.run())
        await until(lambda: publisher.pushers[0].last_error)
        running.cancel()

        assert "signature is not good" in publisher.pushers[0].last_error
        assert not (ledger.directory / "checkpoint.cosigned").exists()

    run(tmp_path, ledger, use)


def test_a_target_that_fails_is_told_of_once_and_gets_the_newest_when_it_is_back(
    tmp_path: Path, ledger: Ledger
) -> None:
    share = tmp_path / "share"
    config = LedgerConfig(publish_s=1, directory=(DirectorySettings(name="nas", path=share),))

    async def whole() -> list[Any]:
        publisher = CheckpointPublisher(ledger, config, QUICK)
        with capture_logs() as logs:
            running = asyncio.create_task(publisher.run())
            await until(lambda: publisher.pushers[0]._failures > 3)
            share.mkdir()
            grow(ledger, 2)
            await until(lambda: publisher.pushers[0].sent == 2)
            running.cancel()
        return [(one["event"], one["by"]) for one in logs]

    assert asyncio.run(whole()) == [
        ("checkpoints of the ledger are not taken", "nas"),
        ("checkpoints of the ledger are taken again", "nas"),
    ]


def test_a_ledger_that_cannot_be_published_is_told_once(ledger: Ledger) -> None:
    in_the_way = ledger.directory / ".checkpoint.new"

    async def whole() -> list[tuple[str, int]]:
        publisher = CheckpointPublisher(ledger, LedgerConfig(publish_s=1), QUICK)
        publisher._publish_s = 0.01
        told = []
        with capture_logs() as logs:
            in_the_way.mkdir()
            ledger.record({"t": "stop"})
            running = asyncio.create_task(publisher.run())
            await until(lambda: logs)
            await asyncio.sleep(0.1)
            told.append((logs[-1]["event"], len(logs)))
            in_the_way.rmdir()
            await until(lambda: len(logs) > 1)
            told.append((logs[-1]["event"], len(logs)))
            running.cancel()
        return told

    assert asyncio.run(whole()) == [("the ledger cannot be published", 1), ("the ledger is published again", 2)]
    assert ledger.published.size == 1


def test_a_fault_of_ours_in_a_target_ends_nothing() -> None:
    class Broken:
        async def send(self, published: Published) -> None:
            raise KeyError(published)

    async def whole() -> str:
        pusher = Pusher("broken", Broken(), 0, QUICK)
        running = asyncio.create_task(pusher.run())
        pusher.offer(Published(Checkpoint("x", 0, b""), b""))
        await until(lambda: pusher._failures > 2)
        running.cancel()
        return pusher.last_error

    with capture_logs() as logs:
        assert asyncio.run(whole()).startswith("KeyError at ")
    assert len(logs) == 1


def test_the_example_of_c2sp_is_a_key_and_no_other_line_is() -> None:
    key = WitnessKey("witness.example/w1", bytes(range(32)))

    assert parse_witness_key(key.text()) == key
    for text in ("", "x", key.text()[:-4], new_key().verifier.text(), key.text().replace("w1", "w2")):
        assert parse_witness_key(text) is None


def test_a_cosignature_is_of_one_time_and_one_text() -> None:
    private = Ed25519PrivateKey.generate()
    line = cosign(private, "w", "text\n", 1_700_000_000).rstrip("\n")
    key = WitnessKey("w", private.public_key().public_bytes_raw())

    assert key.time_of(line, "text\n") == 1_700_000_000
    assert key.time_of(line, "Text\n") is None
    assert key.time_of(line[:-1], "text\n") is None
    assert WitnessKey("v", key.public).time_of(line, "text\n") is None
