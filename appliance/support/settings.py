"""The configuration for a support bundle: numbers, switches and words that settings may be; no text of a person's.

Every text that the schema does not name itself (hosts, paths, numbers, names, patterns) is replaced, and so are files
of secrets. What is left says which parts are in use, and how they are set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vittne.appliance.support.names import Names

_INTERFACE: Final = re.compile(r"(?:eth|en[ospx]|bond|br|lo|veth|vlan|tap|tun|wl)[0-9a-z]{0,6}")
_SPAN: Final = re.compile(r"[0-9]{1,4} ?(?:s|min|h|days?|weeks?|months?|years?)")
_SECRET: Final = re.compile(r"password|secret|token|passphrase|pin|credential|key_file", re.IGNORECASE)
_MOST: Final = 10**7


def settings_told(given: Mapping[str, Any], schema: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Return a configuration. given: what differs from the defaults, as JSON; schema: of all of it."""
    words = frozenset(_words(schema))
    return {key: _told(key, value, words, names) for key, value in given.items()}


def _words(schema: Any) -> Iterator[str]:
    """Yield the names of settings, and texts that the schema lists as values or defaults."""
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key == "properties" and isinstance(value, Mapping):
                yield from map(str, value)
            if key in ("enum", "const", "default"):
                yield from _texts(value)
            else:
                yield from _words(value)
    elif isinstance(schema, list):
        for one in schema:
            yield from _words(one)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _told(key: str, value: Any, words: frozenset[str], names: Names) -> Any:
    match value:
        case Mapping():
            return {
                inner if inner in words else names.word("name", inner): _told(inner, one, words, names)
                for inner, one in value.items()
            }
        case list() | tuple():
            return [_told(key, one, words, names) for one in value]
        case bool() | None:
            return value
        case int() | float():
            return value if abs(value) < _MOST else names.word("number", str(value))
    text = str(value)
    if _SECRET.search(key):
        return "removed"
    is_known = text in words or not text or _INTERFACE.fullmatch(text) or _SPAN.fullmatch(text)
    return text if is_known else names.word("text", text)
