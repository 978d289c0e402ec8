"""Imports go one way, and the middle of the program touches no world.

appliance -> capture -> codecs.formats      appliance -> codecs
"""

from __future__ import annotations

import ast
import graphlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent

# What lies below a name may import, of this project, what lies below these names. The longest name counts.
MAY_IMPORT: Final = {
    "vittne.appliance": {"vittne"},
    "vittne.appliance.seal": {
        "vittne.appliance.seal",
        "vittne.appliance.keyring",
        "vittne.appliance.store",
        "vittne.capture",
    },
    "vittne.appliance.keyring": {
        "vittne.appliance.keyring",
        "vittne.appliance.seal",
        "vittne.appliance.store",
        "vittne.appliance.datadir",
    },
    "vittne.appliance.keyring.desk": {"vittne.appliance"},
    "vittne.appliance.store": {"vittne.appliance.store"},
    "vittne.capture": {"vittne.capture", "vittne.codecs.formats"},
    "vittne.capture.sip": {
        "vittne.capture.sip",
        "vittne.capture.bytestream",
        "vittne.capture.columns",
        "vittne.capture.errors",
        "vittne.codecs.formats",
    },
    "vittne.codecs": {"vittne.codecs"},
}
OTHERS: Final = {"vittne.capture": {"numpy"}, "vittne.codecs": {"numpy", "av", "pylibsrtp"}}

# Who waits, reads a file or asks the time. slab and lockedmemory map plain memory.
EDGES: Final = {f"vittne.capture.{name}" for name in ("interfaces", "offloads", "pcapfile", "ring", "ringopen")} | {
    f"vittne.capture.{name}" for name in ("lockedmemory", "slab")
}
WORLD: Final = {
    *("asyncio", "concurrent", "fcntl", "glob", "logging", "mmap", "multiprocessing", "os", "pathlib", "selectors"),
    *("select", "shutil", "signal", "socket", "ssl", "structlog", "subprocess", "tempfile", "threading", "time"),
}
WORLDLY_CALLS: Final = {"open", "print", "input", "datetime.now", "datetime.utcnow", "date.today"}


@cache
def modules() -> dict[str, ast.Module]:
    """Return the syntax tree of every module by its import name."""
    trees = {}
    for folder in ("appliance", "capture", "codecs"):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(("vittne", *parts)).removesuffix(".__init__")
            trees[name] = ast.parse(path.read_text(), str(path))
    return trees


def imported(name: str) -> Iterator[str]:
    """Yield what a module imports, by full name: anywhere in it, in functions and for type checkers too."""
    for node in ast.walk(modules()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} line {node.lineno}: imports are written out, not relative"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in modules() else str(node.module)


def is_below(name: str, top: str) -> bool:
    return name == top or name.startswith(f"{top}.")


def rule_for(name: str) -> set[str]:
    return MAY_IMPORT[max((top for top in MAY_IMPORT if is_below(name, top)), key=len)]


def below(top: str) -> list[str]:
    return sorted(name for name in modules() if is_below(name, top))


def test_imports_of_the_project_go_one_way() -> None:
    wrong = {
        f"{name} imports {other}"
        for name in modules()
        for other in imported(name)
        if is_below(other, "vittne") and not any(is_below(other, top) for top in rule_for(name))
    }

    assert wrong == set()


@pytest.mark.parametrize("folder", sorted(OTHERS))
def test_capture_and_codecs_lean_on_few_libraries(folder: str) -> None:
    libraries = {other.partition(".")[0] for name in below(folder) for other in imported(name)}

    assert libraries - sys.stdlib_module_names - {"vittne"} - OTHERS[folder] == set()


def test_capture_is_pure_but_for_its_edges() -> None:
    pure = set(below("vittne.capture")) - EDGES
    worldly = {f"{name} imports {other}" for name in pure for other in imported(name) if other.split(".")[0] in WORLD}

    assert worldly == set()
    assert set(modules()) >= EDGES


def test_only_the_edges_open_files_print_or_ask_the_time() -> None:
    calls = {
        f"{name} line {node.lineno}: {called(node)}"
        for name in set(below("vittne.capture")) - EDGES
        for node in ast.walk(modules()[name])
        if isinstance(node, ast.Call) and called(node) in WORLDLY_CALLS
    }

    assert calls == set()


def called(node: ast.Call) -> str:
    """Return what is called as it is written: open, datetime.now; "" when it is no plain name."""
    match node.func:
        case ast.Name(name):
            return name
        case ast.Attribute(ast.Name(owner), name):
            return f"{owner}.{name}"
    return ""


def test_no_two_modules_import_each_other() -> None:
    graph = {name: {other for other in imported(name) if other in modules()} - {name} for name in modules()}

    list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_capture_runs_without_the_media_library() -> None:
    program = "import importlib, sys; [importlib.import_module(n) for n in sys.argv[1:]]; sys.exit('av' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program, *below("vittne.capture")], check=False).returncode == 0


def test_one_module_has_one_name() -> None:
    for folder in ("appliance", "capture"):
        path = importlib.import_module(f"vittne.{folder}").__file__
        assert path is not None
        assert Path(path).parent == ROOT / folder
    strays = [
        name for name in modules() for other in imported(name) if other.partition(".")[0] in {"capture", "appliance"}
    ]
    assert strays == []
