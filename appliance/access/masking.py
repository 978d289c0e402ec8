"""Showing part of a value: enough to recognise what one knows already, not enough to learn it."""

from __future__ import annotations

import re
from typing import Final

_SHOWN: Final = 3  # of the end of a number
_LEAST: Final = 5  # digits below which a number is an extension, of which the last one is shown
_DIGITS: Final = re.compile(r"\d")


def mask(value: str) -> str:
    """Return a number with all but its last digits covered, or a name with all but its first letter.

    >>> mask("+4930123456"), mask("sip:+4930123456@pbx.example"), mask("2041"), mask("Anna Berg"), mask("")
    ('+•••••••456', '•••••••456', '•••1', 'A•••', '')
    """
    if value.lower().startswith(("sip:", "sips:", "tel:")):
        user = value.partition(":")[2].partition("@")[0].lstrip("+")
        return mask(user)
    digits = _DIGITS.findall(value)
    if not value:
        return ""
    if len(digits) * 2 < len(value):
        return f"{value[0]}•••"
    kept = _SHOWN if len(digits) >= _LEAST else 1
    covered = len(digits) - kept
    out = []
    for letter in value:
        if letter.isdecimal():  # what \d finds; "²" is a digit to isdigit() alone
            out.append("•" if covered > 0 else letter)
            covered -= 1
        elif letter == "+":
            out.append(letter)
    return "".join(out)
