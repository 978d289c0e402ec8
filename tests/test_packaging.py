"""What is installed is what is in the folders: packages, data, command, version, locked dependencies."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vittne.appliance.version import VERSION

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = ("capture", "codecs", "appliance")
CODE: Final = {".py"}
BESIDE: Final = {"primitives"}  # what verify.py imports from its own folder, when a stranger runs it
NOT_SHIPPED: Final = {".md", ".pyc"}  # words for who reads the code; those beside data are listed as data


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def files_in(folder: str) -> list[Path]:
    return [path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()]


def package_of(path: Path) -> str:
    return ".".join(("vittne", *path.parent.parts))


def test_every_folder_with_code_is_a_package_of_the_distribution(project: dict[str, Any]) -> None:
    folders = {package_of(path) for folder in FOLDERS for path in files_in(folder) if path.suffix in CODE}

    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(folders)


def test_the_three_top_folders_are_mapped_into_the_namespace(project: dict[str, Any]) -> None:
    assert project["tool"]["setuptools"]["package-dir"] == {f"vittne.{folder}": folder for folder in FOLDERS}


def test_codecs_has_no_init_which_would_hide_the_standard_library() -> None:
    assert not (ROOT / "codecs" / "__init__.py").exists()


def test_type_checkers_see_the_folders_through_links() -> None:
    for folder in FOLDERS:
        assert (ROOT / "tests/namespace/vittne" / folder).resolve() == ROOT / folder


def test_a_wheel_holds_all_code_and_data_and_nothing_else(tmp_path: Path, project: dict[str, Any]) -> None:
    source = copy_of_the_project(tmp_path / "source")

    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", tmp_path, source], check=True)

    (wheel,) = tmp_path.glob("vittne-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    data = project["tool"]["setuptools"]["package-data"]
    assert held == {f"vittne/{path}" for folder in FOLDERS for path in files_in(folder) if is_shipped(path, data)}


def copy_of_the_project(place: Path) -> Path:
    """Building leaves folders behind: it is done in a copy that holds what a build reads."""
    place.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (place / name).write_bytes((ROOT / name).read_bytes())
    for folder in FOLDERS:
        for path in files_in(folder):
            (place / path.parent).mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes((ROOT / path).read_bytes())
    return place


def is_shipped(path: Path, data: dict[str, list[str]]) -> bool:
    """Code, listed data, and any other file too: a data file that nobody listed fails the test."""
    listed = any(
        path.is_relative_to(Path(*package.split(".")[1:]))
        and path.relative_to(Path(*package.split(".")[1:])).match(glob)
        for package, globs in data.items()
        for glob in globs
    )
    return listed or path.suffix not in NOT_SHIPPED


def test_the_command_and_the_version_are_those_of_pyproject(project: dict[str, Any]) -> None:
    assert importlib.metadata.version("vittne") == project["project"]["version"]
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="vittne")
    assert command.value == project["project"]["scripts"]["vittne"]
    assert callable(command.load())


def test_the_program_says_the_version_of_its_distribution(project: dict[str, Any]) -> None:
    assert project["project"]["version"] == VERSION


def test_what_the_code_imports_is_what_pyproject_asks_for(project: dict[str, Any]) -> None:
    distributions = importlib.metadata.packages_distributions()
    known = {module: canonicalize_name(distribution) for module, (distribution, *_) in distributions.items()}
    asked = {canonicalize_name(Requirement(wish).name) for wish in project["project"]["dependencies"]}
    extras = {
        canonicalize_name(Requirement(wish).name)
        for some in project["project"]["optional-dependencies"].values()
        for wish in some
    }

    imported = {module for folder in FOLDERS for path in files_in(folder) for module in libraries_in(path)}

    used = {known.get(module, canonicalize_name(module)) for module in imported - BESIDE} - extras
    assert used == asked


def libraries_in(path: Path) -> set[str]:
    """Return the libraries that a file imports anywhere in it, by the name that is imported."""
    if path.suffix not in CODE:
        return set()
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"vittne"}


def test_the_changelog_knows_this_version(project: dict[str, Any]) -> None:
    assert f"## {project['project']['version']}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_lock_files_answer_what_pyproject_asks_and_name_no_place(project: dict[str, Any]) -> None:
    groups = project["dependency-groups"]
    asked = [*project["project"]["dependencies"], *groups["build"], *(x for x in groups["dev"] if isinstance(x, str))]
    locked = locked_in("requirements-dev.lock")

    for wish in map(Requirement, asked):
        if wish.marker is None or wish.marker.evaluate():
            assert any(wish.specifier.contains(version) for version in locked[wish.name.lower()]), wish
    for name, versions in locked_in("requirements.lock").items():
        assert locked[name] == versions
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()


def locked_in(name: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line[:1].isalnum():
            requirement = Requirement(line.rstrip("\\ "))
            found.setdefault(requirement.name.lower(), set()).add(next(iter(requirement.specifier)).version)
    return found
