"""Epochs and new keys: nothing live is lost, nothing erased comes back, wherever the power goes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from ledgers import entries
from rig.keys import Keys, Part, copy_store, reopened
from rig.killing import survives

from vittne.appliance.keyring import renewal, rotation
from vittne.appliance.keyring.changes import announce, settle
from vittne.appliance.keyring.opening import OpenKeys, create_keys, open_vault
from vittne.appliance.keyring.ring import read_ring, replace_ring, ring_path
from vittne.appliance.keyring.settings import KeysConfig
from vittne.appliance.seal.capsule import CapsuleRefused, KeyStore
from vittne.appliance.seal.keys import ArchiveKey
from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store

CONFIG = KeysConfig()
SECRET = b"correct horse"
Act = Callable[[OpenKeys, Ledger], Iterable[object]]


def an_archive(keys: Keys) -> dict[Part, bytes]:
    """Five recordings in two buckets, two that wait in capsules; then one of each erased. Return the erased."""
    for number in range(5):
        keys.adopt(keys.record(number, parts=2), "main", "ab"[number % 2], "2030-01")
    waiting = [keys.record(number) for number in (5, 6)]
    erased = [part for part, _ in keys.truth.items() if part[0] in (next(iter(keys.truth))[0], waiting[0])]
    return {part: keys.truth[part] for part in erased}


def erase(keys: Keys, gone: Iterable[Part]) -> None:
    for rec in {rec for rec, _ in gone}:
        keys.erase(rec)


def openable(keys: OpenKeys, store: KeyStore, parts: Iterable[Part]) -> list[Part]:
    """Return which keys in a copy of the store the present keys open."""
    found = []
    for rec, part in parts:
        kept = store.get(rec, part)
        assert kept is not None
        try:
            keys.vault.data_key(kept, rec, part)
        except CapsuleRefused:
            continue
        found.append((rec, part))
    return found


def test_after_an_epoch_an_old_copy_of_the_store_opens_nothing(keys: Keys, tmp_path: Path) -> None:
    erased = an_archive(keys)
    everything = list(keys.truth)
    copy = copy_store(keys.data_dir, tmp_path / "copy")
    erase(keys, erased)
    assert openable(keys, copy, erased) == list(erased)  # the present root opens the old copy, before

    renewal.epoch(keys, keys.ledger, "main")

    now = reopened(keys.data_dir)
    assert openable(now, copy, everything) == []
    assert now.vault.root == keys.vault.root  # the root is the same, and so are shares of it
    assert keys.opened() == keys.truth
    now.close()
    copy.close()


def test_an_epoch_leaves_no_old_wrapping_on_the_disk(keys: Keys) -> None:
    an_archive(keys)
    old = [key for _, key, _, _ in keys.store.scan(("", -1), 100)] + [one.wrapped for one in keys.store.buckets()]

    renewal.epoch(keys, keys.ledger, "main")

    on_disk = b"".join(path.read_bytes() for path in keys.data_dir.glob("keys.db*"))
    # A capsule's head is the same in many.
    assert not any(piece[-30:] in on_disk for piece in old)
    assert keys.store.waiting() == []


def test_an_epoch_is_in_the_ledger_with_what_it_destroyed(keys: Keys) -> None:
    an_archive(keys)
    old = keys.vault.ring.pair.kid

    renewal.epoch(keys, keys.ledger, "main")

    begun, done = [event for event in keys.events() if event["t"] == "key.epoch"]
    assert (begun["state"], done["state"], done["epoch"], done["destroyed"]) == ("begun", "done", 2, [old])
    assert done["count"] == 2
    assert ArchiveKey.load_public(keys.data_dir).kid == done["archive"] != old


def test_several_epochs_keep_every_live_key(keys: Keys) -> None:
    erase(keys, an_archive(keys))

    for _ in range(3):
        renewal.epoch(keys, keys.ledger, "main")
        keys.record(100 + keys.vault.ring.epoch.number)

    assert keys.vault.ring.epoch.number == 4
    assert len(keys.vault.ring.archive) == 1
    assert reopened(keys.data_dir).store.count() == len(keys.truth)
    assert keys.opened() == keys.truth


def test_while_a_worker_has_the_old_public_key_its_capsules_still_open(keys: Keys) -> None:
    renewal.epoch(keys, keys.ledger, "main", since=keys.vault.ring.pair.kid)
    old = [pair for pair in keys.vault.ring.archive if pair.retiring]
    assert len(old) == 1
    (keys.data_dir / "keys/archive.pub").write_text(old[0].public)  # as the worker read it before
    rec = keys.record(9)

    assert keys.opened() == keys.truth
    for _ in renewal.finish_steps(keys, keys.ledger, "main"):
        pass
    assert [pair.retiring for pair in keys.vault.ring.archive] == [False]
    assert keys.opened() == keys.truth == {(rec, 0): keys.truth[rec, 0]}


def test_a_capsule_that_does_not_open_stops_an_epoch_before_anything_is_destroyed(keys: Keys) -> None:
    an_archive(keys)
    before = keys.vault.ring.pair.kid
    keys.store.put([("ffffffff-0000-4000-8000-000000000000", 0, "a.b.c.d.e")])

    with pytest.raises(StoreError, match="does not open"):
        renewal.epoch(keys, keys.ledger, "main")

    assert before in {pair.kid for pair in read_ring(keys.data_dir).archive}
    keys.store.erase("ffffffff-0000-4000-8000-000000000000")
    assert keys.opened() == keys.truth


def test_new_buckets_take_over_all_rows(keys: Keys) -> None:
    erase(keys, an_archive(keys))
    old = {bucket.id for bucket in keys.store.buckets()}

    for _ in renewal.renew_buckets(keys, keys.ledger):
        pass

    assert old.isdisjoint(bucket.id for bucket in keys.store.buckets())
    assert keys.opened() == keys.truth


def test_a_new_root_opens_everything_and_the_old_one_nothing(keys: Keys) -> None:
    erase(keys, an_archive(keys))
    old, old_id = keys.vault.root, keys.vault.ring.root.id

    rotation.rotate_root(keys.data_dir, keys.vault, keys.ledger, CONFIG, SECRET)

    with pytest.raises(StoreError, match="another"):
        rotation.vault_of(keys.data_dir, old)
    now = reopened(keys.data_dir, SECRET)
    assert {part: now.data_key(*part) for part in keys.truth} == keys.truth
    event = keys.events()[-1]
    assert (event["kind"], event["former"], event["key"]) == ("root", old_id, now.vault.ring.root.id)
    now.close()


# Killed at every step


def epoch(keys: OpenKeys, ledger: Ledger) -> Iterable[object]:
    return renewal.epoch_steps(keys, ledger, "main")


def archive(keys: OpenKeys, ledger: Ledger) -> Iterable[object]:
    return renewal.renew_archive(keys, ledger, "main")


def buckets(keys: OpenKeys, ledger: Ledger) -> Iterable[object]:
    return renewal.renew_buckets(keys, ledger)


def root(keys: OpenKeys, ledger: Ledger) -> Iterable[object]:
    rotation.rotate_root(keys.data_dir, keys.vault, ledger, CONFIG, SECRET)
    return ()


def passphrase(keys: OpenKeys, ledger: Ledger) -> Iterable[object]:
    rotation.reseal(keys.data_dir, keys.vault, ledger, CONFIG, SECRET)
    return ()


@pytest.mark.sweep
@pytest.mark.parametrize("act", [epoch, archive, buckets, root, passphrase], ids=lambda act: act.__name__)
def test_killed_at_any_step_it_is_finished_or_undone_and_every_key_opens(
    act: Act, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "BATCH", 3)
    erased = an_archive(keys)
    copy = copy_store(keys.data_dir, tmp_path / "copy")
    erase(keys, erased)
    keys.store.empty_log()
    steps = 0
    while True:
        steps += 1
        data = Path(shutil.copytree(keys.data_dir, tmp_path / f"data-{steps}"))

        def action(data: Path = data) -> Iterable[object]:
            with OpenKeys(data, open_vault(data)) as opened:
                ledger = open_ledger(data)
                yield from act(opened, ledger)

        finished = survives(steps, action)
        check(data, keys.truth, copy, erased, must_be_dead=act is epoch)
        shutil.rmtree(data)
        if finished:
            break
    assert steps > 3
    copy.close()


def check(data: Path, truth: dict[Part, bytes], copy: KeyStore, erased: Iterable[Part], must_be_dead: bool) -> None:
    """What must hold after a crash, and after the next who has the passphrase has gone on."""
    ledger = open_ledger(data)
    settle(data, ledger)
    with OpenKeys(data, open_vault(data, SECRET)) as keys:
        assert {part: keys.data_key(*part) for part in truth} == truth
        was_begun = bool(keys.vault.ring.renewing)
        for _ in renewal.finish_steps(keys, ledger, "main"):
            pass
        for _ in renewal.renew_buckets(keys, ledger, ()):
            pass
        assert {part: keys.data_key(*part) for part in truth} == truth
        assert not keys.vault.ring.renewing
        assert len(keys.vault.ring.archive) == len(keys.vault.ring.epochs) == 1
        assert ArchiveKey.load_public(data).kid == keys.vault.ring.pair.kid
        if must_be_dead and (was_begun or keys.vault.ring.epoch.number > 1):
            assert openable(keys, copy, erased) == []
    ledger.close()
    told = entries(data)
    if keys.vault.ring.epoch.number > 1:
        states = [event["state"] for event in told if event["t"] == "key.epoch"]
        assert list(dict.fromkeys(states)) == ["begun", "done"]  # either may stand there twice
    assert not (data / "keys/pending.json").exists()


@pytest.mark.sweep
def test_a_first_start_that_is_killed_at_any_step_begins_again_or_is_finished(tmp_path: Path) -> None:
    steps, finished = 0, False
    while not finished:
        steps += 1
        data = tmp_path / f"data-{steps}"
        Store(data).close()

        def action(data: Path = data) -> Iterable[object]:
            create_keys(data)
            return ()

        finished = survives(steps, action)
        if not (ring_path(data).exists() and (data / "keys/archive.pub").exists()):
            create_keys(data)
        vault = open_vault(data)
        assert ArchiveKey.load_public(data).kid == vault.archive.public.kid
    assert steps > 3


def test_a_change_that_never_happened_is_not_in_the_ledger(keys: Keys) -> None:
    before = len(keys.events())
    ring = keys.vault.renewing("epoch", "2030-01-01T00:00:00.000000Z")
    announce(keys.data_dir, ring, {"t": "key.epoch", "epoch": 2, "state": "begun"})

    settle(keys.data_dir, keys.ledger)

    assert len(keys.events()) == before
    announce(keys.data_dir, ring, {"t": "key.epoch", "epoch": 2, "state": "begun"})
    replace_ring(keys.data_dir, ring)
    settle(keys.data_dir, keys.ledger)
    assert keys.events()[-1]["t"] == "key.epoch"
