"""DIR/storage.json: the targets that were configured last, so that whoever opens a recording can find it. No secret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from vittne.appliance.storage.settings import StorageTarget
from vittne.appliance.store.errors import StoreError, explain
from vittne.appliance.store.files import write_atomically

KNOWN_FILE: Final = "storage.json"
_TARGETS: Final = TypeAdapter(tuple[StorageTarget, ...])


def note_targets(data_dir: Path, targets: Sequence[StorageTarget]) -> None:
    """Write down what is configured, where that is new. Raises StoreError."""
    path = data_dir / KNOWN_FILE
    data = _TARGETS.dump_json(tuple(targets), indent=1, exclude_defaults=True) + b"\n"
    if path.exists() or targets:
        try:
            if not path.exists() or path.read_bytes() != data:
                write_atomically(path, data)
        except OSError as error:
            raise explain(error, "read a file", path) from error


def known_targets(data_dir: Path) -> tuple[StorageTarget, ...]:
    """Return the targets that were configured last. Raises StoreError."""
    path = data_dir / KNOWN_FILE
    try:
        return _TARGETS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise explain(error, "read a file", path) from error
    except ValidationError as error:
        what = "what was configured of storage targets cannot be read"
        raise StoreError(what, path, "any `vittne storage` command with the configuration writes it anew") from error
