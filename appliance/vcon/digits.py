"""Digits that no recording may hold, in what somebody else wrote: numbers of cards, security codes, keys pressed.

A number is a card's when 13 to 19 digits (blanks, dots and hyphens between them) begin as cards do and meet Luhn's sum
(ISO/IEC 7812-1). A telephone number or an order's that looks like one goes as well: one in ten of that length does.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any, Final

MARK: Final = "*"
MOST_DEPTH: Final = 64
MOST_VALUES: Final = 2_000_000
MOST_LETTERS: Final = 32 << 20
_RUN: Final = re.compile(r"\d(?:[ .\-\u00a0\u2009\u2010\u2011\u2013]{0,2}\d){12,}")
_TOKEN: Final = re.compile(r"\d+")
_CODE: Final = re.compile(
    r"\b(?:cvv2?|cvc2?|cid|security code|card code|pr[uü]fziffer|kartenpr[uü]fnummer)\b\D{0,20}(\d{3,4})(?!\d)", re.I
)
_POST_DIAL: Final = re.compile(r";(?:postd|pp|dtmf)=[^;>?]*|(?<=\d)[,p]+[0-9*#,pw]+$", re.IGNORECASE)
_KEYED: Final = frozenset({"keydown", "keyup", "dtmf", "digit", "keypress"})
_KEY_MEMBERS: Final = frozenset({"button", "dtmf", "digits", "dtmfdigits", "keyed", "keypress", "keypad"})
_ADDRESSES: Final = frozenset({"tel", "sip", "mailto"})
# hashes, ids and times: a letter of theirs changed is another one, so what has their form is left as it is
_EXACT: Final = {
    "content_hash": re.compile(r"sha\d{3}-[A-Za-z0-9_-]+=*"),
    "uuid": re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"),
    **dict.fromkeys(
        ("created_at", "updated_at", "start", "time"),
        re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:?\d\d)"),
    ),
}
_SEVERAL: Final = 13
_LONGEST: Final = 19
_LONGEST_TEL: Final = 15  # digits, E.164


class TooMuchText(ValueError):
    """Text that nobody can look through in a while."""


@dataclass(slots=True)
class Gone:
    """How much was masked or left out."""

    keys: int = 0  # events and members that say which keys were pressed
    numbers: int = 0  # card numbers and codes that were masked
    letters: int = 0  # looked through

    def __bool__(self) -> bool:
        return bool(self.keys or self.numbers)


def too_deep(value: Any) -> bool:
    """Say whether a JSON value has more levels, or more values, than a vCon of anybody needs."""
    count, level = 0, [value]
    for _ in range(MOST_DEPTH):
        following: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                following += one.values()
            elif isinstance(one, list):
                following += one
        count += len(following)
        if not following or count > MOST_VALUES:
            return count > MOST_VALUES
        level = following
    return True


def masked(text: str, gone: Gone) -> str:
    """Return a text with marks in the place of card numbers and their codes.

    >>> masked("card 4111 1111 1111 1111, cvc 123, call +49 30 5551234", Gone())
    'card **** **** **** ****, cvc ***, call +49 30 5551234'
    """
    gone.letters += len(text)
    if gone.letters > MOST_LETTERS:
        raise TooMuchText(f"more than {MOST_LETTERS >> 20} million letters of text are not looked through")
    if sum(map(str.isdecimal, text)) < 3:
        return text
    spans = [(found.start(1), found.end(1)) for found in _CODE.finditer(text)]
    for run in _RUN.finditer(text):
        spans += [(run.start() + begin, run.start() + end) for begin, end in _cards(run[0])]
    gone.numbers += len(spans)
    letters = list(text)
    for begin, end in spans:
        letters[begin:end] = [MARK if one.isdecimal() else one for one in letters[begin:end]]
    return "".join(letters)


def is_card(digits: str) -> bool:
    """Say whether digits may be a card's number."""
    if not _SEVERAL <= len(digits) <= _LONGEST or int(digits[0]) not in range(2, 7):
        return False
    values = [int(one) for one in reversed(digits)]
    return (sum(values[::2]) + sum(sum(divmod(2 * one, 10)) for one in values[1::2])) % 10 == 0


def _cards(run: str) -> list[tuple[int, int]]:
    """Return where in a run of digits and separators cards' numbers are: from the border of a group to another."""
    tokens = list(_TOKEN.finditer(run))
    found: list[tuple[int, int]] = []
    first = 0
    while first < len(tokens):
        digits, best = "", 0
        for last in range(first, min(len(tokens), first + _LONGEST)):
            digits += tokens[last][0]
            if len(digits) > _LONGEST:
                break
            best = last + 1 if is_card(digits) else best
        if best:
            found.append((tokens[first].start(), tokens[best - 1].end()))
        first = max(best, first + 1)
    return found


def address(text: str, gone: Gone) -> str:
    """Return a number or URI without the digits that are sent after the answer, and without a card's number."""
    clean = _POST_DIAL.sub("", text)
    gone.keys += clean != text
    long = sum(map(str.isdecimal, clean.partition("@")[0])) > _LONGEST_TEL
    return masked(clean, gone) if long else clean


def cleaned(value: Any, gone: Gone, name: str = "", is_section: bool = False) -> Any:
    """Return a JSON value without keys that were pressed, and with masks.

    is_section: a dialog, an attachment or an analysis, whose body in base64 is somebody else's to look into.
    """
    if isinstance(value, str):
        exact = _EXACT.get(name.lower())
        if exact is not None and exact.fullmatch(value):
            return value
        return address(value, gone) if name.lower() in _ADDRESSES else masked(value, gone)
    if isinstance(value, list):
        kept = [one for one in value if not _is_key(one)]
        gone.keys += len(value) - len(kept)
        return _without_spelled([cleaned(one, gone, name) for one in kept], gone)
    if isinstance(value, dict):
        kept_members = {key: one for key, one in value.items() if _plain(key) not in _KEY_MEMBERS}
        gone.keys += len(value) - len(kept_members)
        body = kept_members.get("body") if value.get("encoding") == "base64url" else None
        if not isinstance(body, str):
            return {masked(key, gone): cleaned(one, gone, key) for key, one in kept_members.items()}
        del kept_members["body"]
        clean = {masked(key, gone): cleaned(one, gone, key) for key, one in kept_members.items()}
        return {**clean, "body": body if is_section else _within(body, gone)}
    if isinstance(value, int) and not isinstance(value, bool) and is_card(str(abs(value))):
        gone.numbers += 1
        return 0
    return value


def _within(body: str, gone: Gone) -> str:
    """Return a body that is said to be base64 and stands where nobody looks into it: masked, or a mark."""
    before = gone.numbers
    try:
        masked(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True).decode(), gone)
    except ValueError:
        return masked(body, gone)
    return masked(body, gone) if gone.numbers == before else MARK


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _is_key(value: Any) -> bool:
    return isinstance(value, dict) and ("button" in value or str(value.get("event", "")).lower() in _KEYED)


def _without_spelled(values: list[Any], gone: Gone) -> list[Any]:
    """Mask a card's number that stands digit group by digit group in the elements of a list, as transcripts have it."""
    names = {name for one in values[:1000] if isinstance(one, dict) for name, text in one.items() if _short(text)}
    for name in [None, *sorted(names)]:
        found = [(one.get(name) if name is not None and isinstance(one, dict) else one) for one in values]
        texts = [str(text).strip(" .,-") if _short(text) else "" for text in found]
        begin = 0
        while begin < len(texts):
            end = begin
            while end < len(texts) and texts[end]:
                end += 1
            if sum(map(len, texts[begin:end])) >= _SEVERAL:
                values = _masked_run(values, texts, begin, end, name, gone)
            begin = end + 1
    return values


def _masked_run(values: list[Any], texts: list[str], begin: int, end: int, name: str | None, gone: Gone) -> list[Any]:
    run = " ".join(texts[begin:end])
    where, at = {}, 0
    for place in range(begin, end):
        where[place] = (at, at + len(texts[place]))
        at += len(texts[place]) + 1
    values = list(values)
    for first, last in _cards(run):
        gone.numbers += 1
        for place, (start, stop) in where.items():
            if start >= first and stop <= last:
                values[place] = MARK if name is None else {**values[place], name: MARK}
    return values


def _short(text: Any) -> bool:
    """Say whether a value is a few digits and nothing else."""
    if isinstance(text, bool) or not isinstance(text, str | int):
        return False
    said = str(text).strip(" .,-") if isinstance(text, int) or len(text) < 32 else ""
    return said.isdecimal() and len(said) <= _LONGEST
