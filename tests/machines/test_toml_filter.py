"""The role's filter: what it writes is read as what was meant."""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

FILTER = Path(__file__).resolve().parents[2] / "ansible/roles/vittne/filter_plugins/toml.py"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALAR = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | TEXT
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


def filters() -> dict[str, Callable[[Mapping[str, Any]], str]]:
    spec = importlib.util.spec_from_file_location("toml_filter", FILTER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Callable[[Mapping[str, Any]], str]] = module.FilterModule().filters()
    return found


to_toml = filters()["to_toml"]


@given(st.dictionaries(TEXT, VALUE, max_size=4))
def test_settings_are_read_as_they_were_given(settings: dict[str, Any]) -> None:
    assert tomllib.loads(to_toml(settings)) == settings


def test_sections_and_lists_of_tables_are_written_as_people_write_them() -> None:
    settings = {"api": {"port": 8443}, "rules": [{"name": "a"}, {"name": "b"}], "hold_back_s": 2.0, "none": None}

    assert to_toml(settings) == (
        'hold_back_s = 2.0\n\n[api]\nport = 8443\n\n[[rules]]\nname = "a"\n\n[[rules]]\nname = "b"'
    )


def test_what_toml_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        to_toml({"key": b"bytes"})
