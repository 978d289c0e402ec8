"""The examples in docstrings are run, so that what they show is what happens."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
NOT_BY_IMPORT: Final = {"__main__", "env"}  # a program's start; a script that only Alembic can run


def modules() -> list[str]:
    """Return the names of all modules of the project with an example in them, as they are imported."""
    paths = (
        path.relative_to(ROOT)
        for folder in ("capture", "codecs", "appliance")
        for path in (ROOT / folder).rglob("*.py")
    )
    return sorted(
        ".".join(("vittne", *path.parent.parts, *([] if path.stem == "__init__" else [path.stem])))
        for path in paths
        if path.stem not in NOT_BY_IMPORT and ">>>" in (ROOT / path).read_text()
    )


def test_examples_in_docstrings_hold() -> None:
    results = {name: doctest.testmod(importlib.import_module(name)) for name in modules()}

    assert {name: result for name, result in results.items() if result.failed} == {}
    assert sum(result.attempted for result in results.values()) > 0
