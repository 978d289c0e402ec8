"""Canonical JSON: one value, one text, so that a hash or a signature of it means the value.

RFC 8785, for the values that manifests and ledger hold: strings, whole numbers, booleans, null, lists and
objects with ASCII names. Fractions are refused, which leaves out the only hard part of the RFC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"

_SAFE: Final = 2**53 - 1  # larger ones are not the same number in every reader (RFC 7493 section 2.2)
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


class NotCanonical(ValueError):
    """The bytes are not the canonical form of any value that we write."""


def canonical(value: Json) -> bytes:
    """Return the canonical text of a value. ValueError for values that have none.

    >>> canonical({"b": [1, True, None], "a": "\\u20ac\\n"})
    b'{"a":"\\xe2\\x82\\xac\\\\n","b":[1,true,null]}'
    """
    _check(value)
    # json escapes exactly what RFC 8785 section 3.2.2.2 wants, in lower case; ASCII names sort the same in
    # code points (json) and in UTF-16 units (the RFC).
    return _ENCODER.encode(value).encode()  # a lone surrogate ends here, as UnicodeEncodeError: a ValueError


def parse(data: bytes) -> Json:
    """Return the value of a canonical text. NotCanonical for everything else, also for other forms."""
    try:
        value: Json = json.loads(data)
        again = canonical(value)
    except (ValueError, RecursionError) as error:
        raise NotCanonical(f"it is not canonical JSON: {str(error)[:100]}") from error
    if again != data:
        raise NotCanonical("it is JSON, but not in canonical form")
    return value


def _check(value: Json) -> None:
    if isinstance(value, str):
        return
    if isinstance(value, dict):
        for name, item in value.items():
            if not (isinstance(name, str) and name.isascii()):
                raise ValueError("names must be ASCII text")
            if not isinstance(item, str):
                _check(item)
        return
    match value:
        case None | bool():
            return
        case int():
            if abs(value) > _SAFE:
                raise ValueError("a number must be below 2**53")
        case list() | tuple():
            for item in value:
                _check(item)
        case _:
            raise ValueError(f"{type(value).__name__} has no canonical form here")
