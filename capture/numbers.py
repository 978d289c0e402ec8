"""Telephone numbers, compared by their digits: who dialled 0049 30 1234567 is found as +49301234567 and as 1234567."""

from __future__ import annotations

import re
from typing import Final

_LEAST_TAIL: Final = 7
_NO_DIGIT: Final = re.compile(r"\D")
_PREFIX: Final = re.compile(r"^00")


def same_number(left: str, right: str) -> bool:
    """Whether two ways of writing a number mean the same line.

    >>> same_number("+49301234567", "030 1234567"), same_number("+49301234567", "4567")
    (True, False)
    """
    one, other = (_PREFIX.sub("", _NO_DIGIT.sub("", text)) for text in (left, right))
    if not one or not other:
        return left == right
    if one == other:
        return True
    tail = min(len(one.lstrip("0")), len(other.lstrip("0")))
    return tail >= _LEAST_TAIL and one[-tail:] == other[-tail:]
