"""An archive of one call, a configuration with a target, and an S3 server."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lives import archive as make_archive
from rig.bucket import Store, credentials, serving

Configured = Callable[..., Path]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("storage") / "data"
    make_archive(data)
    return data


@pytest.fixture
def data(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive, tmp_path / "data"))


@pytest.fixture(scope="session")
def s3() -> Iterator[Store]:
    with serving() as store:
        yield store


@pytest.fixture
def configured(data: Path, tmp_path: Path) -> Configured:
    """Writes a configuration with targets; without any, with a second path "disk"."""

    def write(*targets: str, keep_local: str = "always") -> Path:
        (tmp_path / "disk").mkdir(exist_ok=True)
        tables = targets or (f'name = "disk"\npath = "{tmp_path / "disk"}"',)
        text = "".join(f"[[storage]]\n{table}\n" for table in tables)
        config = tmp_path / "vittne.toml"
        config.write_text(f'data = "{data}"\n[store]\nkeep_local = "{keep_local}"\n{text}')
        return config

    return write


@pytest.fixture
def bucket_table(s3: Store, tmp_path: Path) -> Callable[..., str]:
    """Returns the table of a bucket."""

    def table(bucket: str, lock: str = "none", secret: str = "", more: str = "", url: str = "") -> str:
        file = credentials(tmp_path / "s3.credentials", s3.key, secret or s3.secret)
        return (
            f'name = "vault"\nbucket = "{bucket}"\nendpoint = "{url or s3.url}"\nlock = "{lock}"\n'
            f'credentials_file = "{file}"\n{more}'
        )

    return table
