"""`vittne keys`: look at the keys, protect them, back them up, recover them, put new ones in their place.

What changes keys has the data directory to itself, or works beside a recorder that runs and writes for it
(keys_beside.py). Restoring, recovering and proving keys need the recorder to stand still.
Secrets are typed without echo or come from files, and never stand in a command line.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vittne.appliance.config import Config, load
from vittne.appliance.datadir import config_file, data_dir, existing_data_dir
from vittne.appliance.keyring import changes, desk, renewal, rotation, secretfile, shares
from vittne.appliance.keyring.backup import prove_backup, restore, write_backup
from vittne.appliance.keyring.envelope import PASSPHRASE, encoded
from vittne.appliance.keyring.errors import KeysMissing
from vittne.appliance.keyring.listing import list_keys
from vittne.appliance.keyring.opening import OpenKeys, has_proof, has_shares, keys_warning, open_vault
from vittne.appliance.keyring.providers import PKCS11, TPM2, secret_for, unseal
from vittne.appliance.keyring.ring import Ring, Shares, read_ring, ring_path
from vittne.appliance.keyring.selftest import check_profile
from vittne.appliance.keyring.selftest import run as run_self_test
from vittne.appliance.keyring.sharesio import print_shares, read_shares, write_shares
from vittne.appliance.keyring.vault import Vault
from vittne.appliance.keys_beside import RecorderBooks, RecorderStore
from vittne.appliance.seal import events
from vittne.appliance.seal.capsule import KeyStore
from vittne.appliance.seal.ledger import Ledger, open_ledger
from vittne.appliance.seal.rotation import rotate_key
from vittne.appliance.show import json_array, json_object
from vittne.appliance.store.errors import StoreError
from vittne.appliance.store.files import Store
from vittne.appliance.store.lock import DataLock, LockHeld
from vittne.appliance.store.times import now_us, rfc3339
from vittne.appliance.terminal import Cell, Column, table

Options = argparse.Namespace

_COLUMNS: Final = [
    Column("id", least=12),
    Column("kind"),
    Column("state"),
    Column("created"),
    Column("for", spare=2),
    Column("keys", right=True),
    Column("exportable", least=10, spare=1),
    Column("where", least=16),
]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command that changes keys works with; the directory's lock is held, or its recorder writes for us."""

    data: Path
    config: Config
    vault: Vault
    ledger: changes.Books

    def keys(self) -> OpenKeys:
        """Open the store of data keys."""
        return OpenKeys(self.data, self.vault, KeyStore if self.recorder is None else RecorderStore)

    @property
    def recorder(self) -> RecorderBooks | None:
        """The recorder's books, beside one."""
        return self.ledger if isinstance(self.ledger, RecorderBooks) else None

    @property
    def since(self) -> str:
        """The pair that a worker may still have; "" when none runs."""
        return "" if self.recorder is None else self.recorder.since


def _list(options: Options) -> int:
    found = list_keys(_data(options))
    if options.json:
        sys.stdout.writelines(json_array(one.as_json() for one in found))
        return 0
    rows: list[list[str | Cell]] = [
        [
            one.id,
            one.kind,
            one.state,
            one.created[:16].replace("T", " "),
            one.cryptoperiod,
            "" if one.rows is None else str(one.rows),
            one.exportable,
            one.where,
        ]
        for one in found
    ]
    print("\n".join(table(_COLUMNS, rows)))
    return 0


def _status(options: Options) -> int:
    data = _data(options)
    ring, live = read_ring(data), desk.ask(data, {"do": "status"})
    told = {
        "root": ring.root.id,
        "provider": ring.provider,
        "epoch": ring.epoch.number,
        "renewing": ring.renewing,
        "backup_proven": has_proof(data, ring),
        "shares_made": has_shares(ring),
        "recorder": live,
    }
    if options.json:
        sys.stdout.write(json_object(told))
        return 0
    print(f"root {ring.root.id}, kept by: {ring.provider}; epoch {ring.epoch.number}")
    if live is None:
        print("no recorder runs: commands that open recordings unlock for themselves")
    elif live["unlocked"]:
        print(f"the recorder is unlocked; {live['waiting']} recordings wait to be wrapped under their buckets")
    else:
        print(f"the recorder is locked: it records; {live['waiting']} recordings wait for `vittne keys unlock`")
    if live is not None and not live["memory_locked"]:
        print("its memory can be swapped out: give it CAP_IPC_LOCK or LimitMEMLOCK=infinity, or encrypt the swap")
    if ring.renewing:
        print(f"a renewal ({ring.renewing}) was interrupted: run `vittne keys epoch`")
    if (warning := keys_warning(data)) is not None:
        print(warning)
    return 0


def _passphrase(options: Options) -> int:
    with _changing(options) as opened:
        secret = _new_secret(options, opened.config)
        rotation.reseal(opened.data, opened.vault, opened.ledger, opened.config.keys, secret)
        print(f"the root is kept by {opened.config.keys.provider} now")
        _advise(opened.data, opened.vault.ring)
    return 0


def _backup(options: Options) -> int:
    at = rfc3339(now_us())
    if not options.prove:
        with _changing(options) as opened:
            write_backup(opened.data, opened.vault, options.file, at)
            ring = opened.vault.ring
            told = {"t": events.KEY_BACKUP, "key": ring.root.id, "epoch": ring.epoch.number, "proven": False}
            changes.tell(opened.ledger, told)
        print(f"written: {options.file}; keep it elsewhere, prove it there: vittne keys backup --prove FILE")
        return 0
    data = _data(options)
    with _alone(data, "proving a backup of the keys"), _ledger(data) as ledger:
        root = prove_backup(data, options.file, _unsealer(options, options.file), at)
        told = {"t": events.KEY_BACKUP, "key": root, "epoch": read_ring(data).epoch.number, "proven": True}
        changes.tell(ledger, told)
    print("proven: everything in it opens, and it is what is in use")
    return 0


def _restore(options: Options) -> int:
    data = data_dir(options.data, options.config)
    Store(data).close()  # makes the directory
    with _alone(data, "restoring keys"):
        vault = restore(data, options.file, _unsealer(options, options.file))
        print(f"restored: root {vault.ring.root.id}, epoch {vault.ring.epoch.number}")
        print("the ledger and keys.db are not in it: put them back from their own backups")
    return 0


def _shares(options: Options) -> int:
    with _changing(options) as opened:
        made = shares.make_shares(opened.vault.root, options.threshold, options.shares)
        root, at = opened.vault.ring.root.id, rfc3339(now_us())
        if options.to is not None:
            write_shares(made, options.to)
        else:
            print_shares(made)
        note = Shares(root=root, at=at, threshold=options.threshold, shares=options.shares)
        told = {"t": events.KEY_SHARES, "key": root, "threshold": options.threshold, "shares": options.shares}
        changes.commit(opened.data, opened.vault, opened.vault.told_of_shares(note), told, opened.ledger)
        print(f"{options.shares} shares made, any {options.threshold} give the root back; give each to another person")
    return 0


def _recover(options: Options) -> int:
    config, data = _config(options), _data(options)
    with _alone(data, "recovering the root"), _ledger(data) as ledger:
        vault = rotation.vault_of(data, shares.combine(read_shares()))
        rotation.recover(data, vault, ledger, config.keys, _new_secret(options, config))
        print(f"the root is kept by {config.keys.provider} now")
        _advise(data, vault.ring)
    return 0


def _rotate(options: Options) -> int:
    if options.ledger:
        config, data = _config(options), _data(options)
        with _alone_or_beside(data, "rotating the ledger's key") as recorder:
            fips = bool(config.keys.fips)
            line = rotate_key(data, fips).text() if recorder is None else recorder.rotate_ledger(fips)
        print(f"a new key signs from now on; hand this line to whoever checks:\n{line}")
        return 0
    with _changing(options) as opened:
        if options.root:
            secret = _new_secret(options, opened.config)
            rotation.rotate_root(opened.data, opened.vault, opened.ledger, opened.config.keys, secret)
            print("there is a new root; backups and shares of the old one are void")
            _advise(opened.data, opened.vault.ring)
            return 0
        with opened.keys() as keys:
            if options.archive:
                _shown(renewal.renew_archive(keys, opened.ledger, opened.config.keys.site, opened.since))
            else:
                _shown(renewal.renew_buckets(keys, opened.ledger, options.bucket or None))
    return 0


def _epoch(options: Options) -> int:
    with _changing(options) as opened:
        if options.backup is not None and options.backup.exists():
            raise StoreError("there is a file already", options.backup, "choose another name")
        with opened.keys() as keys:
            _shown(renewal.epoch_steps(keys, opened.ledger, opened.config.keys.site, opened.since))
        print(f"epoch {opened.vault.ring.epoch.number}: what was erased before is dead in every older copy of keys.db")
        if options.backup is not None:
            write_backup(opened.data, opened.vault, options.backup, rfc3339(now_us()))
            print(f"written: {options.backup}")
        print("destroy older backups of the keys: they, and only they, can still open old copies of keys.db")
    return 0


def _unlock(options: Options) -> int:
    data = _data(options)
    if desk.ask(data, {"do": "status"}) is None:
        raise StoreError("no recorder runs here", data, "nothing to unlock: commands ask for the passphrase themselves")
    secret = _secret(read_ring(data), options, _config(options))
    desk.ask(data, {"do": "unlock", "secret": None if secret is None else encoded(secret)})
    print("unlocked")
    return 0


def _lock(options: Options) -> int:
    data = _data(options)
    found = desk.ask(data, {"do": "lock"})
    if found is None:
        raise StoreError("no recorder runs here", data, "nothing is unlocked")
    print("locked" if found["was_open"] else "it was locked already")
    return 0


def _self_test(options: Options) -> int:
    results = run_self_test()
    if options.json:
        names = ("name", "purpose", "library", "approved", "vector")
        told = ({**{name: getattr(one.primitive, name) for name in names}, "passed": one.passed} for one in results)
        sys.stdout.writelines(json_array(told))
    else:
        columns = [Column("primitive"), Column("answer"), Column("FIPS"), Column("module"), Column("for", least=10)]
        rows: list[list[str | Cell]] = [
            [
                one.primitive.name,
                "right" if one.passed else "WRONG",
                "approved" if one.primitive.approved else "no",
                one.primitive.library,
                one.primitive.purpose,
            ]
            for one in results
        ]
        print("\n".join(table(columns, rows)))
    for warning in check_profile(_config(options).keys.fips):
        print(warning, file=sys.stderr)
    return 0 if all(one.passed for one in results) else 1


ACTIONS: Final[dict[str, Callable[[Options], int]]] = {
    "list": _list,
    "status": _status,
    "passphrase": _passphrase,
    "backup": _backup,
    "restore": _restore,
    "shares": _shares,
    "recover": _recover,
    "rotate": _rotate,
    "epoch": _epoch,
    "unlock": _unlock,
    "lock": _lock,
    "self-test": _self_test,
}


def _data(options: Options) -> Path:
    return existing_data_dir(options.data, options.config)


def _config(options: Options) -> Config:
    return load(config_file(options.config))


@contextmanager
def _changing(options: Options) -> Iterator[Opened]:
    """Unlock with the directory's lock held or beside its recorder, and end what a crash left. Raises StoreError."""
    config, data = _config(options), _data(options)
    ring = read_ring(data)
    with _alone_or_beside(data, "changing keys") as recorder:
        vault = open_vault(data, _secret(ring, options, config), config=config.keys)
        with _ledger(data) if recorder is None else nullcontext(recorder) as books:
            opened = Opened(data, config, vault, books)
            if vault.ring.renewing:
                with opened.keys() as keys:
                    _shown(renewal.finish_steps(keys, books, config.keys.site, opened.since))
            yield opened


@contextmanager
def _alone_or_beside(data: Path, doing: str) -> Iterator[RecorderBooks | None]:
    """Take the directory's lock, or yield the books of the recorder that has it. Raises StoreError."""
    try:
        lock = DataLock(data, doing)
    except LockHeld as error:
        try:
            recorder = RecorderBooks(data)
        except LockHeld:
            raise StoreError(error.what, data, "stop the recorder for it, then start it again") from error
        yield recorder
        return
    with lock:
        yield None


@contextmanager
def _alone(data: Path, doing: str) -> Iterator[None]:
    try:
        lock = DataLock(data, doing)
    except LockHeld as error:
        raise StoreError(error.what, data, "stop the recorder for it, then start it again") from error
    with lock:
        yield


@contextmanager
def _ledger(data: Path) -> Iterator[Ledger]:
    ledger = open_ledger(data)
    try:
        changes.settle(data, ledger)
        KeyStore(data / "keys.db").close()  # there is one from now on
        yield ledger
    finally:
        ledger.close()


def _secret(ring: Ring, options: Options, config: Config) -> bytes | None:
    """Return what opens the root now: from a file, or typed."""
    if options.passphrase_file is not None:
        return secretfile.read_secret(options.passphrase_file)
    found = secret_for(ring.provider, os.environ, config.keys)
    if found is None and ring.provider in (PASSPHRASE, PKCS11):
        return secretfile.asked("Passphrase" if ring.provider == PASSPHRASE else "PIN of the token")
    return found


def _new_secret(options: Options, config: Config) -> bytes | None:
    """Return what the root is to be sealed with."""
    kind = config.keys.provider
    if kind == TPM2:
        return None
    if kind == PASSPHRASE:
        return secretfile.new_passphrase(options.new_passphrase_file)
    if options.new_passphrase_file is not None:
        return secretfile.read_secret(options.new_passphrase_file)
    return secret_for(kind, os.environ, config.keys) or secretfile.asked("PIN of the token")


def _unsealer(options: Options, where: Path) -> Callable[[Ring], bytes]:
    def opened(ring: Ring) -> bytes:
        if options.shares:
            return shares.combine(read_shares())
        return unseal(ring.root.envelope, ring.root.id, _secret(ring, options, _config(options)), str(where))

    return opened


def _shown(steps: Iterator[str]) -> None:
    for step in steps:
        print(step, file=sys.stderr)


def _advise(data: Path, ring: Ring) -> None:
    with suppress(KeysMissing):
        if not has_proof(data, ring):
            print("now make a backup and prove it: vittne keys backup FILE, then vittne keys backup --prove FILE")
    if not has_shares(ring):
        print(f"there are no recovery shares of {ring_path(data).name}'s root: vittne keys shares")
