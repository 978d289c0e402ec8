"""Whether two ways of writing a telephone number mean one line, and how sure that is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from vittne.capture.numbers import same_number

Certainty = Literal["sure", "likely"]
SURE: Final[Certainty] = "sure"
LIKELY: Final[Certainty] = "likely"
_EXTENSION: Final = 6  # digits of an extension, at most
_NO_DIGIT: Final = re.compile(r"\D")
_NUMBER: Final = re.compile(r"[+0-9()/ .\u00a0-]+")
_SCHEME: Final = re.compile(r"^(?:sips?|tel):", re.IGNORECASE)


def user_of(uri: str) -> str:
    """Return the part of a URI that names somebody.

    >>> user_of("sip:+4930555;ext=1@example.org"), user_of("tel:+49-30-555")
    ('+4930555', '+49-30-555')
    """
    return _SCHEME.sub("", uri.strip()).partition("@")[0].partition(";")[0]


def match(wanted: str, seen: str, country: str) -> Certainty | None:
    """Say whether a number that somebody gave is one that was seen in signalling; None: it is not.

    country: of numbers without an international prefix; without it such numbers are equal only when written alike.

    >>> match("+49 30 555 1234", "00493 05551234", ""), match("030 5551234", "+49305551234", "DE")
    ('sure', 'sure')
    >>> match("030 5551234", "+49305551234", ""), match("2001", "2001", ""), match("2001", "12001", "DE")
    ('likely', 'sure', None)
    """
    one, other = user_of(wanted), user_of(seen)
    if not one or not other:
        return None
    if not (_NUMBER.fullmatch(one) and _NUMBER.fullmatch(other)):
        return _same_user(one, _host(wanted), other, _host(seen))
    left, right = _NO_DIGIT.sub("", one), _NO_DIGIT.sub("", other)
    if min(len(left), len(right)) <= _EXTENSION:
        return SURE if left and left == right else None
    full, seen_full = _international(one, country), _international(other, country)
    if full and seen_full:
        return SURE if full == seen_full else None
    if left == right:
        return SURE
    return LIKELY if same_number(one, other) else None


def _same_user(one: str, host: str, other: str, other_host: str) -> Certainty | None:
    if one.casefold() != other.casefold():
        return None
    return LIKELY if host and other_host and host != other_host else SURE


def _host(uri: str) -> str:
    return uri.partition("@")[2].partition(";")[0].partition(":")[0].casefold()


@lru_cache(maxsize=1 << 14)
def _international(number: str, country: str) -> str:
    """Return a number as +49301234567; "" when nothing tells its country, or it is none."""
    from phonenumbers import NumberParseException, PhoneNumberFormat, format_number, parse  # noqa: PLC0415 - heavy

    digits = _NO_DIGIT.sub("", number)
    if number.lstrip().startswith("+"):
        text = f"+{digits}"
    elif digits.startswith("00"):
        text = f"+{digits[2:]}"
    elif country:
        text = digits
    else:
        return ""
    try:
        return str(format_number(parse(text, country or None), PhoneNumberFormat.E164))
    except NumberParseException:
        return ""
