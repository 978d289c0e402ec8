"""An archive with two recordings and two stamps, its bundle, and an empty root to look at it in: made once."""

from __future__ import annotations

import shutil

import pytest
from rig.authority import Authority
from rig.bundles import EmptyRoot, World, bundle, log_something, note_of, stamp, two_recordings


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    where = tmp_path_factory.mktemp("evidence")
    authority = Authority(where / "authority")
    data = two_recordings(where)
    kept = note_of(data)
    log_something(data)
    stamp(data, authority)
    log_something(data)
    log_something(data)
    stamp(data, authority)
    log_something(data)
    (where / "kept").write_bytes(kept)
    top = where / "root"
    top.mkdir()
    good = bundle(data, top / "good", "--sealed", "--checkpoint", where / "kept")
    root = EmptyRoot.make(top, good)
    known = top / "known"
    known.mkdir()
    shutil.copy(data / "keys/ledger.pub.pem", known / "key.pem")
    shutil.copy(authority.ca_file, known / "ca.pem")
    (known / "checkpoint").write_bytes(kept)
    return World(data, root, authority, good)
