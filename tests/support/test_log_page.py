"""docs/logs.md names every line that the program writes, and what stands in each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LEVELS = ("debug", "info", "warning", "error", "critical")
_ROW = re.compile(r"^\| (\w+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)


def written() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for path in (TOP / "appliance").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or not node.args:
                continue
            said = node.args[0]
            is_log = getattr(node.func.value, "id", "") == "log" and node.func.attr in LEVELS
            if is_log and isinstance(said, ast.Constant) and not str(said.value).startswith("alarm:"):
                yield node.func.attr, str(said.value), tuple(one.arg for one in node.keywords if one.arg)


def test_the_page_names_every_line_and_no_other() -> None:
    rows = [row for row in _ROW.findall((TOP / "docs" / "logs.md").read_text()) if row[0] in LEVELS]

    assert {line for _, line, _ in rows} == {line for _, line, _ in written()}


def test_what_the_page_says_of_a_line_holds_for_one_place_that_writes_it() -> None:
    places = set(written())

    for level, line, members in _ROW.findall((TOP / "docs" / "logs.md").read_text()):
        if level in LEVELS:
            assert (level, line, tuple(re.findall(r"`(\w+)`", members))) in places
