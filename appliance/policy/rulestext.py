"""Rules in force as the text of a configuration, for who wants to try others: no section that may hold a secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from vittne.appliance.config import Config

TABLES: Final = ("record", "classes", "retention", "basis", "announcement")


def rules_text(config: Config) -> str:
    """Return what decides when a recording is sealed, as TOML."""
    lines: list[str] = []
    for name in TABLES:
        for one in getattr(config, name):
            lines.append(f"[[{name}]]")
            said = one.model_dump(mode="json", exclude_defaults=True, by_alias=True)
            lines += [f"{key} = {_toml(value)}" for key, value in said.items() if value is not None]
            lines.append("")
    return "\n".join(lines)


def _toml(value: Any) -> str:
    """Return a value as TOML writes it.

    >>> _toml({"a": [1, True, "x"]})
    '{ a = [1, true, "x"] }'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items() if one is not None) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return json.dumps(value)
