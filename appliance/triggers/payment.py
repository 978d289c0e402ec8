"""Numbers at which customers pay, and whether what a PBX dials is one of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_BETWEEN: Final = re.compile(r"[^0-9A-Za-z+*#_.-]+")  # PJSIP/49301@trunk, sofia/gateway/pay/49301, sip:pay@host
_FOR_THE_EYE: Final = str.maketrans("", "", " .-()/")
_DIALLABLE: Final = re.compile(r"\+?[0-9*#]+")
_LONGEST: Final = 4096


class Destinations:
    """The configured numbers. Separators and a leading + do not count; international prefixes do."""

    def __init__(self, numbers: Iterable[str]) -> None:
        self._numbers = {_plain(number): number for number in numbers if _plain(number)}

    def find(self, *texts: str) -> str:
        """Return the first configured number that one of the texts is, or dials; "" when there is none.

        >>> Destinations(["+49 30 123"]).find("201", "PJSIP/4930123@trunk")
        '+49 30 123'
        """
        if not self._numbers:
            return ""
        for text in texts:
            short = text[:_LONGEST]
            for part in (short, *_BETWEEN.split(short)):
                if part and (found := self._numbers.get(_plain(part))):
                    return found
        return ""


def is_diallable(text: str) -> bool:
    """Tell whether an extension is a number that somebody dials.

    A dialplan's own extensions ("s", "h", a label) are not: a call that is at one has not gone anywhere else.

    >>> is_diallable("201"), is_diallable("s")
    (True, False)
    """
    return _DIALLABLE.fullmatch(text) is not None


def _plain(number: str) -> str:
    return number.translate(_FOR_THE_EYE).removeprefix("+").lower()
