"""A filter for templates: a dictionary as TOML (v1.0.0), as the recorder reads its configuration."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(settings: Mapping[str, Any]) -> str:
    """Return settings as a TOML document: plain keys, then a section for each table, then lists of tables.

    What is nested deeper stands in one line. None is left out, since TOML has none. Raises TypeError for what it cannot
    say.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    plain = [f"{_key(key)} = {_value(value)}" for key, value in given.items() if not _is_table(value)]
    parts = ["\n".join(plain)] if plain else []
    for key, value in given.items():
        if isinstance(value, Mapping):
            parts.append(_section(f"[{_key(key)}]", value))
        elif _is_table(value):
            parts += [_section(f"[[{_key(key)}]]", one) for one in value]
    return "\n\n".join(parts)


def _is_table(value: Any) -> bool:
    """Whether a value is written as a section of its own, or several."""
    is_list = isinstance(value, (list, tuple))
    return isinstance(value, Mapping) or (is_list and bool(value) and all(isinstance(one, Mapping) for one in value))


def _section(head: str, table: Mapping[str, Any]) -> str:
    lines = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if value is not None]
    return "\n".join([head, *lines])


def _key(key: Any) -> str:
    return str(key) if _BARE.fullmatch(str(key)) else _text(str(key))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else str(float(value))
    if isinstance(value, str):
        return _text(str(value))
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(one)}" for key, one in value.items() if one is not None)
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(one) for one in value)}]"
    raise TypeError(f"TOML has no way to say {type(value).__name__}")


def _text(text: str) -> str:
    # JSON escapes what TOML wants escaped, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


class FilterModule:
    """What Ansible looks for in this folder."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filters by name."""
        return {"to_toml": to_toml}
